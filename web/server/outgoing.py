"""The writing half of a direct socket: all data that wait to be sent to one client, and their limits.

Data are written together by the next `flush`, and kept if the client has no room for them. While any are
kept, only the last pong is added to them (RFC 6455, 5.5.3).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence

import trio

from web.server.limits import ServerLimits
from web.server.progress import Progress
from web.server.text_frames import EXTENDED, FINAL_TEXT

WRITE_BYTES = 262_144
"""The most bytes in one write."""

EXTENDED_HEAD, LONG_HEAD = bytes((FINAL_TEXT, EXTENDED)), bytes((FINAL_TEXT, 127))
"""The beginnings of an unmasked text message whose size follows in two bytes, or in eight."""


def text_head(size: int) -> bytes:
    """The head of an unmasked text message of `size` bytes (RFC 6455, 5.2)."""
    if size < EXTENDED:
        return bytes((FINAL_TEXT, size))
    if size < 0x10000:
        return EXTENDED_HEAD + size.to_bytes(2, "big")
    return LONG_HEAD + size.to_bytes(8, "big")


class Outgoing:
    """Owns the data to be written to `sock`, which must be non-blocking.

    `unsent_frames`, `unsent_bytes`: what the last `flush` could not write, because the client had no room.
    `_is_ending`: a close frame was received or is about to be sent, so that no message may follow.
    """

    __slots__ = (
        "_is_ending",
        "_limits",
        "_out",
        "_out_bytes",
        "_pong",
        "_progress",
        "_sock",
        "_unsent",
        "unsent_bytes",
        "unsent_frames",
    )

    def __init__(self, sock: socket.socket, limits: ServerLimits) -> None:
        self.unsent_bytes = self.unsent_frames = 0
        self._sock = sock
        self._limits = limits
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._unsent: list[bytes] = []
        self._pong = b""
        self._progress = Progress(limits)
        self._is_ending = False

    # The state of the connection

    def lose(self) -> None:
        """Close by force."""
        raise NotImplementedError

    def _close(self) -> None:
        """The connection is over."""
        raise NotImplementedError

    def _room_changed(self) -> None:
        """Data have become unsent, or all have been sent."""
        raise NotImplementedError

    # Buffering

    def send(self, frames: Sequence[bytes]) -> None:
        """Send text messages. Ignored once closing has begun."""
        for frame in frames:
            if self._is_ending:
                return
            self.take_in(text_head(len(frame)) + frame)
        self.flush()

    def take_in(self, data: bytes) -> None:
        """Add bytes for the next flush. If too many wait for the client, it is closed by force."""
        self._out.append(data)
        self._out_bytes += len(data)
        if self._out_bytes + self.unsent_bytes > self._limits.unsent_max_bytes:
            self.lose()

    def answer_ping(self, pong: bytes) -> None:
        """Add a pong. While the client does not read, only the last one is kept."""
        if self._unsent:
            self._pong = pong
        else:
            self.take_in(pong)

    def forget_all(self) -> None:
        """Nothing more can be written."""
        self._out.clear()
        self._unsent.clear()
        self._out_bytes = self.unsent_bytes = self.unsent_frames = 0
        self._pong = b""
        self._progress.done()

    def drop(self) -> None:
        """Drop what waits, except for a frame that may have been written in part.

        A client gets no later frame after a dropped one, so that the last one it got tells what it lacks.
        """
        self._out.clear()
        self._out_bytes = 0
        while len(self._unsent) > 1:
            self.unsent_bytes -= len(self._unsent.pop())
        self.unsent_frames = len(self._unsent)

    # Writing

    def flush(self) -> None:
        """Write the data that were added, as far as the client has room for them."""
        out = self._out
        if not out:
            return
        size, self._out_bytes = self._out_bytes, 0
        if self._unsent:
            self._out = []
            self._wait_behind(out, size)
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._close()
            return
        if sent < size:
            self._unsent += out
            self.unsent_bytes = size
            self._sent(sent)
        out.clear()

    def _wait_behind(self, writes: list[bytes], size: int) -> None:
        self._unsent += writes
        self.unsent_bytes += size
        self.unsent_frames = len(self._unsent)

    def _write(self) -> None:
        """Write the unsent data, as far as there is room now."""
        if not self._unsent:
            return
        try:
            sent = self._sock.send(self._next_bytes())
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._close()
            return
        self._sent(sent)

    def _next_bytes(self) -> bytes:
        if len(self._unsent) == 1:
            return self._unsent[0]
        size, some = 0, []
        for data in self._unsent:
            some.append(data)
            size += len(data)
            if size >= WRITE_BYTES:
                break
        return b"".join(some)

    def _sent(self, count: int) -> None:
        unsent = self._unsent
        self.unsent_bytes -= count
        whole, left = 0, count
        for data in unsent:
            if left < len(data):
                unsent[whole] = data[left:]
                break
            left -= len(data)
            whole += 1
        del unsent[:whole]
        if not unsent and self._pong:
            unsent.append(self._pong)
            self.unsent_bytes, self._pong = len(self._pong), b""
        self.unsent_frames = len(unsent)
        if unsent:
            self._progress.made(trio.current_time(), count)
        else:
            self._progress.done()
        self._room_changed()
