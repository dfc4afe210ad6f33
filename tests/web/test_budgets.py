"""What one person and one address may do to all: attacks that were measured, and a school at its start."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from tests.support.people import until_quiet
from tests.support.visits import Place, Visit, a_place

SCHOOL, ATTACKER = "198.51.100.7", "203.0.113.9"
SKIPS = ("skips_burst", "address_skips_burst")
REQUESTS = [f"{who}{what}_burst" for who in ("", "address_") for what in ("guests", "hellos", "searches")]
WITHOUT_LIMITS = dict.fromkeys([*SKIPS, *REQUESTS, "person_searches_burst"], 1_000_000)


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@dataclass
class Tally:
    """What became of the matches of people who mean well."""

    matches: int = 0
    calls: int = 0
    longest_rest_ms: int = 0


async def study(visit: Visit, tally: Tally, call_s: float) -> None:
    """Be in one call after the other, each of which takes 1.5 s to come about; never skip before it has."""
    visit.say("search")
    while visit.code is None:
        match = await visit.until("connecting")
        tally.matches += 1
        with trio.move_on_after(1.5):
            await visit.until("ended")
        if visit.state == "connecting":
            visit.say("connected", session=match["session"])
            await visit.until("connected", "ended")
        if visit.state == "connected":
            tally.calls += 1
            with trio.move_on_after(call_s):
                await visit.until("ended")
            visit.say("skip", session=match["session"])
            await visit.until("ended")
        tally.longest_rest_ms = max(tally.longest_rest_ms, visit.last["search_again_ms"] or 0)
        await visit.until("searching", "connecting")


async def skip_everybody(visit: Visit, how: str) -> None:
    """End each match in the moment in which it is made, and search again as soon as one is let."""
    while True:
        if visit.state == "idle" or (visit.state == "ended" and visit.last["search_again_ms"] is None):
            visit.say("search")
            if how == "search and cancel":
                visit.say("cancel")
        elif visit.state == "connecting":
            visit.say("skip" if how == "search and cancel" else how, session=visit.last["session"])
        await trio.sleep(0.01)


async def matches_of(place: Place) -> int:
    await until_quiet()
    return sum(type(entry.record).__name__ == "SessionMatched" for entry in place.building.store.entries)


@pytest.mark.parametrize("how", ["skip", "end", "failed", "search and cancel"])
async def test_one_person_cannot_skip_through_everybody(clock: MockClock, how: str) -> None:
    """195 partners in 25 s, when it was measured."""
    for limits, expected in (({}, range(5, 25)), (WITHOUT_LIMITS, range(45, 10_000))):
        async with a_place(**limits, person_hellos_burst=1000) as place, trio.open_nursery() as nursery:
            for number in range(195):
                place.visit(f"partner {number}").say("search", criteria={"subject": f"{number}"})
            await until_quiet()
            attacker = place.visit("attacker")
            nursery.start_soon(skip_everybody, attacker, how)
            await trio.sleep(25)
            assert await matches_of(place) in expected
            nursery.cancel_scope.cancel()


async def test_coming_again_does_not_end_the_wait(clock: MockClock) -> None:
    """Neither as a fresh page, nor after a goodbye, nor by vanishing in the match."""
    async with a_place(skips_burst=2) as place:
        for number in range(60):
            place.visit(f"partner {number}").say("search", criteria={"subject": f"{number}"})
        await until_quiet()
        for _ in range(30):
            visit = place.visit("attacker")
            await until_quiet()
            visit.say("search")
            await until_quiet()
            visit.leave()
            await trio.sleep(1)
        assert await matches_of(place) <= 7


async def test_who_waits_is_told_for_how_long_and_why(clock: MockClock) -> None:
    async with a_place(skips_burst=1, skip_wait_s=4.0) as place:
        for number in range(9):
            place.visit(f"partner {number}").say("search", criteria={"subject": f"{number}"})
        attacker = place.visit("attacker")
        await until_quiet()
        attacker.say("search")
        rests = []
        for _ in range(4):
            await attacker.until("connecting")
            attacker.say("skip", session=attacker.last["session"])
            ended = await attacker.until("ended")
            rests.append(ended["search_again_ms"])
            if len(rests) == 2:
                assert "several people before a call came about" in ended["message"]
                assert "begins in 4 seconds" in ended["message"]
                attacker.say("search")
                await until_quiet()
                [error] = attacker.errors("wait")
                assert (error["about"], attacker.state) == ("search", "ended")
                assert "4 seconds" in error["message"]
            await attacker.until("searching", "connecting")
        assert rests == [500, 4000, 8000, 16000]


@asynccontextmanager
async def others(place: Place) -> AsyncIterator[None]:
    """People who study for three seconds each time, while the block is open."""
    visits = [place.visit(f"partner {number}") for number in range(6)]
    await until_quiet()  # a page sends nothing before its welcome
    async with trio.open_nursery() as nursery:
        for visit in visits:
            nursery.start_soon(study, visit, Tally(), 3.0)
        await until_quiet()
        yield
        nursery.cancel_scope.cancel()


async def test_a_call_and_time_forgive(clock: MockClock) -> None:
    async with a_place(skips_burst=2, skip_wait_s=8.0) as place:
        ada = place.visit("ada")
        await until_quiet()
        async with others(place):
            ada.say("search")
            for _ in range(3):
                session = (await ada.until("connecting"))["session"]
                ada.say("skip", session=session)
                await ada.until("ended")
            assert ada.last["search_again_ms"] == 8000
        await trio.sleep(600)
        async with others(place):
            while ada.state != "connected":
                await ada.until("connecting")
                ada.say("connected", session=ada.last["session"])
                with trio.move_on_after(3):
                    await ada.until("connected")
            ada.say("skip", session=ada.last["session"])
            await ada.until("ended")
            assert ada.last["search_again_ms"] == 500


@pytest.mark.parametrize(("how", "lasts_s"), [("skip", 20), ("leave", 120)])
async def test_fresh_guests_cannot_ruin_the_calls_of_others(
    clock: MockClock, how: str, lasts_s: float
) -> None:
    """Eight sockets made 15,393 matches a minute, and ruined seven of eight calls of 200 others."""
    ruined = {}
    for name, limits in (("limited", {"address_skips_burst": 30}), ("without limits", WITHOUT_LIMITS)):
        tally = Tally()
        async with a_place(**limits) as place, trio.open_nursery() as nursery:
            numbers = count()

            async def attack(place: Place = place, numbers: Any = numbers) -> None:
                while True:
                    if wait_s := place.wait_for_guest(ATTACKER):
                        await trio.sleep(wait_s)
                        continue
                    name = f"guest {next(numbers)}"
                    visit = place.visit(name, ATTACKER)
                    visit.say("search", criteria={"subject": name})  # so that attackers do not meet
                    with trio.move_on_after(0.5):
                        await visit.until("connecting")
                        if how == "skip":
                            visit.say("skip", session=visit.last["session"])
                            await visit.until("ended")
                    visit.leave()
                    await trio.sleep(0.03)

            for number in range(50):
                nursery.start_soon(study, place.visit(f"victim {number}"), tally, 1.0)
            for _ in range(8):
                nursery.start_soon(attack)
            await trio.sleep(lasts_s)
            nursery.cancel_scope.cancel()
        ruined[name] = tally.matches - tally.calls
        if name == "limited":
            assert tally.longest_rest_ms == 500, "who was skipped never pays"
    assert 2 * ruined["limited"] < ruined["without limits"], ruined


async def test_a_school_of_a_thousand_behind_one_address_notices_nothing(clock: MockClock) -> None:
    """All arrive within a minute; every fourth looks around at first, and every tenth drops once."""
    people, tally = 1000, Tally()
    async with a_place() as place, trio.open_nursery() as nursery:
        told: list[str] = []
        visits: list[Visit] = []

        async def pupil(number: int) -> None:
            await trio.sleep(number * 60 / people)
            assert place.wait_for_guest(SCHOOL) == 0
            visit = place.visit(f"pupil {number}", SCHOOL)
            await until_quiet()
            if number % 10 == 0:
                visit.leave()
                visit = place.visit(f"pupil {number}", SCHOOL, resume=visit.request)
                await until_quiet()
            visits.append(visit)
            if number % 4 == 0:
                visit.say("search")
                for _ in range(3):
                    session = (await visit.until("connecting"))["session"]
                    visit.say("skip", session=session)
                    told.append((await visit.until("ended"))["message"])
                    await visit.until("connecting", "searching")
            await study(visit, tally, 60.0)

        for number in range(people):
            nursery.start_soon(pupil, number)
        await trio.sleep(90)
        nursery.cancel_scope.cancel()
    assert tally.calls > 900
    assert tally.longest_rest_ms == 500
    assert len(told) >= 700
    assert not any("network" in message or "several" in message for message in told)
    assert [visit.code for visit in visits if visit.code not in (None, 4503)] == []
    assert [frame for visit in visits for frame in visit.all("error") if frame["code"] != "not_now"] == []


async def in_a_call(place: Place) -> tuple[Visit, Visit, str]:
    ada, ben = place.visit("ada", SCHOOL), place.visit("ben", ATTACKER)
    await until_quiet()
    for visit in (ada, ben):
        visit.say("search")
    await until_quiet()
    session = str(ada.last["session"])
    for visit in (ada, ben):
        visit.say("connected", session=session)
    await until_quiet()
    assert ada.state == ben.state == "connected"
    return ada, ben, session


@pytest.mark.parametrize(("pause_s", "words"), [(0.1, 1500), (0.0, 140), (1 / 30, 1500)])
async def test_what_a_partner_sends_never_has_the_other_hung_up_on(
    clock: MockClock, pause_s: float, words: int
) -> None:
    """A page of version 1 answers each resync with two frames; the attacker stays within all limits."""
    async with a_place() as place:
        ada, ben, session = await in_a_call(place)
        answers = 0
        for _ in range(words):
            ben.say("signal", session=session, data={"kind": "resync"})
            await until_quiet()
            told, ada.frames = ada.frames, ada.frames[:2]
            for _ in range(2 * sum(frame["type"] == "signal" for frame in told)):
                ada.say("signal", session=session, data={"kind": "description"})
                answers += 1
            await until_quiet()
            await trio.sleep(pause_s)
        assert ada.code is None
        assert answers >= 280
        ada.frames = ada.frames[:2]
        for _ in range(place.building.settings.frames_burst - 20):
            ada.say("ping")
            await until_quiet()
        assert ada.errors("too_fast") == []
        ada.say("skip", session=session)
        await until_quiet()
        assert ada.state == "ended"


async def test_two_who_answer_each_other_are_bounded(clock: MockClock) -> None:
    """Each of two programs answers everything twice: answers have a rate, and nobody is hung up on."""
    async with a_place() as place:
        ada, ben, session = await in_a_call(place)
        relayed = 0
        ada.say("chat", session=session, text="hello")
        await until_quiet()
        for _ in range(200):
            for one in (ada, ben):
                told, one.frames = one.frames, one.frames[:2]
                words = sum(frame["type"] == "chat" for frame in told)
                relayed += words
                for _ in range(min(2 * words, 12)):
                    one.say("chat", session=session, text="hello")
                    await until_quiet()
            await trio.sleep(0.05)
        assert (ada.code, ben.code) == (None, None)
        assert relayed <= 2 * (400 + 60 * 11)


async def test_frames_are_counted_over_all_connections_of_a_person(clock: MockClock) -> None:
    async with a_place(frames_per_s=1.0, signals_per_s=1.0) as place:
        taken = 0
        for _ in range(4):
            visit = place.visit("ada")
            await until_quiet()
            for _ in range(150):
                visit.say("ping")
                await until_quiet()
            taken += len(visit.all("pong"))
            visit.leave()
            await until_quiet()
        assert taken == 200


async def test_an_error_comes_first_then_the_close_then_the_address_waits(clock: MockClock) -> None:
    async with a_place() as place:
        flood, neighbour = place.visit("flood", SCHOOL), place.visit("neighbour", SCHOOL)
        await until_quiet()
        for _ in range(1000):
            flood.say("ping")
            await until_quiet()
        assert flood.code == 4429
        assert flood.errors("too_fast")
        [line] = place.building.lines.events("hung up")
        assert (line["actor"], line["code"]) == ("user flood", 4429)
        assert place.wait_for_guest(SCHOOL) > 0
        late = place.visit("late", SCHOOL)
        assert (late.code, late.frames[0]["code"], late.frames[0]["about"]) == (4429, "wait", "hello")
        assert "seq" not in late.frames[0]
        assert place.building.lines.events("hung up")[1]["actor"] == "reception"
        again = place.visit("neighbour", SCHOOL, resume=neighbour.request)
        elsewhere = place.visit("elsewhere", ATTACKER)
        await until_quiet()
        assert (again.code, elsewhere.code) == (None, None), "who resumes, and other addresses, do not wait"
        await trio.sleep(5.1)
        assert place.visit("late", SCHOOL).code is None
        assert place.wait_for_guest(SCHOOL) == 0


async def test_the_address_waits_after_a_flood_below_the_protocol_too(clock: MockClock) -> None:
    async with a_place() as place:
        flood = place.visit("flood", SCHOOL)
        await until_quiet()
        flood.floods()
        await until_quiet()
        assert flood.code == 4429
        late, elsewhere = place.visit("late", SCHOOL), place.visit("elsewhere", ATTACKER)
        await until_quiet()
        assert (late.code, elsewhere.code) == (4429, None)


async def test_hellos_are_limited_by_person_and_in_all(clock: MockClock) -> None:
    async with a_place(
        **dict.fromkeys(("hellos_burst", "address_hellos_burst"), 40),
        **dict.fromkeys(("hellos_per_s", "address_hellos_per_s", "person_hellos_per_s"), 0.01),
    ) as place:
        codes = []
        for _ in range(35):
            visit = place.visit("ada")
            await until_quiet()
            codes.append(visit.code)
            visit.leave()
            await until_quiet()
        assert codes == [None] * 30 + [4429] * 5
        others = [place.visit(f"guest {number}", f"192.0.2.{number}") for number in range(12)]
        await until_quiet()
        assert [visit.code for visit in others] == [None] * 10 + [4429] * 2
        back = place.visit("guest 0", "192.0.2.0", resume=others[0].request)
        await until_quiet()
        assert back.code is None, "who resumes is held up by nobody else"
        assert place.wait_for_guest("192.0.2.11") == 0, "no address waits because all are too many"
