"""An outlet: a text stream that nobody ever waits for, whatever becomes of the file behind it.

What is written waits in memory, and a thread of the outlet's own writes it out, many lines at a time. The
reader of a pipe may be gone or asleep, the disk full, the terminal stopped with Ctrl-S, the descriptor
closed: whoever writes notices nothing. What waits is bounded. Lines beyond that are dropped and counted, and
the count is told in a line of its own as soon as the file takes lines again.

The descriptor is left as it is: it is shared with other processes, so it may not be made non-blocking.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from typing import TextIO, TypeAlias

WAITING_MAX_CHARACTERS = 1_000_000
"""How much may wait: a second of the lines of a very busy server, and no burden on its memory."""

LINGER_S = 0.05
"""After a write, others are awaited for so long, so that a busy server pays for a write twenty times a second
and not for each line. A line that comes alone is written at once."""

RETRY_S = 0.5
"""The pause after a write that failed."""

CHUNK_BYTES = 4096
"""Written at a time, in whole lines: what Linux writes to a pipe in one piece (PIPE_BUF), so that the lines
of several processes that share one do not run into each other."""


class Outlet(io.TextIOBase):
    """Writes to `target`, a stream with a descriptor or any other text stream; None takes everything.

    `tell_lost` makes the line that tells how many lines were dropped. May be used by any thread.
    """

    encoding = "utf-8"

    def __init__(self, target: TextIO | None, *, waiting_max: int = WAITING_MAX_CHARACTERS) -> None:
        self.tell_lost: Callable[[int], str] = _tell_lost
        self._target = target
        self._write_some = _writer(target)
        self._charset = getattr(target, "encoding", None) or "utf-8"
        self._waiting_max = waiting_max
        self._lock = threading.RLock()  # reentrant: the collector may run in it, and a finalizer may warn
        self._waiting: list[str] = []
        self._size = 0  # characters that are not written yet
        self._lost = 0
        self._rest = ""  # the beginning of a line
        self._is_idle = True
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def writable(self) -> bool:
        """It is."""
        return True

    def isatty(self) -> bool:
        """Whether a person looks on."""
        return self._target is not None and self._target.isatty()

    def fileno(self) -> int:
        """The descriptor behind it."""
        if self._target is None:
            raise io.UnsupportedOperation("fileno")
        return self._target.fileno()

    def flush(self) -> None:
        """Nothing to do: what is written is on its way."""

    def write(self, text: str) -> int:
        """Write what may hold anything: characters that command a terminal are shown, not sent.

        What is no whole line waits for the rest of it.
        """
        if not isinstance(text, str):
            raise TypeError(f"expected text, got {type(text).__name__}")
        with self._lock:
            lines, end, self._rest = (self._rest + text).rpartition("\n")
        if end:
            self.put(printable(lines, but="\n\t") + end)
        return len(text)

    def put(self, lines: str) -> None:
        """Write whole lines that are known to be harmless, colours and all."""
        with self._lock:
            if self._size + len(lines) > self._waiting_max:
                self._lost += lines.count("\n")
                return
            if self._lost:
                self._tell_what_was_lost()
            self._waiting.append(lines)
            self._size += len(lines)
            if self._is_idle:
                self._wake()

    def finish(self, limit_s: float) -> None:
        """Write what waits, within `limit_s` seconds, and take nothing more. The rest is lost."""
        if self._rest:
            self.write("\n")
        self._closing.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(limit_s)
        self._waiting_max = -1

    def _wake(self) -> None:
        self._is_idle = False
        self._news.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="outlet", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            self._news.wait()
            with self._lock:
                texts, self._waiting = self._waiting, []
            for text in _chunks(texts):
                self._insist(text)
            with self._lock:
                if self._lost and not self._waiting:
                    self._tell_what_was_lost()
                if not self._waiting:
                    if self._closing.is_set():
                        return
                    self._is_idle = True
                    self._news.clear()
            self._closing.wait(LINGER_S)

    def _tell_what_was_lost(self) -> None:
        """At the place of the lines that are missing."""
        told = self.tell_lost(self._lost)
        self._waiting.append(told)
        self._size += len(told)
        self._lost = 0

    def _insist(self, text: str) -> None:
        """Write `text`, however often it takes; give up only when the outlet is to finish."""
        rest = memoryview(text.encode(self._charset, "backslashreplace"))
        while rest:
            try:
                rest = rest[self._write_some(rest) :]
            except BlockingIOError:  # somebody else has made the descriptor non-blocking
                time.sleep(LINGER_S)
            except Exception:
                if self._closing.is_set():
                    break
                self._closing.wait(RETRY_S)
        with self._lock:
            self._size -= len(text)


Stream: TypeAlias = TextIO | Outlet


def printable(text: str, *, but: str = "") -> str:
    """`text` with what commands a terminal, or reorders what is shown, as an escape like ``\\x1b``.

    `but`: characters to leave as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in but else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _writer(target: TextIO | None) -> Callable[[memoryview], int]:
    """What writes some of the bytes that it is given, and says how many."""
    if target is None:
        return len
    try:
        descriptor = target.fileno()
    except (OSError, ValueError):
        return lambda data: _write_text(target, data)
    return lambda data: os.write(descriptor, data)


def _write_text(target: TextIO, data: memoryview) -> int:
    target.write(bytes(data).decode(getattr(target, "encoding", None) or "utf-8"))
    target.flush()
    return len(data)


def _chunks(texts: list[str]) -> list[str]:
    """The same, joined to pieces of about `CHUNK_BYTES` that end where a text ends."""
    chunks: list[str] = []
    some: list[str] = []
    size = 0
    for text in texts:
        if some and size + len(text) > CHUNK_BYTES:
            chunks.append("".join(some))
            some, size = [], 0
        some.append(text)
        size += len(text)
    return [*chunks, "".join(some)] if some else chunks


def _tell_lost(lines: int) -> str:
    return f"{lines} lines could not be written here\n"
