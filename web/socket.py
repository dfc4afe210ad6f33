"""One WebSocket from its handshake to its end: the first words, then a reader and a writer.

A `Reception` brings each connection to the user actor it belongs to, and carries frames between the two
on any stack that offers a `Socket`. It owns the connection's limits: the time for the first frame, silence,
credit, rate, and how much may wait for a browser that does not read. It knows nothing of states.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

import trio

from studymatch.hall import Hall, HallClosedError
from studymatch.messages import Person, Refused
from studymatch.protocol import CLOSE_MEANINGS, VERSION, CloseCode, Hello, Inbound, Malformed, decode
from studymatch.settings import Settings
from studymatch.user import User

CREDIT = 8
"""Frames of one browser that may be unhandled at a time; then its reader waits, and TCP slows it down."""

MALFORMED_MAX = 10
"""Malformed frames on one connection before it is closed: no program that means well sends as many."""

SILENCE_IN_HEARTBEATS = 2.5
"""Silence after which a browser counts as away: it missed two pings, and some jitter is forgiven."""


class Socket(Protocol):
    """What is needed of a WebSocket that has been accepted.

    When the other side has gone, `receive` raises `trio.EndOfChannel` or is cancelled.
    """

    async def receive(self) -> str | bytes | None: ...
    async def send(self, frame: str) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class SocketLine:
    """The line to a browser: what waits to be written, and why to hang up."""

    def __init__(self, frames_max: int, bytes_max: int) -> None:
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._frames_max = frames_max
        self._bytes_max = bytes_max
        self._news = trio.Event()
        self._credit = trio.Semaphore(CREDIT)
        self.code: CloseCode | None = None
        self.greeting = trio.CancelScope()
        self.stalled = trio.CancelScope()

    def write(self, frame: bytes) -> None:
        """Queue a frame; with too much unread, give up on this connection instead."""
        if self.code is not None:
            return
        self._frames.append(frame)
        self._bytes += len(frame)
        if len(self._frames) > self._frames_max or self._bytes > self._bytes_max:
            self._frames.clear()
            self.hang_up(CloseCode.TOO_MANY)
            self.stalled.cancel()
        self._news.set()

    def credit(self) -> None:
        """A frame was handled."""
        self._credit.release()

    async def take_credit(self) -> None:
        """Wait until another frame may be handed in."""
        await self._credit.acquire()

    def hang_up(self, code: CloseCode) -> None:
        """Close once what is queued has been written. The first code given counts."""
        if self.code is None:
            self.code = code
            self.greeting.cancel()
            self._news.set()

    async def write_to(self, socket: Socket) -> None:
        """Write what is queued, as it comes, until somebody hangs up."""
        while True:
            while self._frames:
                frame = self._frames.popleft()
                self._bytes -= len(frame)
                await socket.send(frame.decode())
            if self.code is not None:
                return
            self._news = trio.Event()
            await self._news.wait()


class Bucket:
    """A token bucket: `burst` at once, `per_s` in the long run."""

    def __init__(self, per_s: float, burst: int) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = float(burst)
        self._at = trio.current_time()

    def take(self) -> bool:
        """Whether one more is within the limit at this time."""
        now = trio.current_time()
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Reception:
    """Where connections come in: brings each to its user, and knows which are open."""

    def __init__(self, hall: Hall, recognise: Callable[[str], Person | None], settings: Settings) -> None:
        self.hall = hall
        self.settings = settings
        self._recognise = recognise
        self._lines: dict[SocketLine, None] = {}  # a set in the order of arrival
        self._deserted = trio.Event()

    async def converse(self, socket: Socket) -> None:
        """Serve one accepted WebSocket until either side closes it.

        Being cancelled means that the other side has gone: the user is told so, and nothing is awaited.
        """
        line = SocketLine(self.settings.outbox_max, self.settings.outbox_max_bytes)
        self._lines[line] = None
        try:
            user = await self._first_words(socket, line)
            if user is not None:
                try:
                    await _carry(socket, user, line, self.settings)
                finally:
                    user.detach(line)
            if line.code is not None:
                await socket.close(line.code, CLOSE_MEANINGS[line.code][0])
        except trio.EndOfChannel:
            pass  # the other side has gone before it said hello
        finally:
            del self._lines[line]
            if not self._lines:
                self._deserted.set()

    async def _first_words(self, socket: Socket, line: SocketLine) -> User | None:
        """The user that `hello` leads to; or None, and `line` says why."""
        hello = None
        with line.greeting, trio.move_on_after(self.settings.hello_limit_s) as limit:
            hello = _as_hello(await socket.receive())
        if limit.cancelled_caught:
            line.hang_up(CloseCode.HELLO_TIMEOUT)
        elif hello is None:
            line.hang_up(CloseCode.NO_HELLO)
        elif (person := self._recognise(hello.token)) is None:
            line.hang_up(CloseCode.BAD_TOKEN)
        else:
            try:
                return await self.hall.arrive(person, line, hello.resume)
            except HallClosedError:
                line.hang_up(CloseCode.RESTARTING)
        return None

    async def deserted(self) -> None:
        """After `Hall.hand_over`: hang up on whoever is still there, and wait until all have been told."""
        await self.hall.deserted()
        while self._lines:
            for line in list(self._lines):
                line.hang_up(CloseCode.RESTARTING)
            self._deserted = trio.Event()
            await self._deserted.wait()


def _as_hello(message: str | bytes | None) -> Hello | None:
    try:
        frame = _read(message)
    except Malformed:
        return None
    return frame if isinstance(frame, Hello) and frame.version == VERSION else None


def _read(message: str | bytes | None) -> Inbound:
    if not isinstance(message, str):
        raise Malformed("expected a text frame")
    return decode(message)


async def _carry(socket: Socket, user: User, line: SocketLine, settings: Settings) -> None:
    """Carry frames both ways, until somebody hangs up or falls silent."""
    with line.stalled:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_write_to, socket, line, nursery.cancel_scope)
            await _read_from(socket, user, line, settings)
            nursery.cancel_scope.cancel()


async def _write_to(socket: Socket, line: SocketLine, conversation: trio.CancelScope) -> None:
    await line.write_to(socket)
    conversation.cancel()


async def _read_from(socket: Socket, user: User, line: SocketLine, settings: Settings) -> None:
    """Hand in what the browser says, until it has gone or was silent for too long."""
    gate = Gate(settings)
    with trio.CancelScope() as silence:
        while True:
            silence.deadline = trio.current_time() + SILENCE_IN_HEARTBEATS * settings.heartbeat_s
            try:
                message = await socket.receive()
            except trio.EndOfChannel:
                return
            said = gate.check(message)
            if isinstance(said, CloseCode):
                line.hang_up(said)
                await trio.sleep_forever()  # the writer has the last word
            await line.take_credit()
            user.heard(line, said)


class Gate:
    """What one connection may send: frames of the protocol, at a bearable rate."""

    def __init__(self, settings: Settings) -> None:
        self._bucket = Bucket(settings.frames_per_s, settings.frames_burst)
        self._malformed_left = MALFORMED_MAX
        self._too_fast_left = settings.frames_burst

    def check(self, message: str | bytes | None) -> Inbound | Refused | CloseCode:
        """The frame in `message`; or why it is refused; or that the connection has to be closed."""
        if not self._bucket.take():
            self._too_fast_left -= 1
            if self._too_fast_left < 0:
                return CloseCode.TOO_MANY
            return Refused("too_fast", "Too many frames at once; this one was dropped. Please slow down.")
        try:
            return _read(message)
        except Malformed as error:
            self._malformed_left -= 1
            if self._malformed_left < 0:
                return CloseCode.NO_HELLO
            return Refused("malformed", f"This frame could not be read: {error}.")
