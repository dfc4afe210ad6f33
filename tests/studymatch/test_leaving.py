"""A page that goes says `leaving`: what follows if it is closed, if it is reloaded, and if it stays."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import SessionEnded
from tests.support.people import Building, Tab, a_hall


async def goes(tab: Tab) -> None:
    """The page says that it goes, and closes its connection."""
    await tab.say("leaving")
    await tab.drop()


async def in_session(building: Building, state: str) -> tuple[Tab, Tab]:
    return await (building.pair() if state == "connecting" else building.call())


def ends(building: Building, session: str) -> list[tuple[SessionCause, str | None]]:
    return [(r.cause, r.by) for r in building.records(session) if isinstance(r, SessionEnded)]


@pytest.mark.parametrize("state", ["connecting", "connected"])
async def test_a_page_that_is_closed_in_a_session_has_ended_it(
    clock: MockClock, building: Building, state: str
) -> None:
    ada, ben = await in_session(building, state)
    session = ada.session
    await goes(ada)
    assert ben.all("partner")[-1]["away"] is True
    await trio.sleep(4.9)
    assert ben.state == state
    await trio.sleep(0.2)
    assert (ben.state, ben.last["cause"]) == ("ended", "partner_ended")
    assert ben.last["message"].startswith(f"{ada.person.name} ended the session.")
    assert ben.last["search_again_ms"] == 500
    assert building.hall.user(ada.person.id) is None
    await trio.sleep(1)
    assert ends(building, session) == [(SessionCause.ENDED, ada.person.id)]
    assert building.lines.events("left")[-1]["cause"] == "page_closed"


@pytest.mark.parametrize("state", ["connecting", "connected"])
async def test_a_page_that_is_reloaded_comes_back_to_its_session(
    clock: MockClock, building: Building, state: str
) -> None:
    ada, ben = await in_session(building, state)
    await goes(ada)
    await ben.about("signal", data="meanwhile")
    await trio.sleep(4.9)
    back = await ada.come_back()
    assert back.all("welcome")[0]["resumed"] is True
    assert (back.state, back.session) == (state, ada.session)
    assert [frame["data"] for frame in back.all("signal")] == ["meanwhile"]
    assert [frame["away"] for frame in ben.all("partner")] == [True, False]
    await trio.sleep(7)
    assert (back.state, ben.state) == (state, state)


async def test_a_reload_gives_no_shorter_grace_to_what_follows(clock: MockClock, building: Building) -> None:
    ada, ben = await building.call()
    await goes(ada)
    back = await ada.come_back()
    await back.drop()
    await trio.sleep(14.9)
    assert ben.state == "connected"
    await trio.sleep(0.2)
    assert ben.last["cause"] == "partner_lost"


@pytest.mark.parametrize("state", ["idle", "searching", "ended"])
async def test_outside_of_a_session_the_person_has_left_at_once(
    clock: MockClock, building: Building, state: str
) -> None:
    if state == "ended":
        ada, ben = await building.call()
        await ben.about("end")
    else:
        ada = await (building.tab("Ada") if state == "idle" else building.searching("Ada"))
    assert ada.state == state
    await goes(ada)
    assert building.hall.user(ada.person.id) is None
    assert trio.current_time() == 0
    back = await ada.come_back()
    assert back.all("welcome")[0]["resumed"] is False


async def test_nobody_is_matched_with_a_page_that_has_gone(clock: MockClock, building: Building) -> None:
    await goes(await building.searching("Ada"))
    ben = await building.searching("Ben")
    assert ben.state == "searching"


@pytest.mark.parametrize("later", ["ping", "search", "signal", "nonsense"])
async def test_a_later_frame_takes_it_back(clock: MockClock, building: Building, later: str) -> None:
    ada, ben = await building.call()
    await ada.say("leaving")
    match later:
        case "signal":
            await ada.about("signal", data=1)
        case "nonsense":
            await ada.refuse("malformed")
        case _:
            await ada.say(later)
    await ada.drop()
    await trio.sleep(14.9)
    assert ben.state == "connected"
    await trio.sleep(0.2)
    assert ben.last["cause"] == "partner_lost"


async def test_a_page_that_says_so_and_stays_is_served_as_before(
    clock: MockClock, building: Building
) -> None:
    ada, ben = await building.call()
    await ada.say("leaving")
    await trio.sleep(60)
    await ben.about("chat", text="still there?")
    assert [frame["text"] for frame in ada.all("chat")] == ["still there?"]
    assert (ada.state, ben.state) == ("connected", "connected")
    assert ada.all("error") == []
    assert ada.credits > 0


async def test_a_page_that_says_so_and_is_still_connected_has_not_ended_the_session(
    clock: MockClock, building: Building
) -> None:
    """It is cut short, by another tab of the person that knows nothing of the session."""
    ada, ben = await building.call()
    await ada.say("leaving")
    await Tab(building, "Ada", ada.person).open()
    assert ben.last["cause"] == "partner_lost"


async def test_what_another_tab_of_the_person_says_counts_for_that_tab_only(
    clock: MockClock, building: Building
) -> None:
    """The older connection says that it goes, after a newer one has taken its place."""
    ada, ben = await building.call()
    back = await ada.come_back()
    await goes(ada)
    assert (back.state, ben.state) == ("connected", "connected")
    await back.drop()
    await trio.sleep(14.9)
    assert ben.state == "connected"


@pytest.mark.parametrize("state", ["idle", "searching", "connected"])
async def test_a_page_that_is_back_before_the_actor_had_a_turn_finds_it(
    clock: MockClock, building: Building, state: str
) -> None:
    match state:
        case "idle":
            ada = await building.tab("Ada")
        case "searching":
            ada = await building.searching("Ada")
        case _:
            ada, _ = await building.call()
    ada.say_at_once("leaving")
    ada.drop_at_once()
    back = await ada.come_back()
    assert back.code is None
    assert back.state == state
    assert back.all("welcome")[0]["resumed"] is True


async def test_the_end_of_the_session_meanwhile_is_still_there_for_the_reload(
    clock: MockClock, building: Building
) -> None:
    ada, ben = await building.call()
    await goes(ada)
    await trio.sleep(2)
    await ben.about("end")
    await trio.sleep(0.1)
    back = await ada.come_back()
    assert (back.state, back.last["cause"]) == ("ended", "partner_ended")


async def test_closing_page_after_page_before_the_call_is_leaving_matches(clock: MockClock) -> None:
    """As after skips, the person who closed them waits, and the partner does not."""
    async with a_hall(apart_s=0.0, skips_burst=3, skip_wait_s=10.0) as building:
        ada, ben = await building.pair()
        for _ in range(4):
            assert ada.state == "connecting"
            await ben.about("signal", data=1)
            await goes(ada)
            await trio.sleep(6)
            ada = await ada.come_back()
            await ada.say("search")
        assert ada.all("error")[-1]["code"] == "wait"
        assert ben.state == "searching"


async def test_a_restart_gives_a_reloaded_page_the_whole_grace(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, ben = await building.call()
        await goes(ada)
    async with a_hall(after=building) as again:
        ben = await ben.come_back(again)
        await trio.sleep(14.9)
        assert ben.state == "connected"
        back = await ada.come_back(again)
        assert (back.state, back.session) == ("connected", ada.session)


async def test_a_page_that_does_not_come_after_a_restart_has_ended_the_session(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, ben = await building.call()
        await goes(ada)
    async with a_hall(after=building) as short:
        pass
    async with a_hall(after=short) as again:
        ben = await ben.come_back(again)
        await trio.sleep(15.1)
        assert ben.last["cause"] == "partner_ended"
    assert ends(again, ada.session) == [(SessionCause.ENDED, ada.person.id)]
