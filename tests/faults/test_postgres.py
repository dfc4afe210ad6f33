"""PostgreSQL is stopped, frozen, crashed and killed while people meet: they go on, and no record is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest
import trio

from studymatch.recording.store import Store
from tests.faults.fleet import Behaviour, Fleet, running_fleet
from tests.faults.postgres import (
    Postgres,
    kill_writers,
    query,
    terminate_writers,
    writers_waiting_for,
)
from tests.faults.server_under_test import PATIENT_S, ServerUnderTest, a_server_under_test
from tests.promises.transcript import What
from tests.support.rows import Story, session
from tests.support.waiting import eventually

PEOPLE = 16
BUSY = Behaviour(vanish_every_s=1e9, leave=0.3)
"""People who never vanish, and end their calls soon."""

Trouble = Callable[[ServerUnderTest, Fleet, Postgres], Awaitable[None]]

in_thread = trio.to_thread.run_sync


def sessions_told(fleet: Fleet) -> set[str]:
    """The sessions that anybody has been told of so far."""
    states = (entry for transcript in fleet.transcripts for entry in transcript.frames(What.HEARD, "state"))
    return {entry.frame["session"] for entry in states} - {None}


async def matching_goes_on(fleet: Fleet, many: int = 12) -> None:
    """Wait for that many more matches."""
    before = len(sessions_told(fleet))
    with trio.fail_after(PATIENT_S):
        while len(sessions_told(fleet)) < before + many:  # noqa: ASYNC110
            await trio.sleep(0.05)


async def is_not_ready(tested: ServerUnderTest) -> str:
    """Wait until the server reports that it is not ready; returns the answer."""
    return await eventually(partial(_refusal, tested), limit_s=PATIENT_S)


def _refusal(tested: ServerUnderTest) -> str | None:
    status, _, body = tested.server.get("/readyz")
    return body if status == 503 else None


async def stopped(tested: ServerUnderTest, fleet: Fleet, postgres: Postgres) -> None:
    """Stop it for a while; the server reports that it cannot record, but goes on."""
    await in_thread(postgres.stop)
    await matching_goes_on(fleet)
    refusal = await is_not_ready(tested)
    assert "the database last answered" in refusal
    assert "records wait" in refusal
    assert tested.server.get("/healthz")[0] == 200
    await in_thread(postgres.start)


async def restarted(tested: ServerUnderTest, fleet: Fleet, postgres: Postgres) -> None:
    """Restart it twice, as fast as possible."""
    for _ in range(2):
        await in_thread(postgres.stop)
        await in_thread(postgres.start)
        await matching_goes_on(fleet, 4)


async def frozen(tested: ServerUnderTest, fleet: Fleet, postgres: Postgres) -> None:
    """Freeze it: connections stay open, but nothing answers, so the server gets no error."""
    await in_thread(postgres.freeze)
    await matching_goes_on(fleet)
    assert "the database last answered" in await is_not_ready(tested)
    await in_thread(postgres.thaw)


async def connections_ended(tested: ServerUnderTest, fleet: Fleet, postgres: Postgres) -> None:
    """End the server's connections several times, as an administrator does."""
    for _ in range(5):
        await eventually(partial(terminate_writers, tested.conninfo))
        await matching_goes_on(fleet, 4)


async def backends_killed(tested: ServerUnderTest, fleet: Fleet, postgres: Postgres) -> None:
    """Kill the server's backends: PostgreSQL ends all others too, and recovers as after a crash."""
    for _ in range(2):
        await eventually(partial(kill_writers, tested.conninfo))
        await matching_goes_on(fleet, 4)
        await in_thread(postgres.start)


SLOW_COMMIT = """
create unlogged table slowness as select 60 as seconds;
create function commit_slowly() returns trigger language plpgsql as $$
begin perform pg_sleep(seconds) from slowness; return null; end $$;
create constraint trigger slow_commit after insert on session
deferrable initially deferred for each row execute function commit_slowly();
"""
"""A crash empties an unlogged table, so that commits are quick again."""


async def crashed_before_the_commit(tested: ServerUnderTest, fleet: Fleet, postgres: Postgres) -> None:
    """Crash it when the commit has begun but is not on disk: nothing of the transaction remains."""
    await in_thread(query, tested.conninfo, SLOW_COMMIT)
    await eventually(partial(writers_waiting_for, tested.conninfo, "PgSleep"))
    await in_thread(postgres.stop, signal.SIGQUIT)
    await in_thread(postgres.start)


async def crashed_after_the_commit(tested: ServerUnderTest, fleet: Fleet, postgres: Postgres) -> None:
    """Crash it when the commit is on disk, but the server has no answer: the transaction remains."""
    await in_thread(postgres.wait_for_standby, True)
    await eventually(partial(writers_waiting_for, tested.conninfo, "SyncRep"))
    await in_thread(postgres.stop, signal.SIGQUIT)
    await in_thread(postgres.start)
    await in_thread(postgres.wait_for_standby, False)


async def killed_after_the_commit(tested: ServerUnderTest, fleet: Fleet, postgres: Postgres) -> None:
    """End only the connection when the commit is on disk, but the server has no answer."""
    await in_thread(postgres.wait_for_standby, True)
    for _ in range(3):
        await eventually(partial(writers_waiting_for, tested.conninfo, "SyncRep"))
        await in_thread(terminate_writers, tested.conninfo)
    await in_thread(postgres.wait_for_standby, False)


TROUBLES: list[Trouble] = [
    stopped,
    restarted,
    frozen,
    connections_ended,
    backends_killed,
    crashed_before_the_commit,
    crashed_after_the_commit,
    killed_after_the_commit,
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=[trouble.__name__ for trouble in TROUBLES])
async def test_people_go_on_meeting_and_every_session_is_recorded_once(
    postgres: Postgres, database: str, trouble: Trouble
) -> None:
    async with a_server_under_test(database) as tested:
        fleet = tested.fleet(5, BUSY)
        async with running_fleet(fleet, PEOPLE):
            await matching_goes_on(fleet, 4)
            await trouble(tested, fleet, postgres)
            await matching_goes_on(fleet, 4)
            await tested.ready()
        evidence = await tested.audited(*fleet.transcripts)
        assert [line for line in tested.warnings() if line["event"] == "database unavailable"]
        assert not [line for line in tested.warnings() if line["event"] == "record refused"]
    assert "node_lost" not in {row.cause for row in evidence.rows}


async def test_times_are_right_though_the_database_took_long_to_answer(
    postgres: Postgres, database: str
) -> None:
    """Rows that are written after an outage have the times of their events."""
    story = Story()
    async with Store(database) as store:
        await store.migrate()
        await store.write(story.entries(*story.people()))
        await in_thread(postgres.freeze)
        match = story.matched(story.ada, story.ben)
        happened_by = time.time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.write, story.entries(match))
            await trio.sleep(3)
            thawed_at = time.time()
            await in_thread(postgres.thaw)
    row = await in_thread(session, database, match)
    assert happened_by - 30 < row["matched_at"].timestamp() < thawed_at - 2, "and not when it was written"


async def kill_private_postgres(tested: ServerUnderTest, killed: set[int]) -> int:
    """Wait for a PostgreSQL process that is not in `killed`, kill it, and return its id."""

    def another() -> int | None:
        with suppress(FileNotFoundError, IndexError):
            pid = tested.private_postgres()
            return None if pid in killed else pid
        return None

    pid = await eventually(another, limit_s=PATIENT_S)
    os.kill(pid, signal.SIGKILL)
    return pid


async def test_a_private_postgres_that_is_killed_again_and_again_ends_nothing() -> None:
    """People go on meeting, and the records wait. This server has a private database."""
    async with a_server_under_test(None) as tested:
        fleet = tested.fleet(6, BUSY)
        async with running_fleet(fleet, PEOPLE):
            await matching_goes_on(fleet, 4)
            killed = {await kill_private_postgres(tested, set())}
            for _ in range(4):
                killed.add(await kill_private_postgres(tested, killed))
            assert "records wait" in await is_not_ready(tested)
            await matching_goes_on(fleet)
            await tested.ready()
        await tested.audited(*fleet.transcripts, may_crash="postgres")
