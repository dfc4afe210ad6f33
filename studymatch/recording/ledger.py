"""The ledger: the one actor that writes the records of the other actors to the database.

Theory of operation
-------------------
Sending a record to the ledger never blocks and never fails. The ledger moves records from its mailbox to the
backlog (`recording.backlog`), in order. One task writes the head of the backlog to the store, one batch at a
time, and then drops it. Every batch can be written again. So if it is unknown whether the database committed
a batch, the ledger writes it again: no record is lost, and none is stored twice.

* The database was unavailable when the process started: the ledger migrates the tables (`prepare`) before it
  writes anything.
* The database is unavailable or slow: the backlog grows. The ledger moves it to a file when it is large, and
  tries to write again after growing pauses.
* The database refuses a record for good: the ledger makes the batch smaller until that record is alone,
  writes the record to a file of its own with a warning, and goes on with the others.
* On stopping (the mailbox is closed) the ledger writes the backlog within a time limit, and leaves the rest
  in the file. The next process writes it before anything newer.

A second task renews this node's lease. An open session without a lease belonged to a process that was killed,
and the ledger closes it: first after it has written the file, which may hold the true end, then with each
renewal.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
import trio

from actors import Journal, Mailbox, open_helpers
from studymatch.postgres.database import DatabaseSettingError, RecordRefusedError, StoreError
from studymatch.recording.backlog import Backlog, BacklogError
from studymatch.rules.records import (
    Entry,
    LedgerMessage,
    Node,
)


class SessionStore(Protocol):
    """What the ledger needs of a database. Every call can be repeated; the errors are those of `Store`."""

    async def write(self, batch: Sequence[Entry]) -> None: ...
    async def renew_lease(self, node: Node, lease_s: float) -> None: ...
    async def close_abandoned(self, node: Node) -> int: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """The batch sizes and times of a ledger."""

    batch_max: int = 1000
    """Records in one transaction: enough to share its cost, and still only tens of milliseconds of work."""
    linger_s: float = 0.2
    """Pause after the first record to collect others: at most 5 transactions a second, each of which costs
    about as much CPU as a call. A process that is killed loses the records of such a pause."""
    memory_max: int = 20_000
    """Records that are kept in memory (about 500 bytes each) before they are moved to the file."""
    retry_first_s: float = 0.2
    retry_most_s: float = 5.0
    """The pause after a failure doubles, from the first to the most."""
    lease_s: float = 30.0
    """How long after the last renewal this node's open sessions count as abandoned."""
    renew_every_s: float = 5.0
    stop_limit_s: float = 5.0
    """How long stopping may take before the rest of the backlog is left in the file."""


class Ledger:
    """The actor that writes to `store` for `node`. Other actors send records to `mailbox`.

    `node` stays the same when `run` is run again after a crash, since the sessions of the process go on.
    `prepare` migrates the tables before the first write; None: they are up to date. `jitter` returns a factor
    for each pause.
    """

    def __init__(
        self,
        mailbox: Mailbox[LedgerMessage],
        store: SessionStore,
        node: Node,
        backlog_path: Path,
        journal: Journal,
        *,
        prepare: Callable[[], Awaitable[object]] | None = None,
        pace: Pace = Pace(),
        jitter: Callable[[], float] = lambda: 1.0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.mailbox = mailbox
        self.refused_path = backlog_path.with_name("refused.jsonl")
        self._store = store
        self._node = node
        self._journal = journal
        self._prepare = prepare
        self._pace = pace
        self._jitter = jitter
        self._wall_clock = wall_clock
        self._backlog = Backlog(backlog_path, journal.warning, wall_clock=wall_clock)
        self._batch_size = pace.batch_max
        self._news = trio.Event()
        self._closing = trio.Event()
        self._is_prepared = False
        self._troubles: set[str] = set()
        self._is_unusable = False
        self._last_good: float | None = None

    async def run(self) -> None:
        """Write records until the mailbox is closed and all are written, or left in the file after
        `Pace.stop_limit_s`.

        Cancelling counts as closing: records that other actors send while they end are still accepted, within
        the same limit. Can be run again.

        Raises:
            BacklogError: the file of the backlog cannot be used, and the mailbox is open.
        """
        try:
            await self._run()
        except BacklogError as error:
            if not self._closing.is_set():
                raise
            # The process stops: a second attempt would take as long, and the disk would still be full.
            self._journal.warning("records lost", records=len(self._backlog), why=str(error))

    async def _run(self) -> None:
        self._is_prepared = False
        with self._backlog:
            for line in self._backlog.damaged:
                self._set_aside("a line of the spill file is damaged", line=line.decode(errors="replace"))
            if self._backlog.damaged_more:
                self._journal.warning("more damaged lines", lines=self._backlog.damaged_more)
            async with open_helpers() as helpers:
                with trio.CancelScope(shield=True) as life:
                    helpers.start_soon(self._end_when_cancelled, life)
                    await self._live(life)

    def not_ready_because(self) -> str | None:
        """Why sessions cannot be recorded right now; None: they can. No record is lost either way."""
        limit_s = 3 * self._pace.renew_every_s
        waiting = f"{len(self._backlog)} records wait"
        if self._troubles and self._is_unusable:
            return f"the database cannot be used as it is, the log says why; {waiting}"
        if self._last_good is None:
            return f"the database has not been reached yet; {waiting}"
        silent_s = trio.current_time() - self._last_good
        if self._troubles or silent_s > limit_s:
            return f"the database last answered {silent_s:.0f} s ago; {waiting}"
        return None

    async def _end_when_cancelled(self, life: trio.CancelScope) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._limit(life)

    def _limit(self, life: trio.CancelScope) -> None:
        life.deadline = min(life.deadline, trio.current_time() + self._pace.stop_limit_s)

    async def _live(self, life: trio.CancelScope) -> None:
        try:
            async with open_helpers() as helpers:
                helpers.start_soon(self._take_in, life)
                helpers.start_soon(self._keep_lease)
                await self._prepare_database()
                await self._write_until_closed()
        finally:
            for record in self.mailbox.receive_nowait_all(sys.maxsize):
                self._backlog.append(Entry(self._node.id, record))
            if left := len(self._backlog):
                self._journal.warning("spilling", records=left, file=str(self._backlog.path))

    async def _take_in(self, life: trio.CancelScope) -> None:
        """Move records from the mailbox to the backlog until the mailbox is closed; then set the stop
        limit."""
        with suppress(trio.EndOfChannel):
            while True:
                first = await self.mailbox.receive()
                for record in (first, *self.mailbox.receive_nowait_all(sys.maxsize)):
                    self._backlog.append(Entry(self._node.id, record))
                self._news.set()
        self._limit(life)
        self._closing.set()
        self._news.set()

    async def _prepare_database(self) -> None:
        """Claim the node's lease, write the records in the file, then close abandoned sessions."""
        if self._prepare is not None:
            await self._insist(self._prepare)
            self._prepare = None
        await self._insist(self._renew_lease)
        while self._backlog.in_file:
            await self._insist(self._write_batch)
        await self._insist(self._close_abandoned)
        self._is_prepared = True

    async def _write_until_closed(self) -> None:
        while True:
            if not self._backlog:
                if self._closing.is_set():
                    return
                self._news = trio.Event()
                await self._news.wait()
                continue
            if len(self._backlog) < self._batch_size and not self._closing.is_set():
                await trio.sleep(self._pace.linger_s)
            await self._insist(self._write_batch)

    async def _write_batch(self) -> None:
        """Write the head of the backlog. A refused batch is halved, down to the one record that is
        refused."""
        if self._backlog.in_memory > self._pace.memory_max:
            await self._move_to_file()
        batch = self._backlog.peek(self._batch_size)
        try:
            await self._store.write(batch)
        except RecordRefusedError as refusal:
            if len(batch) > 1:
                self._batch_size = len(batch) // 2
                return
            self._set_aside(str(refusal), record=batch[0].record, node=batch[0].node)
        self._batch_size = min(self._pace.batch_max, self._batch_size * 2)
        self._backlog.drop(len(batch))

    async def _insist(self, step: Callable[[], Awaitable[object]]) -> None:
        """Repeat `step` until it succeeds, with growing pauses."""
        pause_s = self._pace.retry_first_s
        while True:
            try:
                await step()
            except StoreError as error:  # also a wrong setting: an operator may fix the database
                self._note_trouble("write", error)
            else:
                self._note_good("write")
                return
            await self._pause(pause_s * self._jitter())
            pause_s = min(pause_s * 2, self._pace.retry_most_s)

    async def _pause(self, pause_s: float) -> None:
        """Sleep, or until the mailbox is closed, since the stop begins with another attempt."""
        if self._closing.is_set():
            await trio.sleep(pause_s)
        else:
            with trio.move_on_after(pause_s):
                await self._closing.wait()

    async def _move_to_file(self) -> None:
        try:
            await self._backlog.move_to_file()
        except BacklogError as error:
            self._journal.warning("not spilled", why=str(error), in_memory=self._backlog.in_memory)
        else:
            self._journal.warning("spilled", records=self._backlog.in_file, file=str(self._backlog.path))

    async def _keep_lease(self) -> None:
        """Renew the lease and close abandoned sessions, every `Pace.renew_every_s`."""
        while True:
            await trio.sleep(self._pace.renew_every_s)
            if self._prepare is not None:
                continue
            try:
                await self._renew_lease()
                if self._is_prepared:
                    await self._close_abandoned()
            except StoreError as error:
                self._note_trouble("lease", error)
            else:
                self._note_good("lease")

    async def _renew_lease(self) -> None:
        await self._store.renew_lease(self._node, self._pace.lease_s)

    async def _close_abandoned(self) -> None:
        if closed := await self._store.close_abandoned(self._node):
            self._journal.info("closed abandoned sessions", sessions=closed)

    def _note_trouble(self, task: str, error: StoreError) -> None:
        """Log a warning when an outage begins; log later failures as notes."""
        tell = self._journal.note if self._troubles else self._journal.warning
        tell("database unavailable", why=str(error), backlog=len(self._backlog))
        self._is_unusable = isinstance(error, DatabaseSettingError)
        self._troubles.add(task)

    def _note_good(self, task: str) -> None:
        """Note a success. A write ends the outage for both tasks. A renewed lease ends it only for the lease,
        because the write may still wait for a lock."""
        self._last_good = trio.current_time()
        if not self._troubles:
            return
        self._troubles -= {task, "lease"}
        if not self._troubles:
            self._journal.info("database available", backlog=len(self._backlog))

    def _set_aside(self, why: str, **what: Any) -> None:
        """Append a record that can never be written to a file of its own, for the operator."""
        line = msgspec.json.encode({"why": why, "unix_time": self._wall_clock(), **what})
        try:
            with open(self.refused_path, "ab", opener=_for_owner_only) as file:
                file.write(line + b"\n")
        except OSError as error:
            why = f"{why}; and it could not be set aside: {error}"
        self._journal.warning("record refused", why=why, file=str(self.refused_path))


def _for_owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
