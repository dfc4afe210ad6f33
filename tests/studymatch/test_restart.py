"""From one life of the server to the next: a restart is only a dropped connection."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from studymatch import handover
from studymatch.handover import Handover
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import Node, SessionConnected, SessionEnded, SessionMatched
from tests.support.people import Building, Tab, a_hall, until_quiet
from tests.support.told import Told

NODE = Node("00000000-0000-7000-a000-000000000001", "test")


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


async def in_state(building: Building, state: str) -> Tab:
    match state:
        case "idle":
            return await building.tab("Ada")
        case "searching":
            return await building.searching("Ada", subject="maths")
        case "connecting":
            return (await building.pair())[0]
        case "connected":
            return (await building.call())[0]
        case _:
            ada, _ = await building.pair()
            await ada.about("failed")
            return ada


@pytest.mark.parametrize("state", ["idle", "searching", "connecting", "connected", "ended"])
async def test_everybody_comes_back_to_where_they_were(clock: MockClock, state: str) -> None:
    async with a_hall() as building:
        ada = await in_state(building, state)
        await trio.sleep(10)
        before = ada.last
    assert before["state"] == state
    async with a_hall(after=building, away_s=2.0) as again:
        clock.jump(1.0)  # a server has more to do before anybody has their first turn
        back = await ada.come_back(again)
        assert back.all("welcome")[0]["resumed"] is True
        assert (back.state, back.session) == (state, str(before["session"]))
        assert back.last["message"] == before["message"]
        assert back.last["cue"] in (None, "chime" if state == "connecting" else None)
        if state in ("searching", "connected"):
            assert back.last["since_ms"] == 13_000
        if before["partner"] is not None:
            assert back.last["partner"]["id"] == before["partner"]["id"]
        assert back.last["initiator"] is before["initiator"]
        assert back.seq > before["seq"]
        assert again.lines.events("crashed") == []


@pytest.mark.parametrize("state", ["idle", "searching", "connecting", "connected", "ended"])
async def test_a_life_that_ends_before_anybody_had_a_turn_loses_nothing(clock: MockClock, state: str) -> None:
    async with a_hall() as building:
        ada = await in_state(building, state)
        await trio.sleep(10)
        before = ada.last
    async with a_hall(after=building, away_s=2.0) as short:
        pass
    async with a_hall(after=short, away_s=3.0) as again:
        back = await ada.come_back(again)
        assert (back.state, back.session) == (state, str(before["session"]))
        if state in ("searching", "connected"):
            assert back.last["since_ms"] == 15_000
    open_ones = {it.record.session for it in again.store.entries if isinstance(it.record, SessionMatched)}
    ended = {it.record.session for it in again.store.entries if isinstance(it.record, SessionEnded)}
    assert open_ones - ended == ({ada.session} if state in ("connecting", "connected") else set())


async def test_a_call_goes_on_and_is_recorded_as_one(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, ben = await building.call()
        session = ada.session
    async with a_hall(after=building) as again:
        ada, ben = await ada.come_back(again), await ben.come_back(again)
        assert ada.last["partner"]["away"] is True
        assert ada.all("partner")[-1]["away"] is False
        await ada.about("chat", text="still here")
        assert ben.all("chat")[-1]["text"] == "still here"
        await ben.about("skip")
        assert (ada.last["cause"], ben.last["cause"]) == ("partner_skipped", "skipped")
    assert [type(record) for record in building.records(session)] == [
        SessionMatched,
        SessionConnected,
        SessionEnded,
    ]


async def test_a_match_becomes_a_call_in_the_next_life(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, ben = await building.pair()
        await ada.about("connected")
    async with a_hall(after=building) as again:
        ada, ben = await ada.come_back(again), await ben.come_back(again)
        assert ada.last["deadline_ms"] == 15_000
        for tab in (ada, ben):
            await tab.about("connected")
        assert {ada.state, ben.state} == {"connected"}


async def test_who_searches_is_matched_in_the_order_of_waiting(clock: MockClock) -> None:
    async with a_hall() as building:
        ada = await building.searching("Ada", subject="x")
        await trio.sleep(30)
        ben = await building.searching("Ben", subject="y")
    async with a_hall(after=building) as again:
        ben, ada = await ben.come_back(again), await ada.come_back(again)
        carl = await again.searching("Carl")
        assert carl.last["partner"]["id"] == ada.person.id
        assert ben.state == "searching"


async def test_what_was_said_and_not_seen_arrives_in_the_next_life(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, ben = await building.pair()
        await ben.about("signal", data="seen")
        seen = ada.seq
        await ben.about("signal", data="lost on the way")
        await ada.drop()
        await ben.about("signal", data="said meanwhile")
    async with a_hall(after=building) as again:
        back = await ada.come_back(again, seq=seen)
        assert [frame["data"] for frame in back.all("signal")] == ["lost on the way", "said meanwhile"]


async def test_who_does_not_come_back_is_lost_after_the_grace(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, ben = await building.call()
        session = ada.session
    async with a_hall(after=building) as again:
        ada = await ada.come_back(again)
        await trio.sleep(15.1)
        assert (ada.state, ada.last["cause"]) == ("ended", "partner_lost")
        assert len(again.hall) == 1
    [end] = [record for record in building.records(session) if isinstance(record, SessionEnded)]
    assert (end.cause, end.by) == (SessionCause.LOST, ben.person.id)


@pytest.mark.parametrize("caught", ["skip", "end", "match"])
async def test_a_closing_in_the_middle_of_a_turn_leaves_nobody_alone(clock: MockClock, caught: str) -> None:
    """One of the two has had their turn, the other has not: as the closing may well catch them."""
    for checkpoints in range(8):
        async with a_hall() as building:
            if caught == "match":
                ada, ben = await building.searching("Ada"), await building.tab("Ben")
                ben.say_at_once("search")
            else:
                ada, ben = await building.call()
                ada.say_at_once(caught, session=ada.session)
            for _ in range(checkpoints):
                await trio.lowlevel.checkpoint()
        ends = [r.cause for e in building.store.entries if isinstance(r := e.record, SessionEnded)]
        async with a_hall(after=building) as again:
            ada, ben = await ada.come_back(again), await ben.come_back(again)
            await trio.sleep(1)
            await until_quiet()
            assert again.lines.events("crashed") == []
            told = {state["cause"] for state in ben.all("state") if state["state"] == "ended"}
            expected = {f"partner_{cause}" for cause in ends} or {"restarting"}
            assert told <= expected, "what was recorded is what he is told"
            for one, other in ((ada, ben), (ben, ada)):
                if one.state in ("connecting", "connected"):
                    assert other.session == one.session
            for tab in (ada, ben):
                await tab.drop()
            await trio.sleep(20)
            assert len(again.hall) == 0
        sessions = [e.record.session for e in building.store.entries if isinstance(e.record, SessionMatched)]
        for session in sessions:
            assert any(isinstance(record, SessionEnded) for record in building.records(session))


def test_a_handover_is_taken_once(tmp_path: Path) -> None:
    path = tmp_path / "handover.json"
    handover.save(Handover(NODE, 1000.0, ()), path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert handover.take(path, 1010.0, Told()) == Handover(NODE, 1000.0, ())
    assert handover.take(path, 1010.0, Told()) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("now", [1000.0 - handover.LEEWAY_S - 1, 1000.0 + handover.LIFE_S + 1, 0.0, 1e12])
def test_a_handover_that_is_too_old_or_of_the_future_is_not_used_and_told(tmp_path: Path, now: float) -> None:
    path = tmp_path / "handover.json"
    handover.save(Handover(NODE, 1000.0, ()), path)
    told = Told()
    assert handover.take(path, now, told) is None
    assert "nobody taken up" in [line["event"] for line in told.lines]
    assert not path.exists()


@pytest.mark.parametrize("now", [999.0, 998.0, 1000.0 - handover.LEEWAY_S])
def test_a_clock_that_was_set_back_loses_nobody_and_is_told(tmp_path: Path, now: float) -> None:
    path = tmp_path / "handover.json"
    handover.save(Handover(NODE, 1000.0, ()), path)
    told = Told()
    assert handover.take(path, now, told) == Handover(NODE, now, ()), "nobody was away for less than no time"
    assert [line["event"] for line in told.lines] == ["the clock was set back"]


SOUND = msgspec.json.encode(Handover(NODE, 1000.0, ()))

DAMAGED = {
    "empty": b"",
    "another shape": b"{}",
    "no text": b"\xff" * 100,
    "zeros": b"\0" * 100,
    "cut": SOUND[:-5],
    "wrong types": b'{"node": 7, "left_at": "now", "people": {}}',
    "nested without end": b"[" * 100_000,
    "a node that no database takes": SOUND.replace(NODE.id.encode(), b"me"),
    "a time beyond numbers": SOUND.replace(b"1000.0", b"1e999"),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_handover_is_not_used_and_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "handover.json"
    path.write_bytes(content)
    told = Told()
    assert handover.take(path, 1000.0, told) is None
    assert [line["event"] for line in told.lines] == ["unusable"]
    handover.save(Handover(NODE, 1000.0, ()), path)
    assert handover.take(path, 1010.0, told) == Handover(NODE, 1000.0, ()), "the place is free again"


async def test_somebody_in_a_session_without_a_partner_makes_no_handover(tmp_path: Path) -> None:
    async with a_hall() as building:
        await building.call()
    path = tmp_path / "handover.json"
    people = tuple(msgspec.structs.replace(saved, partner=None) for saved in building.saved_people)
    handover.save(Handover(NODE, 1000.0, people), path)
    assert handover.take(path, 1000.0, Told()) is None


async def test_a_handover_survives_being_written_down(clock: MockClock, tmp_path: Path) -> None:
    async with a_hall() as building:
        for state in ("idle", "connecting", "connected", "ended", "searching"):
            await in_state(building, state)
    path = tmp_path / "handover.json"
    handover.save(Handover(NODE, 1000.0, building.saved_people), path)
    taken = handover.take(path, 1001.0, Told())
    assert taken is not None
    assert taken.people == building.saved_people
    assert msgspec.json.decode(msgspec.json.encode(taken), type=Handover) == taken
