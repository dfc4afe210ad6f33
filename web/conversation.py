"""What is said on one WebSocket: the first words, then frames to and from a user, then why it closes.

A `Conversation` is the line between a browser and its user actor. It does no I/O: it stands between a user
and a `Wire`, which may be a socket on the direct path or the ordinary one (`web.socket`), and behaves the
same on both. It owns the connection's limits: the time for the first frame, silence, credit, rate, and how
much may wait for a browser that does not read. It knows nothing of states.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from studymatch.hall import Hall, HallClosedError
from studymatch.messages import Person, Refused
from studymatch.protocol import CLOSE_MEANINGS, VERSION, CloseCode, Hello, Inbound, Malformed, decode
from studymatch.settings import Settings
from studymatch.user import User

CREDIT = 8
"""Frames of one browser that may be unhandled at a time; then it is not read, and TCP slows it down."""

MALFORMED_MAX = 10
"""Malformed frames on one connection before it is closed: no program that means well sends as many."""

SILENCE_IN_HEARTBEATS = 2.5
"""Silence after which a browser counts as away: it missed two pings, and some jitter is forgiven."""

Message = str | bytes | None
"""What comes from a browser: text, or something else that is none of ours."""


class Wire(Protocol):
    """What a conversation needs of a WebSocket that has been accepted. All calls are synchronous.

    `unsent_frames` and `unsent_bytes` wait for a browser that does not read.
    """

    @property
    def unsent_frames(self) -> int: ...
    @property
    def unsent_bytes(self) -> int: ...
    def send(self, frame: bytes) -> None: ...
    def flush(self) -> None: ...
    def drop(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Surroundings(Protocol):
    """What a conversation needs of the reception it takes place at."""

    hall: Hall
    settings: Settings

    def recognise(self, token: str) -> Person | None: ...
    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None: ...
    def begun(self, conversation: Conversation) -> None: ...
    def over(self, conversation: Conversation) -> None: ...


class Conversation:
    """One connection, as its user (a `Line`) and its wire (a `Receiver`) see it.

    `deadline` is when, on trio's clock, `overdue` is to be called, unless something is heard before.
    """

    __slots__ = (
        "_arriving",
        "_code",
        "_gate",
        "_is_over",
        "_place",
        "_silence_limit_s",
        "_unhandled",
        "_user",
        "_wire",
        "deadline",
    )

    def __init__(self, place: Surroundings) -> None:
        self._place = place
        self._wire: Wire
        self._user: User | None = None
        self._arriving: trio.CancelScope | None = None
        self._unhandled = 0
        self._code: CloseCode | None = None
        self._is_over = False
        now = trio.current_time()
        self._gate = Gate(place.settings, now)
        self._silence_limit_s = SILENCE_IN_HEARTBEATS * place.settings.heartbeat_s
        self.deadline = now + place.settings.hello_limit_s

    # As the wire sees it

    def opened(self, wire: Wire) -> None:
        """The connection has been accepted. Called once, before anything else."""
        self._wire = wire
        self._place.begun(self)

    def heard(self, message: Message, now: float) -> None:
        """The browser said something. `now` is trio's clock."""
        self.deadline = now + self._silence_limit_s
        if (user := self._user) is None:
            self._greet(message)
            return
        said = self._gate.check(message, now)
        if isinstance(said, CloseCode):
            self.hang_up(said)
            return
        self._unhandled += 1
        if self._unhandled == CREDIT:
            self._wire.pause()
        user.heard(self, said)

    def overdue(self) -> None:
        """The browser was silent for too long; before its first words, that has a code of its own."""
        if self._user is None and self._arriving is None:
            self.hang_up(CloseCode.HELLO_TIMEOUT)
        else:
            self._leave()
            self._wire.close(1001, "nothing was heard for too long")

    def gone(self) -> None:
        """The connection is lost, or closed and all has been written. Called once, last."""
        self._is_over = True
        self._leave()
        self._place.over(self)

    # As the user sees it

    def write(self, frame: bytes) -> None:
        """Queue a frame; with too much unread, give up on this connection instead."""
        if self._code is not None or self._is_over:
            return
        wire, settings = self._wire, self._place.settings
        wire.send(frame)
        if wire.unsent_frames > settings.outbox_max or wire.unsent_bytes > settings.outbox_max_bytes:
            wire.drop()
            self.hang_up(CloseCode.TOO_MANY)

    def flush(self) -> None:
        """Nothing more follows at the moment: what was written may go."""
        if not self._is_over:
            self._wire.flush()

    def credit(self) -> None:
        """A frame was handled."""
        self._unhandled -= 1
        if self._unhandled == CREDIT - 1 and not self._is_over:
            self._wire.resume()

    def hang_up(self, code: CloseCode) -> None:
        """Close once what is queued has been written. The first code given counts."""
        if self._code is None and not self._is_over:
            self._code = code
            self._leave()
            self._wire.close(code, CLOSE_MEANINGS[code][0])

    # First words, and last

    def _greet(self, message: Message) -> None:
        if self._code is not None:
            return
        hello = _as_hello(message)
        if hello is None:
            self.hang_up(CloseCode.NO_HELLO)
        elif (person := self._place.recognise(hello.token)) is None:
            self.hang_up(CloseCode.BAD_TOKEN)
        else:
            self._arrive(person, hello)

    def _arrive(self, person: Person, hello: Hello) -> None:
        """Come to the person's actor: at once, or when the one that they must not come back to has ended."""
        try:
            user = self._place.hall.meet(person, self, hello.resume)
        except HallClosedError:
            self.hang_up(CloseCode.RESTARTING)
            return
        if isinstance(user, User):
            self._met(user)
            return
        self._wire.pause()
        self._arriving = trio.CancelScope()
        self._place.start_soon(lambda: self._arrive_later(person, hello))

    async def _arrive_later(self, person: Person, hello: Hello) -> None:
        assert self._arriving is not None
        try:
            with self._arriving:
                user = await self._place.hall.arrive(person, self, hello.resume)
                if self._is_over or self._code is not None:
                    user.detach(self)  # too late to cancel: it ended in the moment in which the way was free
                else:
                    self._met(user)
        except HallClosedError:
            self.hang_up(CloseCode.RESTARTING)
        finally:
            self._arriving = None
        if not self._is_over:
            self._wire.resume()

    def _met(self, user: User) -> None:
        self._user = user

    def _leave(self) -> None:
        """The user hears that this line is down, if they have heard of it."""
        if self._arriving is not None:
            self._arriving.cancel()
        user, self._user = self._user, None
        if user is not None:
            user.detach(self)


class Gate:
    """What one connection may send: frames of the protocol, at a bearable rate (a token bucket).

    `now` is trio's clock.
    """

    __slots__ = ("_at", "_burst", "_left", "_malformed_left", "_per_s", "_too_fast_left")

    def __init__(self, settings: Settings, now: float) -> None:
        self._per_s = settings.frames_per_s
        self._burst = settings.frames_burst
        self._left = float(settings.frames_burst)
        self._at = now
        self._malformed_left = MALFORMED_MAX
        self._too_fast_left = settings.frames_burst

    def check(self, message: Message, now: float) -> Inbound | Refused | CloseCode:
        """The frame in `message`; or why it is refused; or that the connection has to be closed."""
        if not self._take(now):
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

    def _take(self, now: float) -> bool:
        """Whether one more is within the limit at this time."""
        self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _as_hello(message: Message) -> Hello | None:
    try:
        frame = _read(message)
    except Malformed:
        return None
    return frame if isinstance(frame, Hello) and frame.version == VERSION else None


def _read(message: Message) -> Inbound:
    if not isinstance(message, str):
        raise Malformed("expected a text frame")
    return decode(message)
