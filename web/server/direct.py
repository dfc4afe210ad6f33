"""The direct path: one WebSocket whose frames go straight between its socket and whoever receives them.

An app that wants it takes `scope["extensions"][DIRECT]` and calls it with a `Receiver`, before it accepts;
after that it has nothing more to do, and returns. From the acceptance on the socket belongs to a
`DirectSocket`, and no task is spent on it: the poller (`web.server.poller`) says when it can be read or
written. Whole texts, which is all that a browser says before it closes, are read here as they come; from
the first frame on that is anything else, frames go through the library (`web.server.framing`) until nothing
waits in it. Limits and endings are as on the ordinary path (`web.server.websocket`); one test suite holds
for both.

Everything here is synchronous and must be called from the trio thread.
"""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from math import inf
from typing import Protocol as Interface

import trio
from websockets.frames import Opcode

from web.server.framing import Framing
from web.server.limits import ServerLimits
from web.server.tcp import RESET
from web.server.texts import text_head, whole_text

DIRECT = "web.server.direct"
"""Key in the `extensions` of a WebSocket's scope, where the server offers this path."""

CHUNK_BYTES = 16_384
"""Read at a time: more than what browsers say at once."""

WRITE_BYTES = 262_144
"""Written at a time."""

READABLE, WRITABLE = 0x001, 0x004
"""EPOLLIN and EPOLLOUT."""


class Receiver(Interface):
    """Whoever the frames of one connection are for. Nothing of it may block, or raise."""

    deadline: float
    """Until when, on trio's clock, something must be heard, or `overdue` is called. Moves only later."""

    def opened(self, socket: DirectSocket) -> None:
        """The WebSocket has been accepted: this is its socket."""

    def heard(self, message: str | bytes, now: float) -> None:
        """A message has come. `now` is trio's clock, not long ago."""

    def overdue(self) -> None:
        """The deadline has passed."""

    def gone(self) -> None:
        """The last call: the connection is lost, or closed and all has been written."""


class Watcher(Interface):
    """What a socket needs of the poller."""

    def watch(self, socket: DirectSocket, events: int) -> None: ...
    def schedule(self, socket: DirectSocket) -> None: ...
    def forget(self, socket: DirectSocket) -> None: ...


class DirectSocket:
    """One accepted WebSocket. It owns `sock`, which must not block.

    `unsent_frames`, `unsent_bytes`: what the client has not made room for, as of the last `flush`.
    """

    __slots__ = (
        "_events",
        "_framing",
        "_is_ending",
        "_is_paused",
        "_last_at",
        "_limits",
        "_out",
        "_receiver",
        "_sock",
        "_stalled_at",
        "_unsent",
        "_watcher",
        "fd",
        "scheduled_at",
        "unsent_bytes",
        "unsent_frames",
    )

    def __init__(
        self, sock: socket.socket, watcher: Watcher, limits: ServerLimits, receiver: Receiver
    ) -> None:
        self.fd = sock.fileno()
        self.scheduled_at = inf
        self.unsent_bytes = self.unsent_frames = 0
        self._sock = sock
        self._watcher = watcher
        self._limits = limits
        self._receiver: Receiver | None = receiver
        self._framing: Framing | None = None  # None: between messages, and open
        self._events = READABLE
        self._out: list[bytes] = []
        self._unsent: list[bytes] = []
        self._is_paused = False
        self._is_ending = False
        self._last_at = inf
        self._stalled_at = inf

    def open(self, unsent: bytes) -> None:
        """Begin: write what is still `unsent` of the handshake, and tell the receiver."""
        self._watcher.watch(self, self._events)
        if unsent:
            self._write([unsent])
        if self._receiver is not None:
            self._receiver.opened(self)
        self._watcher.schedule(self)

    # For the receiver

    def send(self, frame: bytes) -> None:
        """Take in one text message, which goes out with the next `flush`. Ignored once the end has begun."""
        if self._framing is None or self._framing.is_open:
            self._out.append(text_head(len(frame)) + frame)

    def flush(self) -> None:
        """Write what was taken in, all at once, or as much of it as the client has room for."""
        out = self._out
        if not out:
            return
        if self._unsent or self._is_ending:
            self._out = []
            self._write(out)
            return
        data = out[0] if len(out) == 1 else b"".join(out)
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._close()
            return
        if sent < len(data):
            self._unsent += out
            self.unsent_bytes = len(data)
            self._sent(sent)
        out.clear()

    def close(self, code: int, reason: str) -> None:
        """Close after what was taken in before. The first close counts."""
        framing = self._through_library()
        if framing.is_open:
            framing.close(code, reason)
            self._end()

    def drop(self) -> None:
        """Forget what could not be written yet, but for one frame, part of which may have been."""
        while len(self._unsent) > 1:
            self.unsent_bytes -= len(self._unsent.pop())
        self.unsent_frames = len(self._unsent)

    def pause(self) -> None:
        """Hear nothing more until `resume`: the socket is not read, and TCP slows the client down."""
        self._is_paused = True
        self._watch()

    def resume(self) -> None:
        """Go on hearing."""
        self._is_paused = False
        self._hear(trio.current_time())
        self._watch()

    # For the poller

    @property
    def deadline(self) -> float:
        """When, on trio's clock, `overdue` is to be called."""
        heard_by = inf if self._receiver is None or self._is_ending else self._receiver.deadline
        return min(heard_by, self._last_at, self._stalled_at)

    def overdue(self) -> None:
        """The deadline has passed: end by force what is stalled or does not end; else tell the receiver."""
        if trio.current_time() >= min(self._last_at, self._stalled_at):
            self.lose()
        elif self._receiver is not None:
            self._receiver.overdue()

    def go_away(self) -> None:
        """The server stops."""
        self.close(1001, "the server is stopping")

    def ready(self, events: int, now: float) -> None:
        """The socket can be read or written, or has an error, which reading it shows. `now`: trio's clock."""
        if events & WRITABLE:
            self._write([])
            if self._sock.fileno() == -1:
                return
        if events & ~WRITABLE:
            self._read(now)

    def lose(self) -> None:
        """Close by force, with a reset: what the kernel still holds for the client is dropped."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._close()

    # Reading

    def _read(self, now: float) -> None:
        try:
            data = self._sock.recv(CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._close()
            return
        if not data:
            self._close()
            return
        if self._framing is None:
            data = self._hear_texts(data, now)
        if data and not self._is_ending:
            self._through_library().receive(data)
            self._say()  # pongs, before what is said to the messages behind the pings
            self._hear(now)

    def _hear_texts(self, data: bytes, now: float) -> bytes:
        """Give the receiver the whole texts at the beginning of `data`; returns the rest, for the library."""
        start = 0
        while start < len(data) and self._framing is None and not self._is_paused:
            if (found := whole_text(data, start)) is None:
                break
            text, start = found
            self._deliver(Opcode.TEXT, text, now)
        return data[start:]

    def _through_library(self) -> Framing:
        """From here on frames go through the library, until `_hear` finds that nothing waits in it."""
        if self._framing is None:
            self._framing = Framing(self._limits.message_max_bytes)
        return self._framing

    def _hear(self, now: float) -> None:
        """Give the receiver what waits, unless it has had enough; behind that, the end, if it has come."""
        framing = self._framing
        if framing is None:
            return
        while not (self._is_paused or self._is_ending) and (message := framing.next_message()) is not None:
            self._deliver(*message, now)
        if self._is_ending:
            return
        if framing.is_idle:
            self._framing = None
        elif not framing.is_open and framing.is_heard:
            self._end()

    def _deliver(self, opcode: int, data: bytes, now: float) -> None:
        if self._receiver is None:
            return
        if len(data) > self._limits.message_max_bytes:
            self._fail(1009, f"a message may have {self._limits.message_max_bytes} bytes")
        elif opcode == Opcode.BINARY:
            self._receiver.heard(data, now)
        else:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                self._fail(1007, "a text message must be UTF-8")
            else:
                self._receiver.heard(text, now)

    def _fail(self, code: int, reason: str) -> None:
        """The client broke a rule."""
        self._through_library().fail(code, reason)
        self._end()

    # Writing

    def _say(self) -> None:
        """Write what framing has to say, a pong or a close, after what was taken in before."""
        if self._framing is not None:
            self._out += self._framing.to_send()
        self.flush()

    def _write(self, writes: list[bytes]) -> None:
        """Write these, after what could not be written before; what there is no room for waits."""
        unsent = self._unsent
        unsent += writes
        self.unsent_bytes += sum(map(len, writes))
        if not unsent:
            return
        if self._stalled_at != inf and writes:
            self.unsent_frames = len(unsent)
            return
        try:
            sent = self._sock.send(unsent[0] if len(unsent) == 1 else self._next_bytes())
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._close()
            return
        self._sent(sent)

    def _next_bytes(self) -> bytes:
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
        whole = 0
        for data in unsent:
            if count < len(data):
                unsent[whole] = data[count:]
                break
            count -= len(data)
            whole += 1
        del unsent[:whole]
        self.unsent_frames = len(unsent)
        if unsent:
            self._stalled_at = trio.current_time() + self._limits.send_limit_s
            self._watcher.schedule(self)
        else:
            self._stalled_at = inf
            if self._is_ending:
                self._all_is_said()
        self._watch()

    # The end

    def _end(self) -> None:
        """A close frame is on its way out: write it, then end of file, and wait for the client's."""
        self._is_ending = True
        self._say()
        if not self._unsent and self._sock.fileno() != -1 and self._last_at == inf:
            self._all_is_said()
            self._watch()

    def _all_is_said(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._last_at = trio.current_time() + self._limits.linger_s
        self._watcher.schedule(self)
        self._tell_gone()

    def _close(self) -> None:
        """The connection is over."""
        if self._sock.fileno() != -1:
            self._watcher.forget(self)
            self._sock.close()
        self._is_ending = True
        self._out.clear()
        self._unsent.clear()
        self._tell_gone()

    def _tell_gone(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.gone()

    def _watch(self) -> None:
        """Say what is waited for: room to write, and, unless paused, something to read."""
        events = (0 if self._is_paused and not self._is_ending else READABLE) | (
            0 if self._stalled_at == inf else WRITABLE
        )
        if events != self._events and self._sock.fileno() != -1:
            self._events = events
            self._watcher.watch(self, events)


IS_OFFERED = hasattr(select, "epoll")
"""Whether this system has what the poller needs (Linux has); without it the ordinary path serves."""
