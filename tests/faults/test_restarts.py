"""The server is stopped or killed under load, and restarted: nobody is stuck."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from tests.faults.fleet import STEADY, Behaviour, Fleet, Tab, running_fleet
from tests.faults.hostile_clients import stalled_reader
from tests.faults.postgres import Postgres
from tests.faults.server_under_test import PATIENT_S, ServerUnderTest, a_server_under_test
from tests.promises.transcript import What
from tests.support.waiting import eventually

PEOPLE = 30
UNMATCHABLE = 4
STOP_LIMIT_S = 10
"""The process must have ended by then, whatever its clients do."""
CLOCKS_S = 0.2
"""The tolerance for waiting times, which go on over a restart by the wall clock."""


async def settled(fleet: Fleet, people: int) -> None:
    """Wait until everybody who can have a partner is in a call."""
    with trio.fail_after(PATIENT_S):
        while not fleet.settled(people):  # noqa: ASYNC110
            await trio.sleep(0.05)


@asynccontextmanager
async def stalled_readers(tested: ServerUnderTest, number: int) -> AsyncIterator[None]:
    """Run people who do not read their partner's frames, of which more are sent than the network buffers."""
    async with trio.open_nursery() as nursery:
        for _ in range(number):
            await nursery.start(partial(stalled_reader, tested))
        yield
        nursery.cancel_scope.cancel()


async def test_a_stop_under_load_is_only_a_dropped_connection(database: str) -> None:
    """Everybody gets 4503, and the process ends in time though some do not read. After the restart everybody
    is in the same call as before, or searching with the same waiting time.
    """
    async with a_server_under_test(database, stop_limit_s=6, grace_s=12) as tested:
        fleet = tested.fleet(11, STEADY, unmatchable=UNMATCHABLE)
        async with running_fleet(fleet, PEOPLE):
            await settled(fleet, PEOPLE)
            async with stalled_readers(tested, 3):
                before = {tab: tab.state for tab in fleet.present}
                states = Counter(page["state"] for page in before.values())
                assert states["searching"] >= UNMATCHABLE
                assert states["connected"] > PEOPLE / 2
                with trio.fail_after(STOP_LIMIT_S):
                    assert await tested.stop() == 0
            await tested.start()
            await settled(fleet, PEOPLE)
            gone = set(before) - set(fleet.present)
            assert not gone, [tab.transcript.story() for tab in gone]
            for tab, page in before.items():
                is_back_where_it_was(tab, page)
            fleet.quiet.set()
        await tested.audited(*fleet.transcripts)


def is_back_where_it_was(tab: Tab, page: dict[str, object]) -> None:
    entries = tab.transcript.entries
    first, *later = [entry.code for entry in entries if entry.what is What.CLOSED]
    assert first == 4503, tab.transcript.story()
    assert {4503, 1006}.issuperset(later), tab.transcript.story()  # cut off as the process ends
    *_, welcome = tab.transcript.frames(What.HEARD, "welcome")
    assert welcome.frame["resumed"] is True
    assert (tab.state["state"], tab.state["session"]) == (page["state"], page["session"])
    if page["state"] == "searching":
        told = next(entry for entry in entries if entry.frame.get("state") == "searching")
        *_, hello = tab.transcript.frames(What.SAID, "hello")
        assert tab.state["since_ms"] / 1000 > hello.at - told.at - CLOCKS_S


async def test_people_go_on_through_one_restart_after_the_other(database: str) -> None:
    """The restarts happen during searches, matches and ends."""
    async with a_server_under_test(database) as tested:
        fleet = tested.fleet(12, Behaviour(vanish_every_s=20, leave=0.3))
        async with running_fleet(fleet, PEOPLE):
            for _ in range(3):
                await trio.sleep(1.5)
                assert await tested.stop() == 0
                await tested.start()
            fleet.quiet.set()
            await settled(fleet, PEOPLE)
        evidence = await tested.audited(*fleet.transcripts)
    assert "node_lost" not in {row.cause for row in evidence.rows}


async def test_after_a_kill_people_start_afresh_and_their_sessions_are_closed(database: str) -> None:
    async with a_server_under_test(database) as tested:
        fleet = tested.fleet(13, STEADY)
        async with running_fleet(fleet, PEOPLE):
            await settled(fleet, PEOPLE)
            calls = {tab.state["session"] for tab in fleet.present if tab.state["state"] == "connected"}
            recorded = partial(lambda: {row.id for row in tested.rows() if row.connected_at})
            await eventually(lambda: calls <= recorded(), limit_s=PATIENT_S)
            await tested.kill()
            await tested.start()
            await settled(fleet, PEOPLE)
            later = {tab.state["session"] for tab in fleet.present if tab.state["state"] == "connected"}
            assert later.isdisjoint(calls)
        evidence = await tested.audited(*fleet.transcripts)
    assert {evidence.row[session].cause for session in calls} == {"node_lost"}
    assert {evidence.row[session].cause for session in later}.isdisjoint({"node_lost"})


async def test_a_stop_while_the_database_is_frozen_loses_nothing(postgres: Postgres, database: str) -> None:
    """After the restart the server writes what it could not write before."""
    async with a_server_under_test(database) as tested:
        fleet = tested.fleet(14, Behaviour(vanish_every_s=1e9, leave=0.3))
        async with running_fleet(fleet, PEOPLE):
            await trio.sleep(1)
            await trio.to_thread.run_sync(postgres.freeze)
            await trio.sleep(1)
            assert await tested.stop() == 0
            await trio.to_thread.run_sync(postgres.thaw)
            await tested.start()
            fleet.quiet.set()
            await settled(fleet, PEOPLE)
        evidence = await tested.audited(*fleet.transcripts)
    assert "node_lost" not in {row.cause for row in evidence.rows}
