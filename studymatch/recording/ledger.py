"""The ledger: the one actor that owns the database, and writes down what the others tell it.

Theory of operation
-------------------
Telling the ledger never blocks and never fails: what it is told goes to its mailbox, and from there to the
backlog (`recording.backlog`), in order. One task takes the head of the backlog, a batch at a time, and gives
it to the store; what the database took is dropped. Everything in a batch can be written again, so when it is
not known whether the database took it, it is simply written again: nothing is lost, nothing is doubled.

* The database was away when the process started: its tables are brought up to date (`prepare`) before
  anything is written.
* The database is away or slow: the backlog grows, is spilled to a file when it is large, and writing is tried
  again with growing pauses.
* The database refuses a record for good: the batch is made smaller until that record is alone; then it is set
  aside in a file of its own, loudly, and the others go on.
* On stopping (the mailbox is closed) the backlog is written within a limit, and what is left is spilled. The
  process that is started next replays it before anything newer.

A second task renews this node's lease. Sessions that are open without a lease were left by a process that was
killed, and are closed: first after the replay, which may know better how they ended, then with each renewal.
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
    """What the ledger needs of a database. Every call can be repeated, and raises what `Store` says."""

    async def write(self, batch: Sequence[Entry]) -> None: ...
    async def renew_lease(self, node: Node, lease_s: float) -> None: ...
    async def close_abandoned(self, node: Node) -> int: ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How the ledger goes about it."""

    batch_max: int = 1000
    """Records in one transaction: enough to make its cost small, and still tens of milliseconds."""
    linger_s: float = 0.2
    """Wait after the first record for others to come along: at most 5 transactions a second, each of which
    costs about as much CPU as a call. So much is not recorded if the process is killed outright."""
    memory_max: int = 20_000
    """Records that are kept in memory (about 500 bytes each) before they are spilled."""
    retry_first_s: float = 0.2
    retry_most_s: float = 5.0
    """The pause after a failure doubles, from the first to the most."""
    lease_s: float = 30.0
    """How long after its last sign of life this node's open sessions count as abandoned."""
    renew_every_s: float = 5.0
    stop_limit_s: float = 5.0
    """How long stopping may take before what is left is spilled."""


class Ledger:
    """The actor round `store`, on behalf of `node`. What happened is told to `mailbox`.

    `node` is made once for each life of the process, and stays the same when `run` is run again after a
    crash: sessions go on meanwhile. `prepare` brings the tables up to date, before the first write; None:
    they are. `jitter` gives a factor for each pause.
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
        """Write down what is told until the mailbox is closed and all is written, or spilled after
        `Pace.stop_limit_s`.

        Cancelling counts as closing: what is told while everybody unwinds is still taken in, within the
        same limit. Can be run again.

        Raises:
            BacklogError: the spill file cannot be used, and the mailbox is open.
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
        """Why sessions cannot be recorded right now; None: they can. They are not lost either way."""
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
        """Move records from the mailbox to the backlog until the mailbox is closed; then limit the life."""
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
        """Take this node's place: claim it, replay what was spilled, then close what was abandoned."""
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
        """Write the head of the backlog. A batch that is refused is made smaller, down to the one record."""
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
        """Do `step` until the database has done it, with growing pauses."""
        pause_s = self._pace.retry_first_s
        while True:
            try:
                await step()
            except StoreError as error:  # somebody may put it right
                self._note_trouble("write", error)
            else:
                self._note_good("write")
                return
            await self._pause(pause_s * self._jitter())
            pause_s = min(pause_s * 2, self._pace.retry_most_s)

    async def _pause(self, pause_s: float) -> None:
        """Sleep, but not into the stop: that begins with another attempt."""
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
        """Renew the lease, and close what other nodes abandoned, every now and then."""
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
        """Write one line when an outage begins, and remember the others."""
        tell = self._journal.note if self._troubles else self._journal.warning
        tell("database unavailable", why=str(error), backlog=len(self._backlog))
        self._is_unusable = isinstance(error, DatabaseSettingError)
        self._troubles.add(task)

    def _note_good(self, task: str) -> None:
        """A renewed lease says nothing of writing, which may wait for a lock; a write speaks for both."""
        self._last_good = trio.current_time()
        if not self._troubles:
            return
        self._troubles -= {task, "lease"}
        if not self._troubles:
            self._journal.info("database available", backlog=len(self._backlog))

    def _set_aside(self, why: str, **what: Any) -> None:
        """Keep what can never be written in a file of its own, for somebody to look at."""
        line = msgspec.json.encode({"why": why, "unix_time": self._wall_clock(), **what})
        try:
            with open(self.refused_path, "ab", opener=_for_owner_only) as file:
                file.write(line + b"\n")
        except OSError as error:
            why = f"{why}; and it could not be set aside: {error}"
        self._journal.warning("record refused", why=why, file=str(self.refused_path))


def _for_owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
