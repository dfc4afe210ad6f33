"""One WebSocket connection: the hello, then frames to and from a user's actor, then the close code.

A `Conversation` is the `Connection` that a user's actor knows. It does no I/O: it passes frames between the
actor and a `Socket`, which is on the direct path or on the ordinary one (`web.reception`), and behaves the
same on both. It owns the limits of the connection: the time for the first frame, silence, credit, and the
unsent bytes for a browser that does not read. The `Gate` (`web.gate`) applies the limits of the person and
their address. A conversation does not depend on the states of people.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio

from actors import Door
from studymatch.hall import Arrived, ExpiredError, Hall, HallClosedError
from studymatch.messages import Detached, Guest, PageMessage, Refused
from studymatch.person.user import User
from studymatch.rules import sentences
from studymatch.rules.close_codes import CLOSE_MEANINGS, CloseCode
from studymatch.rules.protocol import (
    VERSION,
    Error,
    Hello,
    Leaving,
    Malformed,
    encode,
)
from studymatch.settings import Settings
from web.gate import Gate, Message, read

GOING_AWAY = 1001
"""The close code of a browser whose page is closed (RFC 6455, 7.4.1). A last `leaving` may not arrive."""

CREDIT = 8
"""Frames of one browser that may be unhandled at a time. Beyond that the server stops reading, and TCP slows
the browser down."""

SILENCE_IN_HEARTBEATS = 2.5
"""Silence after which a browser counts as away: two missed pings, and some tolerance for jitter."""

REFUSALS = (CloseCode.NO_HELLO, CloseCode.BAD_TOKEN, CloseCode.HELLO_TIMEOUT, CloseCode.TOO_MANY)
"""The close codes for connections that are closed because of what the client sent, or failed to send."""


class Socket(Protocol):
    """What a conversation needs of a WebSocket that has been accepted. All calls are synchronous.

    `unsent_frames` and `unsent_bytes` count what a browser that does not read has not taken yet.
    """

    @property
    def unsent_frames(self) -> int: ...
    @property
    def unsent_bytes(self) -> int: ...
    def send(self, frames: Sequence[bytes]) -> None: ...
    def drop(self) -> None: ...
    def close(self, code: int, reason: str) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class ReceptionView(Protocol):
    """What a conversation needs of its reception."""

    hall: Hall
    settings: Settings
    gate: Gate
    build: str | None

    def recognise(self, token: str) -> Guest | None: ...
    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None: ...
    def begun(self, conversation: Conversation) -> CloseCode | None: ...
    def over(self, conversation: Conversation) -> None: ...
    def refused(self, code: CloseCode, user: User | None) -> None: ...


class Conversation:
    """One connection: a `Connection` for its user, and a `Receiver` for its socket.

    `deadline` is when, on trio's clock, the socket must call `overdue`, unless a message arrives before.
    Budgets are kept under `address`; None: the connection has no budget by address.
    """

    __slots__ = (
        "_arriving",
        "_code",
        "_door",
        "_is_over",
        "_reception",
        "_silence_limit_s",
        "_socket",
        "_unhandled",
        "_user",
        "address",
        "deadline",
    )

    def __init__(self, reception: ReceptionView, address: str | None = None) -> None:
        self._reception = reception
        self.address = address
        self._socket: Socket
        self._user: User | None = None
        self._door: Door[PageMessage] | None = None  # its actor's, while `_user` is set
        self._arriving: trio.CancelScope | None = None
        self._unhandled = 0
        self._code: CloseCode | None = None
        self._is_over = False
        now = trio.current_time()
        self._silence_limit_s = SILENCE_IN_HEARTBEATS * reception.settings.heartbeat_s
        self.deadline = now + reception.settings.hello_limit_s

    @property
    def is_established(self) -> bool:
        """Whether the hello has been accepted, so that the user is known."""
        return self._user is not None

    # Called by the socket

    def opened(self, socket: Socket) -> None:
        """The connection has been accepted. Called once, before anything else."""
        self._socket = socket
        if (code := self._reception.begun(self)) is not None:
            self.hang_up(code)

    def heard(self, message: Message, now: float) -> None:
        """A message of the browser has arrived. `now` is trio's clock."""
        self.deadline = now + self._silence_limit_s
        user, door = self._user, self._door
        if user is None or door is None:
            self._greet(message, now)
            return
        self._count()
        said = self._reception.gate.check(message, user, self.address, now)
        if isinstance(said, CloseCode):
            self.hang_up(said)
        else:
            door.tell(said)

    def _count(self) -> None:
        """One more frame is unhandled; read no more if there are too many."""
        self._unhandled += 1
        if self._unhandled == CREDIT:
            self._socket.pause()

    def too_fast(self) -> None:
        """The browser exceeded the server's budget of frames and bytes; the socket has stopped reading."""
        if (door := self._door) is not None:
            self._count()
            door.tell(Refused("too_fast", "Too much at once; it is read later. Please slow down."))

    def flooding(self) -> None:
        """The browser keeps exceeding the budget: close the connection."""
        self._reception.gate.flooded(self.address, trio.current_time())
        self.hang_up(CloseCode.TOO_MANY)

    def closed(self, code: int) -> None:
        """The browser closes the connection. 1001 means that the page is closed or reloaded, like
        `leaving`."""
        door = self._door
        if code == GOING_AWAY and door is not None and self._code is None:
            self._count()
            door.tell(Leaving())

    def overdue(self) -> None:
        """The browser was silent for too long. Before its hello, that has a close code of its own."""
        if self._user is None and self._arriving is None:
            self.hang_up(CloseCode.HELLO_TIMEOUT)
        else:
            self._leave("silent")
            self._socket.close(1001, "nothing was heard for too long")

    def gone(self) -> None:
        """The connection is lost, or closed with everything written. Called once, last."""
        self._is_over = True
        self._leave()
        self._reception.over(self)

    # Called by the user's actor

    @property
    def build(self) -> str | None:
        """The build of the page that is served now; None: unknown."""
        return self._reception.build

    def write(self, frames: Sequence[bytes]) -> None:
        """Send frames. If too much is unsent then, drop it and close the connection."""
        if self._code is not None or self._is_over:
            return
        socket, settings = self._socket, self._reception.settings
        socket.send(frames)
        if socket.unsent_frames > settings.outbox_max or socket.unsent_bytes > settings.outbox_max_bytes:
            socket.drop()
            self.hang_up(CloseCode.TOO_MANY)

    def credit(self) -> None:
        """A frame was handled."""
        self._unhandled -= 1
        if self._unhandled == CREDIT - 1 and not self._is_over:
            self._socket.resume()

    def hang_up(self, code: CloseCode) -> None:
        """Close after the frames that were written. The first code given counts."""
        if self._code is None and not self._is_over:
            self._code = code
            if code in REFUSALS:
                self._reception.refused(code, self._user)
            self._leave(code.name.lower())
            self._socket.close(code, CLOSE_MEANINGS[code][0])

    # Hello and end

    def _greet(self, message: Message, now: float) -> None:
        if self._code is not None:
            return
        hello = _as_hello(message)
        if hello is None:
            self.hang_up(CloseCode.NO_HELLO)
            return
        guest = self._reception.recognise(hello.token)
        if not self._may_come(guest, hello, now):
            return
        if guest is None:
            self.hang_up(CloseCode.BAD_TOKEN)
        else:
            self._arrive(guest, hello)

    def _may_come(self, guest: Guest | None, hello: Hello, now: float) -> bool:
        """Whether the hello is within the budgets. If not, send an error with the reason and close.

        The error has no `seq`, because there is no actor yet.
        """
        resumes = guest is not None and self._reception.hall.resumes(guest.person, hello.resume)
        # An expired token without a resume proves no identity, so it must not use up a person's budget.
        person = guest.person if guest is not None and (resumes or not guest.expired) else None
        wait = self._reception.gate.hello(person, self.address, now, resumes=resumes)
        if wait is None:
            return True
        self._socket.send((encode(Error("wait", sentences.of_wait(wait), "hello")),))
        self.hang_up(CloseCode.TOO_MANY)
        return False

    def _arrive(self, guest: Guest, hello: Hello) -> None:
        """Connect to the person's actor: at once, or once an old actor that cannot be resumed has ended."""
        try:
            arrived = self._reception.hall.meet(guest, self, hello.resume, self.address)
        except HallClosedError:
            self.hang_up(CloseCode.RESTARTING)
            return
        except ExpiredError:
            self.hang_up(CloseCode.BAD_TOKEN)
            return
        if isinstance(arrived, Arrived):
            self._user, self._door = arrived
            return
        self._socket.pause()
        self._arriving = trio.CancelScope()
        self._reception.start_soon(lambda: self._arrive_later(guest, hello))

    async def _arrive_later(self, guest: Guest, hello: Hello) -> None:
        assert self._arriving is not None
        try:
            with self._arriving:
                self._user, self._door = await self._reception.hall.arrive(
                    guest, self, hello.resume, self.address
                )
                if self._is_over or self._code is not None:
                    self._leave()  # closed in the same step in which the actor became ready
        except HallClosedError:
            self.hang_up(CloseCode.RESTARTING)
        except ExpiredError:
            self.hang_up(CloseCode.BAD_TOKEN)
        finally:
            self._arriving = None
        if not self._is_over:
            self._socket.resume()

    def _leave(self, why: str = "dropped") -> None:
        """Detach from the user, if there is one; `why` is one word for the journal."""
        if self._arriving is not None:
            self._arriving.cancel()
        door, self._user, self._door = self._door, None, None
        if door is not None:
            door.tell(Detached(why))


def _as_hello(message: Message) -> Hello | None:
    try:
        frame = read(message)
    except Malformed:
        return None
    return frame if isinstance(frame, Hello) and frame.version == VERSION else None
