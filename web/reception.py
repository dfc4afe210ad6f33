"""Where WebSockets come in: a `Reception` brings each to a conversation, on either of two paths.

On the direct path the server moves the frames itself (`web.server.direct`), and a conversation is all there
is to a connection. On the ordinary one, for any other server and for tests, `converse` carries frames between
the conversation and whatever offers a `Socket`, with a reader and a writer. What is said is the same on both.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from actors import Journal
from studymatch.hall import Hall
from studymatch.messages import Guest
from studymatch.person.user import User
from studymatch.rules.protocol import CLOSE_MEANINGS, CloseCode
from studymatch.settings import Settings
from web.conversation import Conversation
from web.gate import Gate


class Socket(Protocol):
    """What is needed of a WebSocket that has been accepted, on the ordinary path.

    When the other side has gone, `receive` raises `trio.EndOfChannel` or is cancelled.
    """

    async def receive(self) -> str | bytes | None: ...
    async def send(self, frame: str) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class Reception:
    """Where connections come in. It knows which are open.

    `build` names the build of the page that is served beside it; None: there is none.
    """

    def __init__(
        self,
        hall: Hall,
        recognise: Callable[[str], Guest | None],
        settings: Settings,
        journal_for: Callable[[str], Journal] = Journal,
        build: str | None = None,
    ) -> None:
        self.hall = hall
        self.build = build
        self.settings = settings
        self.gate = Gate(hall.accounts)
        self._recognise = recognise
        self._open: dict[Conversation, None] = {}  # a set in the order of arrival
        self._of_address: Counter[str] = Counter()
        self._is_closed = False
        self._departure = trio.Event()
        self._journal_for = journal_for
        self._journal = journal_for("reception")

    def conversation(self, address: str | None = None) -> Conversation:
        """A new one, for a connection from `address` (see `Accounts`) that is about to be accepted."""
        return Conversation(self, address)

    async def converse(self, socket: Socket, address: str | None = None) -> None:
        """Serve one accepted WebSocket of `address` until either side closes it; see `carry`."""
        await self.carry(socket, self.conversation(address))

    async def carry(self, socket: Socket, conversation: Conversation) -> None:
        """Carry the frames of one accepted WebSocket until either side closes it.

        Being cancelled means that the other side has gone: the user is told so, and nothing is awaited.
        """
        try:
            await _carry(socket, conversation)
        finally:
            conversation.gone()

    async def deserted(self) -> None:
        """After `Hall.hand_over`: hang up on whoever is still there, and wait until they have been told.

        Who comes from now on is told the same, but not waited for, since they come again and again.
        """
        self._is_closed = True
        await self.hall.deserted()
        staying = dict(self._open)
        for conversation in staying:
            conversation.hang_up(CloseCode.RESTARTING)
        while staying.keys() & self._open.keys():
            self._departure = trio.Event()
            await self._departure.wait()

    # For conversations

    def recognise(self, token: str) -> Guest | None:
        """The guest that a token identifies; None: it is not valid."""
        return self._recognise(token)

    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run `task` beside everybody else."""
        self.hall.crew.hire(task, self._journal)

    def begun(self, conversation: Conversation) -> CloseCode | None:
        """Its connection has been accepted. Returns why it must be closed at once; None: it may stay."""
        self._open[conversation] = None
        address = conversation.address
        if address is not None:
            self._of_address[address] += 1
        if self._is_closed:
            return CloseCode.RESTARTING
        if address is not None and self._of_address[address] > self.settings.address_connections_max:
            return CloseCode.TOO_MANY
        return None

    def refused(self, code: CloseCode, user: User | None) -> None:
        """Log that a connection is closed with `code`, one of `REFUSALS`."""
        journal = self._journal if user is None else self._journal_for(f"user {user.person.id}")
        journal.info("hung up", cause=code.name.lower(), code=int(code), why=CLOSE_MEANINGS[code][0])

    def over(self, conversation: Conversation) -> None:
        """It has ended."""
        del self._open[conversation]
        if (address := conversation.address) is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]
        self._departure.set()


class QueueWire:
    """The wire of the ordinary path: what waits for the writer, and whether the reader may read."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._news = trio.Event()
        self._may_read = trio.Event()
        self._may_read.set()
        self._closing: tuple[int, str] | None = None
        self.unsent_bytes = 0
        self.stalled = trio.CancelScope()

    @property
    def unsent_frames(self) -> int:
        """How many frames wait."""
        return len(self._frames)

    def send(self, frame: bytes) -> None:
        """Queue a frame."""
        self._frames.append(frame)
        self.unsent_bytes += len(frame)
        self._news.set()

    def flush(self) -> None:
        """Nothing to do: the writer has been woken."""

    def drop(self) -> None:
        """Forget what is queued, and wait no longer for whom it was for."""
        self._frames.clear()
        self.unsent_bytes = 0
        self.stalled.cancel()

    def close(self, code: int, reason: str) -> None:
        """Close once what is queued has been written. The first close counts."""
        if self._closing is None:
            self._closing = (code, reason)
            self._news.set()

    def pause(self) -> None:
        """Read no more, until `resume`."""
        self._may_read = trio.Event()

    def resume(self) -> None:
        """Go on reading."""
        self._may_read.set()

    async def read_from(self, socket: Socket, conversation: Conversation) -> None:
        """Hand in what comes, until the other side has gone."""
        while True:
            with trio.CancelScope(deadline=conversation.deadline) as limit:
                await self._may_read.wait()
                try:
                    message = await socket.receive()
                except trio.EndOfChannel:
                    return
                conversation.heard(message, trio.current_time())
            if limit.cancelled_caught:
                conversation.overdue()
                await trio.sleep_forever()  # the writer has the last word

    async def write_to(self, socket: Socket) -> tuple[int, str]:
        """Write what is queued, as it comes, until the conversation closes; returns its last word."""
        with self.stalled:
            while True:
                while self._frames:
                    frame = self._frames.popleft()
                    self.unsent_bytes -= len(frame)
                    await socket.send(frame.decode())
                if self._closing is not None:
                    break
                self._news = trio.Event()
                await self._news.wait()
        assert self._closing is not None, "a wire that is dropped is closed"
        return self._closing


async def _carry(socket: Socket, conversation: Conversation) -> None:
    """Carry frames both ways, until somebody hangs up, falls silent, or has gone."""
    wire = QueueWire()
    conversation.opened(wire)

    async def write() -> None:
        last_word = await wire.write_to(socket)
        reading.cancel()
        await socket.close(*last_word)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        with trio.CancelScope() as reading:
            await wire.read_from(socket, conversation)
        if not reading.cancelled_caught:
            nursery.cancel_scope.cancel()
