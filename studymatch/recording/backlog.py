"""The backlog: records that are not in the database yet, first in memory, then in a file, in order.

Theory of operation
-------------------
The backlog is one queue in two parts. Its head is a file, its tail is memory. New records go to memory. If
there are too many, or the process stops, the ledger moves all of them to the end of the file. Records that
are in the database are dropped from the head. The file is emptied once all its records are dropped.

The file is only appended to (one JSON object per line, synced to the disk) or emptied. Only memory keeps how
much of its head was dropped, so after a crash some records are read again; writing them again changes nothing
(`Store.write`). If the process was killed while it wrote a line, that line was never acknowledged; it is cut
off when the file is opened.

Trio's clock ends with the process. So the file holds wall clock times, which are converted to trio's clock
when they are read; only differences of the wall clock matter.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec
import trio
from msgspec import Struct

from studymatch.rules.records import Entry, LedgerMessage
from studymatch.state_files import Tell, decode, make_way, sync_folder


class BacklogError(Exception):
    """The file cannot be used; the text is for people and says what to do."""


class BacklogLine(Struct, frozen=True):
    """One line of the file: `wall` is the Unix time in seconds at which `record` happened."""

    wall: float
    node: str
    record: LedgerMessage


LINE_MAX = 64 * 1024
"""The most bytes of a line that is read as a record. A record has about 200."""

DAMAGED_MAX = 1000
"""How many damaged lines are kept for people to look at."""

_decoder = msgspec.json.Decoder(BacklogLine)
_encode = msgspec.json.Encoder().encode


class Backlog:
    """Records on their way to the database, the oldest first.

    A context manager that holds the file at `path` open; leaving it moves the records in memory to the file.
    Records can also be appended before and after; they stay in memory.

    Raises:
        BacklogError: on entering: the file cannot be used, or another process has it; on leaving: the records
            in memory cannot be written. They stay in memory.
    """

    def __init__(self, path: Path, tell: Tell, *, wall_clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._tell = tell
        self.damaged: list[bytes] = []
        """The first lines that could not be read when the file was opened; `peek` skips them."""
        self.damaged_more = 0
        """The number of further lines that could not be read."""
        self._wall_clock = wall_clock
        self._memory: deque[Entry] = deque()
        self._file: BinaryIO | None = None
        self._lines = 0  # records in the file that are not dropped yet
        self._head = 0  # where they begin, in bytes
        self._ends: list[int] = []  # where each record ends that `peek` read last

    def __len__(self) -> int:
        return self._lines + len(self._memory)

    @property
    def in_memory(self) -> int:
        """How many records are in memory only."""
        return len(self._memory)

    @property
    def in_file(self) -> int:
        """How many records wait in the file."""
        return self._lines

    def append(self, entry: Entry) -> None:
        """Add a record at the end, in memory."""
        self._memory.append(entry)

    def peek(self, limit: int) -> list[Entry]:
        """Up to `limit` records from the head, all of them from the file or all from memory."""
        if not self._lines:
            return list(islice(self._memory, limit))
        now, wall = trio.current_time(), self._wall_clock()
        entries: list[Entry] = []
        self._ends = []
        with self.path.open("rb") as file:
            end = file.seek(self._head)
            for line, length in _lines(file):
                end += length
                if (kept := _read(line)) is not None:
                    record = msgspec.structs.replace(kept.record, at=now - (wall - kept.wall))
                    entries.append(Entry(kept.node, record))
                    self._ends.append(end)
                    if len(entries) == limit:
                        break
        if not entries:
            raise BacklogError(
                f"{self.path} was changed by somebody else: it should hold {self._lines} records."
            )
        return entries

    def drop(self, count: int) -> None:
        """Remove the first `count` of the records that `peek` returned last."""
        if not self._lines:
            for _ in range(count):
                self._memory.popleft()
            return
        self._lines -= count
        self._head = self._ends[count - 1]
        if not self._lines:
            self._open_file.truncate(0)
            self._head = 0

    async def move_to_file(self) -> None:
        """Move all records in memory to the end of the file, in a worker thread. It cannot be cancelled.

        Raises:
            BacklogError: they cannot be written, and stay in memory.
        """
        entries = list(self._memory)
        await trio.to_thread.run_sync(self._append_to_file, self._as_lines(entries))
        self._forget(len(entries))

    def __enter__(self) -> Backlog:
        try:
            make_way(self.path, self._tell)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._file = os.fdopen(descriptor, "ab", buffering=0)
            sync_folder(self.path.parent)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._survey()
        except OSError as error:
            self._close_file()
            in_use = isinstance(error, BlockingIOError)
            why = "another studymatch process uses it" if in_use else str(error)
            raise BacklogError(
                f"The file {self.path}, for what cannot be written to the database, cannot be used: {why}."
                " Give every process a data folder of its own, in which it may write."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._append_to_file(self._as_lines(self._memory))
            self._forget(len(self._memory))
        finally:
            self._close_file()

    @property
    def _open_file(self) -> BinaryIO:
        assert self._file is not None, "the backlog is not entered"
        return self._file

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _survey(self) -> None:
        """Count the records of an earlier process, note damaged lines, and cut off an unfinished last
        line."""
        self.damaged, self.damaged_more, self._lines, self._head = [], 0, 0, 0
        end = 0
        with self.path.open("rb") as file:
            for line, length in _lines(file):
                end += length
                if _read(line) is not None:
                    self._lines += 1
                elif len(self.damaged) < DAMAGED_MAX:
                    self.damaged.append(line)
                else:
                    self.damaged_more += 1
        self._open_file.truncate(end if self._lines else 0)

    def _as_lines(self, entries: Iterable[Entry]) -> bytes:
        started = self._wall_clock() - trio.current_time()
        lines = (BacklogLine(started + e.record.at, e.node, e.record) for e in entries)
        return b"".join(_encode(line) + b"\n" for line in lines)

    def _append_to_file(self, data: bytes) -> None:
        """Append all of `data` and sync it to the disk; on an error, append nothing."""
        if not data:
            return
        file = self._open_file
        before = os.fstat(file.fileno()).st_size
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(before)
            raise BacklogError(
                f"Records cannot be written to {self.path}: {error}. Is the disk full?"
            ) from error

    def _forget(self, count: int) -> None:
        """Remove the first `count` records from memory, which are in the file now."""
        for _ in range(count):
            self._memory.popleft()
        self._lines += count


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The lines from the position of `file`, each with its length in bytes. Long lines are cut to `LINE_MAX`.

    A last line without a line feed is left out.
    """
    while line := file.readline(LINE_MAX):
        length, last = len(line), line
        while last and not last.endswith(b"\n"):
            last = file.readline(LINE_MAX)
            length += len(last)
        if not last:
            return
        yield line, length


def _read(line: bytes) -> BacklogLine | None:
    return decode(line, _decoder)
