"""What a page says under a number is dealt with exactly once, whatever becomes of its connections."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from actors.mailbox import TURNS_BEFORE_YIELD
from studymatch.messages import Refused
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.protocol import NUMBER_MAX, Malformed, decode, number_of
from studymatch.rules.records import SessionEnded
from tests.simulation.seams import turns_in_order
from tests.support.people import Tab, a_hall, until_quiet


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


def heard(tab: Tab) -> int:
    return int(tab.all("welcome")[-1]["heard"])


async def test_a_new_actor_has_heard_nothing(clock: MockClock) -> None:
    async with a_hall() as building:
        assert heard(await building.tab("Ada")) == 0


async def test_what_was_heard_is_told_to_who_comes_back(clock: MockClock) -> None:
    async with a_hall() as building:
        ada = await building.tab("Ada")
        await ada.say("search", n=1)
        await ada.say("cancel", n=2)
        await ada.drop()
        assert heard(await ada.come_back()) == 2


async def test_a_pong_tells_what_was_heard(clock: MockClock) -> None:
    async with a_hall() as building:
        ada = await building.tab("Ada")
        await ada.say("search", n=1)
        await ada.say("ping")
        assert ada.frames[-1] == {"type": "pong", "heard": 1, "seq": ada.seq}


async def test_a_chat_said_again_arrives_once(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, ben = await building.call()
        await ada.about("chat", text="one", n=1)
        await ada.drop()
        back = await ada.come_back()
        for n, text in ((1, "one"), (2, "two"), (2, "two"), (3, "three")):
            await back.say("chat", session=ada.session, text=text, n=n)
        assert [frame["text"] for frame in ben.all("chat")] == ["one", "two", "three"]


async def test_a_search_said_again_does_not_undo_a_cancel(clock: MockClock) -> None:
    async with a_hall() as building:
        ada = await building.tab("Ada")
        for n, kind in ((1, "search"), (2, "cancel"), (1, "search"), (2, "cancel")):
            await ada.say(kind, n=n)
        assert ada.states == ["idle", "searching", "idle"]
        assert ada.all("error") == []


async def test_what_a_line_that_is_down_said_is_not_heard(clock: MockClock) -> None:
    """It lies in the mailbox when the connection drops: nobody reads it, so it does not count."""
    async with a_hall() as building:
        ada, ben = await building.call()
        ada.drop_at_once()
        ada.say_at_once("chat", session=ada.session, text="lost with the line", n=1)
        await until_quiet()
        back = await ada.come_back()
        assert (heard(back), ben.all("chat")) == (0, [])
        await back.say("chat", session=ada.session, text="lost with the line", n=1)
        assert len(ben.all("chat")) == 1


@pytest.mark.parametrize("before", ["the turn", "the stop"])
async def test_a_restart_keeps_count(clock: MockClock, before: str) -> None:
    """A frame that the former life had no turn for is not heard; one that it dealt with is."""
    async with a_hall() as building:
        ada, ben = await building.call()
        if before == "the stop":
            await ada.about("skip", n=1)
        else:
            building.saved_people = building.hall.hand_over()
            ada.say_at_once("skip", session=ada.session, n=1)
    async with a_hall(after=building) as again:
        back = await ada.come_back(again)
        assert heard(back) == (1 if before == "the stop" else 0)
        await back.say("skip", session=ada.session, n=1)
        assert (await ben.come_back(again)).state != "connected"
        (end,) = [it for it in again.records(ada.session) if isinstance(it, SessionEnded)]
        assert end.cause == "skipped"


async def test_an_end_that_was_heard_keeps_them_from_searching_in_the_next_life(clock: MockClock) -> None:
    """The partner was first, and the server stops as soon as it has heard."""
    async with a_hall() as building, trio.open_nursery() as nursery:
        ben, ada = await building.call()
        former = ada.user
        assert former is not None

        async def stop_when_it_is_heard() -> None:
            while not former.save().heard:
                await trio.lowlevel.checkpoint()
            building.saved_people = building.hall.hand_over()

        nursery.start_soon(stop_when_it_is_heard)
        await trio.lowlevel.checkpoint()
        with turns_in_order(last_first=False):
            ada.say_at_once("end", session=ada.session, n=1)
            for _ in range(TURNS_BEFORE_YIELD):
                ada.say_at_once("ping")
            ben.say_at_once("end", session=ben.session)
            await building.hall.deserted()
        left = building.saved_people
    building.saved_people = left
    async with a_hall(after=building) as again:
        back = await ada.come_back(again)
        await trio.sleep(1)
        assert (heard(back), back.states) == (1, ["idle"])


@pytest.mark.parametrize(
    ("kind", "fields", "code"),
    [("cancel", {}, "not_now"), ("chat", {"session": "another", "text": "late"}, None)],
)
async def test_what_is_refused_or_late_is_dealt_with_too(
    clock: MockClock, kind: str, fields: dict[str, str], code: str | None
) -> None:
    async with a_hall() as building:
        ada = await building.tab("Ada")
        await ada.say(kind, n=1, **fields)
        await ada.say(kind, n=1, **fields)
        errors = [(frame["code"], frame["n"]) for frame in ada.all("error")]
        assert errors == ([] if code is None else [(code, 1)])
        await ada.drop()
        assert heard(await ada.come_back()) == 1


async def test_what_waits_when_a_newer_connection_comes_is_dropped_and_can_be_sent_again(
    clock: MockClock,
) -> None:
    async with a_hall() as building:
        ada = await building.tab("Ada")
        ada.say_at_once("search", n=1)
        ada.say_at_once("cancel", n=2)
        newer = await ada.come_back()
        assert (ada.code, ada.states) == (CloseCode.CONNECTED_ELSEWHERE, ["idle"])
        assert (heard(newer), newer.state) == (0, "idle")
        await newer.say("search", n=1)
        assert newer.state == "searching"


async def test_a_frame_refused_at_the_edge_says_which_it_was(clock: MockClock) -> None:
    async with a_hall() as building:
        ada = await building.tab("Ada")
        for _ in range(2):
            ada.tell(Refused("too_fast", "Slow down.", 5))
            await until_quiet()
        assert [frame["n"] for frame in ada.all("error")] == [5]
        await ada.drop()
        assert heard(await ada.come_back()) == 5


async def test_frames_without_a_number_count_as_ever(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, ben = await building.call()
        for _ in range(2):
            await ada.about("chat", text="again")
        assert len(ben.all("chat")) == 2


async def test_everything_is_credited_also_what_is_said_again(clock: MockClock) -> None:
    async with a_hall() as building:
        ada = await building.tab("Ada")
        for n in (1, 1, 2, 2):
            await ada.say("search", n=n)
        assert ada.credits == 4


async def test_a_second_page_begins_again(clock: MockClock) -> None:
    async with a_hall() as building:
        ada = await building.tab("Ada")
        await ada.say("search", n=7)
        other = await Tab(building, "Ada", ada.person).open()
        assert heard(other) == 0
        await other.say("search", n=1)
        assert other.state == "searching"


@pytest.mark.parametrize("n", [0, -1, NUMBER_MAX + 1, 1.5, '"1"', "true"])
def test_what_is_no_number_is_malformed(n: object) -> None:
    text = f'{{"type": "search", "n": {n}}}'
    with pytest.raises(Malformed):
        decode(text)
    assert number_of(text) is None


def test_the_number_of_a_frame_that_cannot_be_read_otherwise_is_found() -> None:
    assert number_of('{"type": "dance", "n": 12}') == 12
    assert number_of('{"type": "chat", "n": 12, "text": ""}') == 12
    assert number_of("[]") is None
    assert number_of("nonsense") is None
    assert number_of("[" * 100_000) is None
