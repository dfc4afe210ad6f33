"""The direct path: one WebSocket whose frames go straight between its socket and whoever receives them.

An app that wants it takes `scope["extensions"][DIRECT]` and calls it with a `Receiver`, before it accepts;
after that it has nothing more to do, and returns. From the acceptance on the socket belongs to a
`DirectSocket`, and no task is spent on it: the poller (`web.server.poller`) says when it can be read or
written. Framing is the sans-I/O protocol of the `websockets` library; here is what surrounds it, with the
same limits and endings as on the ordinary path (`web.server.websocket`); one test suite holds for both.

Everything here is synchronous and must be called from the trio thread.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from contextlib import suppress
from math import inf
from typing import Protocol as Interface

import trio
from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, State
from websockets.protocol import Protocol as Framing

from web.server.config import logger
from web.server.limits import ServerLimits
from web.server.tcp import RESET
from web.server.texts import text_head, whole_text

DIRECT = "web.server.direct"
"""Key in the `extensions` of a WebSocket's scope, where the server offers this path."""

CHUNK_BYTES = 16_384
"""Read at a time: more than what browsers say at once."""

WRITE_BYTES = 262_144
"""Written at a time."""

DATA = frozenset((Opcode.TEXT, Opcode.BINARY, Opcode.CONT))

CONTROL_MAX_BYTES = 125
"""The largest payload of a control frame (RFC 6455, 5.5)."""

READABLE, WRITABLE = 0x001, 0x004
"""EPOLLIN and EPOLLOUT."""


class Receiver(Interface):
    """Whoever the frames of one connection are for. Nothing of it may block, or raise."""

    deadline: float
    """Until when, on trio's clock, something must be heard, or `overdue` is called. Moves only later."""

    def opened(self, socket: DirectSocket) -> None:
        """The WebSocket has been accepted: this is its socket."""

    def heard(self, message: str | bytes) -> None:
        """A message has come."""

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
        "_fragments",
        "_framing",
        "_is_ending",
        "_is_paused",
        "_last_at",
        "_limits",
        "_out",
        "_receiver",
        "_sock",
        "_stalled_at",
        "_unheard",
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
        # To the library, a control frame between fragments counts as a part of the message.
        max_size = limits.message_max_bytes + CONTROL_MAX_BYTES
        self._framing = Framing(SERVER, max_size=max_size, logger=logger)
        self._events = READABLE
        self._fragments: list[bytes] | None = None
        self._unheard: deque[Frame] = deque()
        self._out: list[bytes] = []
        self._unsent: deque[bytes] = deque()
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
        if self._framing.state is State.OPEN:
            self._out.append(text_head(len(frame)) + frame)

    def flush(self) -> None:
        """Write what was taken in, all at once, or as much of it as the client has room for."""
        if not (writes := self._taken_in()):
            return
        if self._unsent or self._is_ending:
            self._write(writes)
            return
        data = writes[0] if len(writes) == 1 else b"".join(writes)
        try:
            sent = self._sock.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._close()
            return
        if sent < len(data):
            self._unsent.extend(writes)
            self.unsent_bytes = len(data)
            self._sent(sent)

    def _taken_in(self) -> list[bytes]:
        """What is to be written: our frames, then what framing itself has to say (a pong, a close)."""
        out, self._out = self._out, []
        out += self._framing.data_to_send()
        return out

    def close(self, code: int, reason: str) -> None:
        """Close after what was taken in before. The first close counts."""
        if self._framing.state is State.OPEN:
            self._framing.send_close(code, reason)
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
        self._hear()
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

    def ready(self, events: int) -> None:
        """The socket can be read or written, or has an error, which reading it shows."""
        if events & WRITABLE:
            self._write([])
        if events & ~WRITABLE and self._sock.fileno() != -1:
            self._read()

    def lose(self) -> None:
        """Close by force, with a reset: what the kernel still holds for the client is dropped."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._close()

    # Reading

    def _read(self) -> None:
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
        framing = self._framing
        is_between_messages = not (
            self._unheard or framing.reader.buffer or self._fragments or self._is_ending
        )
        if is_between_messages and not self._is_paused and (text := whole_text(data)) is not None:
            self._deliver(Opcode.TEXT, text)
        else:
            framing.receive_data(data)
            self._unheard.extend(framing.events_received())  # type: ignore[arg-type]  # no handshake: frames only
            if framing.state is State.OPEN:
                self.flush()  # pongs, before what is said to the messages behind the pings
        self._hear()
        self.flush()

    def _hear(self) -> None:
        """Give the receiver what has come, unless it has had enough; behind that, the end, if it has come."""
        while self._unheard and not self._is_paused and not self._is_ending:
            frame = self._unheard.popleft()
            if frame.opcode in DATA:
                self._gather(frame)
        if self._framing.state is not State.OPEN and not self._unheard and not self._is_ending:
            self._end()

    def _gather(self, frame: Frame) -> None:
        """One message, or a part of one (RFC 6455, 5.4)."""
        if self._fragments is None and frame.fin:
            self._deliver(frame.opcode, bytes(frame.data))
            return
        if self._fragments is None:
            self._fragments = [bytes((frame.opcode,))]
        if frame.data:
            self._fragments.append(bytes(frame.data))
        if frame.fin:
            (opcode,), *parts = self._fragments
            self._fragments = None
            self._deliver(opcode, b"".join(parts))

    def _deliver(self, opcode: int, data: bytes) -> None:
        if self._receiver is None:
            return
        if len(data) > self._limits.message_max_bytes:
            self._framing.fail(1009, f"a message may have {self._limits.message_max_bytes} bytes")
        elif opcode == Opcode.BINARY:
            self._receiver.heard(data)
        else:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                self._framing.fail(1007, "a text message must be UTF-8")
            else:
                self._receiver.heard(text)

    # Writing

    def _write(self, writes: list[bytes]) -> None:
        """Write these, after what could not be written before; what there is no room for waits."""
        unsent = self._unsent
        for data in writes:
            if data:  # an empty one says that the end has come, which is known
                unsent.append(data)
                self.unsent_bytes += len(data)
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
        while count:
            if count < len(unsent[0]):
                unsent[0] = unsent[0][count:]
                break
            count -= len(unsent.popleft())
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
        self._unheard.clear()
        self.flush()
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
        self._unsent.clear()
        self._unheard.clear()
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
