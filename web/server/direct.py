"""The direct path: one WebSocket whose frames go directly between its socket and a receiver, without ASGI.

An app chooses this path with a `Receiver`: see `web.server.opening`. From the acceptance on, a `DirectSocket`
owns the socket. It has no task: the poller (`web.server.poller`) calls it when it can read or write. It
decodes whole text messages, which are all that a browser sends before it closes, itself; beginning with any
other frame, the library (`web.server.framing`) decodes frames until the connection is between two messages
again. Limits and endings are as on the ordinary path (`web.server.websocket`); one test suite covers both.

Data that have been read wait here undecoded until they are handled: at most `CHUNK_BYTES`, and the socket is
not read meanwhile. They wait while the receiver has paused the socket, while the client exceeds its budget,
while too many bytes to the client are unsent, and until other sockets had their turns: after a share of
frames, or before a frame that is no whole text.

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

from web.server.allowance import FRAMES_A_TURN, OTHER_WEIGHT, STRANGERS_WEIGHT, Allowance
from web.server.closing import RESET
from web.server.framing import Framing
from web.server.limits import ServerLimits
from web.server.outgoing import Outgoing
from web.server.overload import Overseer
from web.server.text_frames import FINAL_TEXT, whole_text

CHUNK_BYTES = 16_384
"""The most bytes of one read: more than browsers send at once."""

READABLE, WRITABLE, LEAVING, GONE = 0x001, 0x004, 0x2000, 0x018
"""EPOLLIN, EPOLLOUT, EPOLLRDHUP (the client sends nothing more), and EPOLLERR or EPOLLHUP."""


class Receiver(Overseer, Interface):
    """The app's side of one connection, which receives its messages. No method may block or raise."""

    deadline: float
    """The time on trio's clock at which `overdue` is called if no message has come. It only moves later."""

    @property
    def is_established(self) -> bool:
        """Whether the user is known; until then the socket may be closed to make room for others."""

    def opened(self, socket: DirectSocket) -> None:
        """The WebSocket has been accepted; `socket` sends to it."""

    def heard(self, message: str | bytes, now: float) -> None:
        """A message has arrived. `now` is a recent time of trio's clock."""

    def overdue(self) -> None:
        """The deadline has passed."""

    def gone(self) -> None:
        """The last call: the connection is lost, or is closed and all data have been written."""


class Watcher(Interface):
    """The methods of the poller that a socket uses."""

    def watch(self, socket: DirectSocket, events: int) -> None: ...
    def schedule(self, socket: DirectSocket) -> None: ...
    def again(self, socket: DirectSocket) -> None: ...
    def forget(self, socket: DirectSocket) -> None: ...


class DirectSocket(Outgoing):
    """One accepted WebSocket. It owns `sock`, which must not block."""

    __slots__ = (
        "_allowance",
        "_events",
        "_framing",
        "_is_in_turn",
        "_is_paused",
        "_last_at",
        "_quiet_until",
        "_receiver",
        "_waiting",
        "_watcher",
        "fd",
        "scheduled_at",
    )

    def __init__(
        self, sock: socket.socket, watcher: Watcher, limits: ServerLimits, receiver: Receiver
    ) -> None:
        super().__init__(sock, limits)
        self.fd = sock.fileno()
        self.scheduled_at = inf
        self._watcher = watcher
        self._receiver: Receiver | None = receiver
        self._allowance = Allowance(limits)
        self._framing: Framing | None = None  # None: between messages, and open
        self._events = READABLE
        self._waiting = b""
        self._quiet_until = -inf
        self._is_paused = False
        self._is_in_turn = False
        self._last_at = inf

    def open(self, unsent: bytes) -> None:
        """Begin: write what is still `unsent` of the handshake, and tell the receiver."""
        self._watcher.watch(self, self._events)
        if unsent:
            self.take_in(unsent)
            self.flush()
        if self._receiver is not None:
            self._receiver.opened(self)
        self._watcher.schedule(self)

    @property
    def is_established(self) -> bool:
        """Whether the receiver knows the user."""
        return self._receiver is not None and self._receiver.is_established

    # For the receiver

    def close(self, code: int, reason: str) -> None:
        """Close after the data buffered before. Only the first call counts."""
        framing = self._through_library()
        if framing.is_open:
            framing.close(code, reason)
            self._end()

    def pause(self) -> None:
        """Deliver no messages until `resume`: the socket is not read, and TCP slows the client down."""
        self._is_paused = True
        self._watch()

    def resume(self) -> None:
        """Deliver messages again."""
        self._is_paused = False
        if not self._is_in_turn:
            self.take_turn(trio.current_time())

    # For the poller

    @property
    def deadline(self) -> float:
        """The time on trio's clock at which to call `overdue`."""
        heard_by = inf if self._receiver is None or self._is_ending else self._receiver.deadline
        quiet_until = inf if self._quiet_until == -inf else self._quiet_until
        return min(heard_by, self._last_at, self._progress.deadline, quiet_until)

    def overdue(self) -> None:
        """The deadline has passed: end a stalled connection, go on reading, or report silence."""
        now = trio.current_time()
        if now >= min(self._last_at, self._progress.deadline):
            self.lose()
        elif now >= self._quiet_until > -inf:
            self._quiet_until = -inf
            self._watcher.again(self)
        elif self._receiver is not None:
            self._receiver.overdue()

    def go_away(self) -> None:
        """The server stops."""
        self.close(1001, "the server is stopping")

    def ready(self, events: int, now: float) -> None:
        """The socket is ready to read or write, or has an error, which a read shows. `now`: trio's clock."""
        if events & (GONE | LEAVING) and self._quiet_until > -inf:
            self.lose()  # drops the waiting data of a client that exceeded its budget
            return
        if events & WRITABLE:
            self._write()
            if self._sock.fileno() == -1:
                return
        if events & ~(WRITABLE | LEAVING):
            self._read(now)

    def take_turn(self, now: float) -> None:
        """Handle the data that wait, if that is allowed now."""
        if self._waiting and self._may_hear:
            waiting, self._waiting = self._waiting, b""
            self._hear(waiting, now, is_first=False)
        self._watch()

    def lose(self) -> None:
        """Close by force, with a reset: the kernel drops the data that the client has not read."""
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
        if self._framing is not None or self._waiting or not self._allowance.take_read(now, len(data)):
            self._allowance.charge(now, len(data))
        elif (found := whole_text(data, 0)) is not None and found[1] == len(data):
            self._deliver(Opcode.TEXT, found[0], now)
            return
        if self._is_ending:
            if not self._allowance.take(now):
                self._quiet_until = inf  # data are read within the budget only, even if they are dropped
                self._watch()
            return
        self._hear(self._waiting + data if self._waiting else data, now, is_first=True)

    @property
    def _may_hear(self) -> bool:
        """Whether the data of the client may be handled now."""
        return not (
            self._is_paused
            or self._is_ending
            or self._quiet_until > -inf
            or self.unsent_bytes > self._limits.unsent_hear_bytes
        )

    def _hear(self, data: bytes, now: float, *, is_first: bool) -> None:
        """One turn: handle frames in `data`, until its share of a turn is used up or something pauses it.

        In the first turn after a read, only whole texts are handled: otherwise hundreds of sockets with a few
        costly frames each would delay the texts of everybody else.
        """
        start, share = 0, FRAMES_A_TURN
        self._is_in_turn = True
        while start < len(data) and self._may_hear:
            weight = self._weight_of(data[start])
            if share <= 0 or (is_first and weight > 1):
                self._watcher.again(self)
                break
            if not self._allowance.take(now, weight):
                self._be_quiet(now, weight)
                break
            share -= weight
            start = self._hear_frame(data, start, now)
        self._is_in_turn = False
        if self._is_ending:
            return
        if self._framing is not None and self._framing.is_idle:
            self._framing = None
        self.flush()
        if start < len(data):
            self._waiting = data[start:]
            self._watch()
        elif self._allowance.is_over and len(data) < CHUNK_BYTES:
            self._allowance.worked_off()

    def _hear_frame(self, data: bytes, start: int, now: float) -> int:
        """Handle the frame, or the part of one, at `start`; returns where it ends."""
        if self._framing is None and (found := whole_text(data, start)) is not None:
            text, end = found
            self._deliver(Opcode.TEXT, text, now)
            return end
        framing = self._through_library()
        end = framing.end(data, start)
        message = framing.receive(data[start:end])
        if not framing.is_open:
            self._is_ending = True
            if framing.client_code is not None and self._receiver is not None:
                self._receiver.closed(framing.client_code)
            self._end()
            return end
        for pong in framing.to_send():
            self.answer_ping(pong)
        if message is not None:
            self._deliver(*message, now)
        return end

    def _weight_of(self, first: int) -> int:
        """The weight of a frame that begins with the byte `first`, or of the next part of one."""
        if self._framing is None:
            if first == FINAL_TEXT:
                return 1
        elif not self._framing.is_between:
            return 1  # a frame that arrives in parts costs no more
        return OTHER_WEIGHT if self.is_established else STRANGERS_WEIGHT

    def _be_quiet(self, now: float, weight: float) -> None:
        """The client exceeds its budget: read later, or close if it has done so for too long."""
        receiver, allowance = self._receiver, self._allowance
        if allowance.is_flood(now):
            if receiver is not None:
                receiver.flooding()
            self.close(self._limits.flood_code, "too many frames")
            return
        self._quiet_until = now + allowance.wait_s(now, weight)
        self._watcher.schedule(self)
        if allowance.is_to_be_told(now) and receiver is not None:
            receiver.too_fast()

    def _through_library(self) -> Framing:
        """Decode frames with the library until the connection is between two messages again."""
        if self._framing is None:
            self._framing = Framing(self._limits.message_max_bytes)
        return self._framing

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

    # The end

    def _end(self) -> None:
        """A close frame is buffered: write it, then end of file, and wait for the client's."""
        self._is_ending = True
        self._quiet_until = -inf
        self._waiting = b""
        for data in self._through_library().to_send():
            self.take_in(data)
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
        self._waiting = b""
        self.forget_all()
        self._tell_gone()

    def _tell_gone(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.gone()

    def _room_changed(self) -> None:
        if self._unsent:
            self._watcher.schedule(self)
        elif self._is_ending and self._last_at == inf:
            self._all_is_said()
        if self._waiting and not self._is_in_turn and self._may_hear:
            self._watcher.again(self)
        self._watch()

    def _watch(self) -> None:
        """Set the events to wait for: writable if data are unsent, and readable unless paused."""
        if self._quiet_until > -inf:
            events = LEAVING
        elif self._is_ending or (not self._waiting and self._may_hear):
            events = READABLE
        else:
            events = 0
        if self._unsent:
            events |= WRITABLE
        if events != self._events and self._sock.fileno() != -1:
            self._events = events
            self._watcher.watch(self, events)


IS_OFFERED = hasattr(select, "epoll")
"""Whether this system has epoll, which the poller needs (Linux); otherwise the ordinary path is used."""
