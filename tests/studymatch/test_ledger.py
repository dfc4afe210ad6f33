"""The ledger: nothing is lost, nothing is doubled, whatever happens to the database or to the process.

Where that is the point the database is a real PostgreSQL; the rest runs on a jumping clock and a store that
does as it is told.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio
from trio.testing import MockClock

from actors import Mailbox
from actors.testing import Lines
from studymatch.ids import new_id
from studymatch.postgres.database import (
    DatabaseSettingError,
    DatabaseUnavailableError,
    Limits,
    RecordRefusedError,
)
from studymatch.postgres.private import embedded_postgres
from studymatch.recording.backlog import Backlog, BacklogError
from studymatch.recording.ledger import Ledger, Pace, SessionStore
from studymatch.recording.store import Store
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import (
    Entry,
    LedgerMessage,
    Node,
    PersonArrived,
    SessionConnected,
    SessionEnded,
    SessionMatched,
)
from tests.support.database import on
from tests.support.rows import Story, query, seats, session, sessions, waiting_for_a_lock
from tests.support.waiting import eventually

QUICK = Limits(connect_s=2.0, acquire_s=1.0, lock_s=0.2, statement_s=2.0)
HASTY = Pace(linger_s=0.0, retry_first_s=0.02, retry_most_s=0.1, stop_limit_s=60.0)
IMPATIENT = replace(HASTY, stop_limit_s=0.5)
"""For a stop that is to give up. Where it is to succeed, a busy machine may need longer than that."""


@dataclass
class Desk:
    """A ledger on a store, and what can be seen from outside."""

    folder: Path
    story: Story = field(default_factory=Story)
    lines: Lines = field(default_factory=Lines)
    pace: Pace = HASTY
    mailbox: Mailbox[LedgerMessage] = field(default_factory=Mailbox)

    @property
    def spill_path(self) -> Path:
        return self.folder / "unwritten.jsonl"

    def ledger(self, store: SessionStore) -> Ledger:
        return Ledger(
            self.mailbox,
            store,
            self.story.node,
            self.spill_path,
            self.lines.journal("ledger"),
            pace=self.pace,
        )

    def tell(self, *records: LedgerMessage) -> None:
        for record in records:
            assert self.mailbox.tell(record)

    @asynccontextmanager
    async def open(self, store: SessionStore) -> AsyncIterator[Ledger]:
        """The ledger while the block is open; on leaving it is closed, and awaited."""
        ledger = self.ledger(store)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ledger.run)
            yield ledger
            self.mailbox.close()

    def next_life(self) -> Desk:
        """The same place after the process was started again."""
        node = Node(new_id(), self.story.node.name, former=self.story.node.id)
        return Desk(self.folder, Story(node), self.lines, self.pace)

    def spilled(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.spill_path.read_text().splitlines()]

    def refused(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "refused.jsonl").read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


class Stopwatch:
    """A store that does as it is told, and remembers when what was asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, str, int]] = []
        self.entries: list[Entry] = []
        self.away = False
        self.cannot = ""
        self.refuses: set[LedgerMessage] = set()

    async def _called(self, what: str, size: int = 0) -> None:
        self.calls.append((trio.current_time(), what, size))
        await trio.lowlevel.checkpoint()
        if self.away or what == self.cannot:
            raise DatabaseUnavailableError("The database is away.")

    async def write(self, batch: Sequence[Entry]) -> None:
        await self._called("write", len(batch))
        if not self.refuses.isdisjoint(entry.record for entry in batch):
            raise RecordRefusedError("not this one")
        self.entries.extend(batch)

    async def renew_lease(self, node: Node, lease_s: float) -> None:
        await self._called("renew")

    async def close_abandoned(self, node: Node) -> int:
        await self._called("sweep")
        return 0

    def times(self, what: str) -> list[float]:
        return [at for at, called, _ in self.calls if called == what]

    def sizes(self) -> list[int]:
        return [size for _, called, size in self.calls if called == "write"]


# On a real PostgreSQL


@pytest.fixture
async def store(conninfo: str) -> AsyncIterator[Store]:
    async with Store(conninfo, limits=QUICK) as store:
        yield store


async def test_what_is_told_is_in_the_database_a_moment_later(
    desk: Desk, store: Store, conninfo: str
) -> None:
    story = desk.story
    match = story.matched(story.ada, story.ben)
    async with desk.open(store) as ledger:
        desk.tell(*story.people(), match)
        await eventually(lambda: match.session in sessions(conninfo))
        desk.tell(story.connected(match))
        await eventually(lambda: session(conninfo, match)["connected_at"])
        desk.tell(story.ended(match))
        await eventually(lambda: session(conninfo, match)["ended_at"])
        await until(lambda: ledger.not_ready_because() is None)
    row = session(conninfo, match)
    assert (row["cause"], row["ended_by"], str(row["node"])) == ("skipped", story.ada, story.node.id)
    assert query(conninfo, "select id::text, name from node") == [{"id": story.node.id, "name": "here"}]
    assert [line["event"] for line in desk.lines] == []


def some_sessions(story: Story, number: int) -> list[LedgerMessage]:
    """One session after the other, of the same three people; the last stays open."""
    records = story.people()
    pairs = [(story.ada, story.ben), (story.ben, story.cem), (story.cem, story.ada)]
    ends = [SessionCause.SKIPPED, SessionCause.ENDED, SessionCause.CONNECT_TIMEOUT, SessionCause.LOST]
    for turn in range(number):
        match = story.matched(*pairs[turn % 3])
        records += [match, story.connected(match), story.ended(match, ends[turn % 4])]
    return records[:-1]


def names(records: Iterable[LedgerMessage]) -> list[tuple[str, str]]:
    """What tells records apart; the time changes by a moment on the way through a file."""
    return [(type(r).__name__, r.person if isinstance(r, PersonArrived) else r.session) for r in records]


async def until(condition: Callable[[], bool]) -> None:
    """As `eventually`, for what can be asked in the trio thread only."""
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.02)


def as_recorded(conninfo: str) -> dict[str, tuple[bool, str | None]]:
    return {name: (row["connected_at"] is not None, row["cause"]) for name, row in sessions(conninfo).items()}


def as_told(records: Sequence[LedgerMessage]) -> dict[str, tuple[bool, str | None]]:
    """What the rows should say: whether it was connected, and the cause of its end."""
    rows: dict[str, tuple[bool, str | None]] = {}
    for record in records:
        match record:
            case SessionMatched(name):
                rows[name] = (False, None)
            case SessionConnected(name):
                rows[name] = (True, None)
            case SessionEnded(name, cause):
                rows[name] = (rows[name][0], cause.value)
    return rows


def new_database(server: str) -> str:
    """A database on a server of the test's own; gives its connection string."""
    name = f"ledger_{new_id().replace('-', '')}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
    return on(server, name)


async def test_while_the_server_is_away_everything_is_kept_and_then_written(
    desk: Desk, used_dir: Path
) -> None:
    """Away at the start, and again later."""
    server = partial(embedded_postgres, used_dir, durable=False, journal=Lines().journal("postgres"))
    async with server() as main:
        conninfo = new_database(main)
        await Store(conninfo).migrate()
    records = some_sessions(desk.story, 30)
    async with Store(conninfo, limits=QUICK) as store, desk.open(store) as ledger:
        desk.tell(*records[:20])
        assert ledger.not_ready_because() == "the database has not been reached yet; 0 records wait"
        await eventually(lambda: desk.lines.events("database unavailable"))
        async with server():
            await eventually(lambda: as_recorded(conninfo) == as_told(records[:20]))
            await until(lambda: ledger.not_ready_because() is None)
        desk.tell(*records[20:50])
        await eventually(lambda: len(desk.lines.events("database unavailable")) == 2)
        assert ledger.not_ready_because() is not None
        desk.tell(*records[50:])
        async with server():
            await eventually(lambda: as_recorded(conninfo) == as_told(records))
            await eventually(lambda: len(desk.lines.events("database available")) == 2)
            assert len(seats(conninfo)) == 2
    assert len(desk.lines) == 4


async def test_what_could_not_be_written_before_the_stop_is_written_by_the_next_life(
    desk: Desk, used_dir: Path
) -> None:
    """Before it closes what the former life left open, so that real ends are not taken for losses."""
    server = partial(embedded_postgres, used_dir, durable=False, journal=Lines().journal("postgres"))
    records = some_sessions(desk.story, 8)
    later = desk.next_life()
    desk.pace = IMPATIENT
    later.story.ada, later.story.ben = desk.story.ada, desk.story.ben
    async with server() as main:
        conninfo = new_database(main)
        await Store(conninfo).migrate()
    async with Store(conninfo, limits=QUICK) as store, desk.open(store):
        desk.tell(*records[:-6])
        await eventually(lambda: desk.lines.events("database unavailable"))
        desk.tell(*records[-6:])
    assert [line["records"] for line in desk.lines.events("spilling")] == [len(records)]
    assert len(desk.spilled()) == len(records)

    async with server(), Store(conninfo, limits=QUICK) as store, later.open(store):
        match = later.story.matched(later.story.ada, later.story.ben)
        later.tell(match)
        await eventually(lambda: match.session in sessions(conninfo))
        expected = as_told(records)
        left_open = next(name for name, (_, cause) in expected.items() if cause is None)
        expected[left_open] = (True, "node_lost")
        assert as_recorded(conninfo) == expected | {match.session: (False, None)}
        assert {str(row["node"]) for row in sessions(conninfo).values()} == {
            desk.story.node.id,
            later.story.node.id,
        }
    assert desk.spilled() == []


class Forgetful(Store):
    """A store whose connection breaks after every other commit, before the answer is there."""

    commits = 0

    async def write(self, batch: Sequence[Entry]) -> None:
        await super().write(batch)
        self.commits += 1
        if self.commits % 2:
            raise DatabaseUnavailableError("The connection broke.")


async def test_what_was_committed_without_an_answer_is_not_doubled(desk: Desk, conninfo: str) -> None:
    records = some_sessions(desk.story, 40)
    desk.pace = replace(HASTY, batch_max=7)
    store = Forgetful(conninfo, limits=QUICK)
    async with store, desk.open(store):
        desk.tell(*records)
        await eventually(lambda: as_recorded(conninfo) == as_told(records))
    assert store.commits > len(records) / 7
    assert as_recorded(conninfo) == as_told(records)


async def test_connections_that_are_killed_in_the_midst_of_it_lose_nothing(
    desk: Desk, store: Store, conninfo: str
) -> None:
    kill = (
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and application_name = 'studymatch'"
    )
    records = some_sessions(desk.story, 40)
    async with desk.open(store):
        for begin in range(0, len(records), 10):
            desk.tell(*records[begin : begin + 10])
            await eventually(lambda: query(conninfo, kill))
        await eventually(lambda: as_recorded(conninfo) == as_told(records))
    assert desk.lines.events("database unavailable")


async def test_a_lock_that_somebody_holds_delays_and_no_more(desk: Desk, store: Store, conninfo: str) -> None:
    records = some_sessions(desk.story, 5)
    async with desk.open(store) as ledger:
        await until(lambda: ledger.not_ready_because() is None)
        with psycopg.connect(conninfo) as other:
            other.execute("lock table session")
            desk.tell(*records)
            await eventually(lambda: desk.lines.events("database unavailable"))
            assert "records wait" in str(ledger.not_ready_because())
        await eventually(lambda: as_recorded(conninfo) == as_told(records))
    assert "too slow" in desk.lines.events("database unavailable")[0]["why"]


async def test_a_stop_does_not_wait_for_a_write_that_hangs(desk: Desk, conninfo: str) -> None:
    """What it leaves to its thread may be written twice, by that thread and by the next life."""
    records = some_sessions(desk.story, 5)
    later = desk.next_life()
    desk.pace = IMPATIENT
    async with Store(conninfo, limits=Limits(lock_s=60.0, statement_s=60.0)) as store:
        with psycopg.connect(conninfo) as other:
            other.execute("lock table session")
            async with desk.open(store):
                desk.tell(*records)
                await eventually(lambda: waiting_for_a_lock(conninfo))
            assert len(desk.spilled()) == len(records)
        async with later.open(store):
            await eventually(lambda: len(as_recorded(conninfo)) == 5)
            await eventually(lambda: None not in {cause for _, cause in as_recorded(conninfo).values()})
    told = as_told(records)
    assert as_recorded(conninfo) == {name: (True, cause or "node_lost") for name, (_, cause) in told.items()}


async def test_what_the_database_refuses_for_good_is_set_aside_and_the_others_go_on(
    desk: Desk, store: Store, conninfo: str
) -> None:
    records = some_sessions(desk.story, 20)
    alone = desk.story.matched(desk.story.ada, desk.story.ada)
    nobody = desk.story.matched(desk.story.cem, new_id())
    async with desk.open(store):
        desk.tell(*records[:10], alone, *records[10:31], nobody, *records[31:])
        await eventually(lambda: as_recorded(conninfo) == as_told(records))
    assert [line["record"]["session"] for line in desk.refused()] == [alone.session, nobody.session]
    assert "session_needs_two_people" in desk.refused()[0]["why"]
    assert "session_second_person_fkey" in desk.refused()[1]["why"]
    warnings = desk.lines.events("record refused")
    assert [line["level"] for line in warnings] == ["warning"] * 2
    assert warnings[0]["file"] == str(desk.folder / "refused.jsonl")


async def test_a_session_of_a_killed_process_is_closed_at_the_next_start(
    desk: Desk, store: Store, conninfo: str
) -> None:
    match = desk.story.matched(desk.story.ada, desk.story.ben)
    await store.renew_lease(desk.story.node, 30.0)
    await store.write(desk.story.entries(*desk.story.people(), match))
    async with desk.next_life().open(store):
        await eventually(lambda: session(conninfo, match)["cause"] == "node_lost")
    assert [line["sessions"] for line in desk.lines.events("closed abandoned sessions")] == [1]


# On a jumping clock


async def test_records_that_come_close_together_are_written_together(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.pace = Pace(linger_s=0.025)
    store = Stopwatch()
    records = some_sessions(desk.story, 3)
    async with desk.open(store):
        await trio.sleep(1.0)
        for record in records[:5]:
            desk.tell(record)
            await trio.sleep(0.004)
        await trio.sleep(1.0)
        desk.tell(records[5])
        await trio.sleep(1.0)
        desk.tell(*records[6:])
    assert store.sizes() == [5, 1, len(records) - 6]
    assert [entry.record for entry in store.entries] == records
    assert store.times("write") == pytest.approx([1.025, 2.045, 3.02])


async def test_a_batch_has_a_limit(desk: Desk, autojump_clock: MockClock) -> None:
    desk.pace = Pace(batch_max=10)
    store = Stopwatch()
    async with desk.open(store):
        desk.tell(*some_sessions(desk.story, 10))
    assert store.sizes() == [10, 10, 10, 2]


async def test_a_refused_record_is_looked_for_by_halves(desk: Desk, autojump_clock: MockClock) -> None:
    desk.pace = Pace(batch_max=64)
    store = Stopwatch()
    records = some_sessions(desk.story, 40)
    store.refuses = {records[50]}
    async with desk.open(store):
        desk.tell(*records)
    assert [entry.record for entry in store.entries] == [r for r in records if r != records[50]]
    assert len(store.sizes()) < 20
    assert len(desk.refused()) == 1


async def test_pauses_grow_while_the_database_is_away(desk: Desk, autojump_clock: MockClock) -> None:
    desk.pace = Pace(retry_first_s=0.25, retry_most_s=2.0, renew_every_s=1000.0)
    store = Stopwatch()
    store.away = True
    async with desk.open(store) as ledger:
        await trio.sleep(7.0)
        assert store.times("renew") == [0.0, 0.25, 0.75, 1.75, 3.75, 5.75]
        assert len(desk.lines) == 1, "an outage is one line, however long it lasts"
        assert ledger.not_ready_because() == "the database has not been reached yet; 0 records wait"
        store.away = False
    assert [line["event"] for line in desk.lines] == ["database unavailable", "database available"]


async def test_the_tables_are_made_before_anything_is_written_once_the_database_is_there(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.pace = Pace(retry_first_s=1.0, retry_most_s=4.0, renew_every_s=5.0)
    store, prepared = Stopwatch(), list[float]()
    trouble: list[Exception] = [DatabaseUnavailableError("away"), DatabaseSettingError("too old")] * 2

    async def prepare() -> None:
        if trouble:
            raise trouble.pop()
        prepared.append(trio.current_time())

    ledger = Ledger(
        desk.mailbox,
        store,
        desk.story.node,
        desk.spill_path,
        desk.lines.journal("ledger"),
        prepare=prepare,
        pace=desk.pace,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        desk.tell(*desk.story.people())
        await trio.sleep(0.5)
        assert ledger.not_ready_because() == (
            "the database cannot be used as it is, the log says why; 3 records wait"
        )
        await trio.sleep(1.0)
        assert ledger.not_ready_because() == "the database has not been reached yet; 3 records wait"
        await trio.sleep(9.0)
        assert store.calls == []
        await trio.sleep(1.0)
        desk.mailbox.close()
    assert prepared == [11.0]
    assert store.times("renew") == [11.0]
    assert len(store.entries) == 3
    assert len(desk.lines.events("database unavailable")) == 1


async def test_jitter_stretches_the_pauses(desk: Desk, autojump_clock: MockClock) -> None:
    store = Stopwatch()
    store.away = True
    pace = Pace(retry_first_s=1.0, retry_most_s=4.0, renew_every_s=1000.0)
    journal = desk.lines.journal("ledger")
    factors = iter([1.5, 0.5, 1.0, 1.0])
    ledger = Ledger(
        desk.mailbox,
        store,
        desk.story.node,
        desk.spill_path,
        journal,
        pace=pace,
        jitter=lambda: next(factors),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ledger.run)
        await trio.sleep(7.0)
        store.away = False
        desk.mailbox.close()
    assert store.times("renew") == [0.0, 1.5, 2.5, 6.5, 7.0]


async def test_when_memory_is_full_records_go_to_the_file_and_keep_their_order(
    desk: Desk, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trio.to_thread, "run_sync", in_this_thread)
    desk.pace = Pace(memory_max=10, batch_max=7, retry_most_s=5.0)
    store = Stopwatch()
    records = some_sessions(desk.story, 40)
    async with desk.open(store):
        await trio.sleep(1.0)
        store.away = True
        for record in records[:100]:
            desk.tell(record)
            await trio.sleep(0.3)
        await trio.sleep(5.0)  # the longest pause between two attempts, each of which looks at the memory
        assert len(desk.spilled()) >= 90
        store.away = False
        desk.tell(*records[100:])
        await trio.sleep(60.0)
        assert names(entry.record for entry in store.entries) == names(records)
        assert desk.spilled() == []


async def in_this_thread(work: Callable[..., Any], *args: Any) -> Any:
    """As `trio.to_thread.run_sync`: a thread would take as long as it likes on a clock that jumps."""
    await trio.lowlevel.checkpoint()
    return work(*args)


async def test_a_spill_file_that_cannot_be_written_leaves_records_in_memory(
    desk: Desk, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: Backlog) -> None:
        raise BacklogError("the disk is full")

    desk.pace = Pace(memory_max=10)
    store = Stopwatch()
    records = some_sessions(desk.story, 40)
    monkeypatch.setattr(Backlog, "move_to_file", fail)
    async with desk.open(store):
        store.away = True
        desk.tell(*records)
        await trio.sleep(10.0)
        store.away = False
    assert [entry.record for entry in store.entries] == records
    assert desk.lines.events("not spilled")[0]["why"] == "the disk is full"


async def test_at_the_start_the_node_is_claimed_then_the_file_replayed_then_what_is_left_is_closed(
    desk: Desk, autojump_clock: MockClock
) -> None:
    records = some_sessions(desk.story, 4)
    with Backlog(desk.spill_path, desk.lines.journal("other").warning) as backlog:
        for entry in desk.story.entries(*records[:10]):
            backlog.append(entry)
    store = Stopwatch()
    later = desk.next_life()
    later.tell(*records[10:])
    async with later.open(store):
        await trio.sleep(1.0)
    assert [what for _, what, _ in store.calls] == ["renew", "write", "sweep", "write"]
    assert store.sizes() == [10, len(records) - 10]
    assert {entry.node for entry in store.entries[:10]} == {desk.story.node.id}
    assert {entry.node for entry in store.entries[10:]} == {later.story.node.id}


async def test_nothing_is_closed_before_the_file_is_replayed_however_long_that_takes(
    desk: Desk, autojump_clock: MockClock
) -> None:
    with Backlog(desk.spill_path, desk.lines.journal("other").warning) as backlog:
        backlog.append(desk.story.entries(*desk.story.people())[0])
    desk.pace = Pace(renew_every_s=5.0)
    store = Stopwatch()
    store.cannot = "write"
    async with desk.open(store) as ledger:
        await trio.sleep(12.0)
        assert store.times("renew") == [0.0, 5.0, 10.0]
        assert store.times("sweep") == []
        assert ledger.not_ready_because() is not None, "a lease that can be renewed does not make it ready"
        store.cannot = ""
        await trio.sleep(10.0)
        assert len(store.entries) == 1
        assert len(store.times("sweep")) > 0


async def test_the_lease_is_renewed_and_what_others_abandoned_is_closed_every_few_seconds(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.pace = Pace(renew_every_s=5.0)
    store = Stopwatch()
    async with desk.open(store):
        await trio.sleep(17.0)
    assert store.times("renew") == store.times("sweep") == [0.0, 5.0, 10.0, 15.0]


async def test_silence_of_the_database_is_not_readiness(desk: Desk, autojump_clock: MockClock) -> None:
    """A call that hangs raises nothing, so that time is all there is to go by."""

    class Hanging(Stopwatch):
        async def renew_lease(self, node: Node, lease_s: float) -> None:
            await super().renew_lease(node, lease_s)
            if trio.current_time() > 0:
                await trio.sleep_forever()

    desk.pace = Pace(renew_every_s=5.0)
    async with desk.open(Hanging()) as ledger:
        await trio.sleep(15.0)
        assert ledger.not_ready_because() is None
        await trio.sleep(1.0)
        assert ledger.not_ready_because() == "the database last answered 16 s ago; 0 records wait"


async def test_an_outage_shows_at_once_and_so_does_its_end(desk: Desk, autojump_clock: MockClock) -> None:
    desk.pace = Pace(renew_every_s=5.0, retry_most_s=1.0)
    store = Stopwatch()
    async with desk.open(store) as ledger:
        await trio.sleep(1.0)
        assert ledger.not_ready_because() is None
        store.away = True
        desk.tell(*desk.story.people())
        await trio.sleep(0.5)
        assert ledger.not_ready_because() == "the database last answered 2 s ago; 3 records wait"
        store.away = False
        await trio.sleep(1.0)
        assert ledger.not_ready_because() is None


async def test_a_stop_does_not_begin_with_the_rest_of_a_pause(desk: Desk, autojump_clock: MockClock) -> None:
    desk.pace = Pace(retry_first_s=60.0, retry_most_s=60.0, stop_limit_s=5.0)
    store = Stopwatch()
    async with desk.open(store):
        await trio.sleep(1.0)
        store.away = True
        desk.tell(*desk.story.people())
        await trio.sleep(1.0)
        store.away = False
    assert len(store.entries) == 3
    assert trio.current_time() == pytest.approx(2.0)


async def test_a_stop_is_bounded_and_spills_what_is_left(desk: Desk, autojump_clock: MockClock) -> None:
    desk.pace = Pace(stop_limit_s=5.0)
    store = Stopwatch()
    async with desk.open(store):
        await trio.sleep(1.0)
        store.away = True
        desk.tell(*desk.story.people())
    assert trio.current_time() == pytest.approx(6.0)
    assert [line["record"]["name"] for line in desk.spilled()] == ["Ada", "Ben", "Cem"]
    assert desk.lines.events("spilling")[0]["records"] == 3


@pytest.mark.parametrize("away", [False, True])
async def test_a_cancelled_ledger_takes_in_what_is_told_while_everybody_unwinds(
    desk: Desk, autojump_clock: MockClock, away: bool
) -> None:
    """As the supervisor does it: the ledger is cancelled with all the others, and closed after them."""
    desk.pace = Pace(stop_limit_s=5.0)
    store = Stopwatch()
    records = some_sessions(desk.story, 2)
    with trio.CancelScope() as everything:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.ledger(store).run)
            try:
                await trio.sleep(1.0)
                store.away = away
                desk.tell(*records[:4])
                everything.cancel()
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(1.0)
                desk.tell(*records[4:])
                desk.mailbox.close()
    written = [entry.record for entry in store.entries]
    assert written == ([] if away else records)
    assert len(desk.spilled()) == (len(records) if away else 0)
    assert trio.current_time() == pytest.approx(6.0 if away else 2.0)


async def test_a_cancelled_ledger_that_nobody_closes_ends_all_the_same(
    desk: Desk, autojump_clock: MockClock
) -> None:
    desk.pace = Pace(stop_limit_s=5.0)
    with trio.move_on_after(1.0) as scope:
        await desk.ledger(Stopwatch()).run()
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(6.0)


async def test_a_crash_loses_nothing_and_the_ledger_can_run_again(
    desk: Desk, autojump_clock: MockClock
) -> None:
    class Buggy(Stopwatch):
        async def write(self, batch: Sequence[Entry]) -> None:
            if not self.times("write"):
                await self._called("write", len(batch))
                raise ZeroDivisionError
            await super().write(batch)

    store = Buggy()
    ledger = desk.ledger(store)
    records = some_sessions(desk.story, 5)
    desk.tell(*records[:10])
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await ledger.run()
    desk.tell(*records[10:])
    desk.mailbox.close()
    await ledger.run()
    assert names(entry.record for entry in store.entries) == names(records)


async def test_a_crash_leaves_nothing_in_the_mailbox(desk: Desk, autojump_clock: MockClock) -> None:
    """It may be the last one, after which nobody reads it any more."""
    first, *others = desk.story.people()

    class Buggy(Stopwatch):
        async def write(self, batch: Sequence[Entry]) -> None:
            desk.tell(*others)
            raise ZeroDivisionError

    desk.tell(first)
    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        await desk.ledger(Buggy()).run()
    assert len(desk.mailbox) == 0
    assert [line["record"]["name"] for line in desk.spilled()] == ["Ada", "Ben", "Cem"]


async def test_a_damaged_line_of_the_spill_file_is_set_aside(desk: Desk, autojump_clock: MockClock) -> None:
    with Backlog(desk.spill_path, desk.lines.journal("other").warning) as backlog:
        for entry in desk.story.entries(*desk.story.people()):
            backlog.append(entry)
    damage(desk.spill_path)
    store = Stopwatch()
    async with desk.open(store):
        await trio.sleep(1.0)
    assert len(store.entries) == 2
    assert [line["line"] for line in desk.refused()] == ["nonsense\n"]
    assert len(desk.lines.events("record refused")) == 1


def damage(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    lines[1] = "nonsense\n"
    path.write_text("".join(lines))


async def test_a_spill_file_that_another_process_uses_ends_the_run(desk: Desk) -> None:
    with (
        Backlog(desk.spill_path, desk.lines.journal("other").warning),
        pytest.raises(BacklogError, match="another studymatch process uses it"),
    ):
        await desk.ledger(Stopwatch()).run()


async def test_a_stop_that_can_neither_write_nor_spill_is_over_within_its_limit(
    desk: Desk, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was run again and again, as after a crash, for as long each time."""

    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    store = Stopwatch()
    store.away = True
    records = some_sessions(desk.story, 4)
    async with desk.open(store):
        await trio.sleep(1.0)
        desk.tell(*records)
        monkeypatch.setattr(os, "fsync", no_space)
        stopped_at = trio.current_time()
    assert trio.current_time() - stopped_at <= desk.pace.stop_limit_s + 1.0
    [lost] = desk.lines.events("records lost")
    assert lost["records"] == len(records)
    assert "No space left" in lost["why"]


async def test_a_refusal_that_cannot_be_set_aside_is_told_all_the_same(
    desk: Desk, autojump_clock: MockClock
) -> None:
    store = Stopwatch()
    record = desk.story.matched(desk.story.ada, desk.story.ada)
    store.refuses = {record}
    (desk.folder / "refused.jsonl").mkdir()
    async with desk.open(store):
        desk.tell(record)
    [line] = desk.lines.events("record refused")
    assert "not this one; and it could not be set aside" in line["why"]
