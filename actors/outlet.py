"""An outlet: a text stream whose `write` never blocks and never fails.

The outlet buffers what is written, and a thread of its own writes it to the file, many lines at a time. So
the caller is not affected if the reader of a pipe is gone or does not read, the disk is full, the terminal
was stopped with Ctrl-S, or the descriptor is closed. The buffer is bounded. Lines beyond the bound are
dropped, and a separate line gives their number as soon as the file takes lines again.

The outlet does not make the descriptor non-blocking, because other processes share it.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable
from typing import TextIO, TypeAlias

WAITING_MAX_CHARACTERS = 1_000_000
"""The bound of the buffer: about one second of lines of a very busy server."""

LINGER_S = 0.05
"""The pause after a write, in which lines collect, so that a busy server writes twenty times a second and not
once a line. A single line is written at once."""

RETRY_S = 0.5
"""The pause after a write that failed."""

CHUNK_BYTES = 4096
"""The size of one write, in whole lines: what Linux writes to a pipe atomically (PIPE_BUF), so that the lines
of several processes that share a pipe do not mix."""


class Outlet(io.TextIOBase):
    """Writes to `target`, a stream with or without a descriptor; with None it discards everything.

    `tell_lost` makes the line with the number of dropped lines. Any thread may use an outlet.
    """

    encoding = "utf-8"

    def __init__(self, target: TextIO | None, *, waiting_max: int = WAITING_MAX_CHARACTERS) -> None:
        self.tell_lost: Callable[[int], str] = _tell_lost
        self._target = target
        self._write_some = _writer(target)
        self._charset = getattr(target, "encoding", None) or "utf-8"
        self._waiting_max = waiting_max
        self._lock = threading.RLock()  # reentrant: a garbage collection inside may log
        self._waiting: list[str] = []
        self._size = 0  # characters not written yet
        self._lost = 0
        self._rest = ""  # the beginning of a line
        self._is_idle = True
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def writable(self) -> bool:
        """Always True."""
        return True

    def isatty(self) -> bool:
        """Whether `target` is a terminal."""
        return self._target is not None and self._target.isatty()

    def fileno(self) -> int:
        """The descriptor of `target`."""
        if self._target is None:
            raise io.UnsupportedOperation("fileno")
        return self._target.fileno()

    def flush(self) -> None:
        """Do nothing: the thread writes the buffer soon."""

    def write(self, text: str) -> int:
        """Write any text, with control characters as escapes.

        An incomplete line waits for the rest of it.
        """
        if not isinstance(text, str):
            raise TypeError(f"expected text, got {type(text).__name__}")
        with self._lock:
            lines, end, self._rest = (self._rest + text).rpartition("\n")
        if end:
            self.put(printable(lines, but="\n\t") + end)
        return len(text)

    def put(self, lines: str) -> None:
        """Write whole lines unchanged, colour codes included. The caller has escaped what is unsafe."""
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
        """Write the buffer for at most `limit_s` seconds, and accept nothing more. The rest is lost."""
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
        """Add the line about dropped lines where those lines are missing."""
        told = self.tell_lost(self._lost)
        self._waiting.append(told)
        self._size += len(told)
        self._lost = 0

    def _insist(self, text: str) -> None:
        """Write `text`, with as many attempts as needed; give up only when the outlet is to finish."""
        rest = memoryview(text.encode(self._charset, "backslashreplace"))
        while rest:
            try:
                rest = rest[self._write_some(rest) :]
            except BlockingIOError:  # another process made the descriptor non-blocking
                time.sleep(LINGER_S)
            except Exception:
                if self._closing.is_set():
                    break
                self._closing.wait(RETRY_S)
        with self._lock:
            self._size -= len(text)


Stream: TypeAlias = TextIO | Outlet


def printable(text: str, *, but: str = "") -> str:
    """`text` with characters that control a terminal or reorder text as escapes like ``\\x1b``.

    `but`: characters to leave as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in but else c.encode("unicode_escape").decode("ascii") for c in text
    )


def _writer(target: TextIO | None) -> Callable[[memoryview], int]:
    """A function that writes some of the given bytes and returns how many."""
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
    """`texts` joined into chunks of about `CHUNK_BYTES`; no text is split."""
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
