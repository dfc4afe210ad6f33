"""Connects WebSockets to conversations, on two paths. A `Reception` has a `Conversation` per connection.

On the direct path the server passes the frames itself (`web.server.direct`), without a task for the
connection. On the ordinary path, for any other server and for tests, `converse` passes frames between the
conversation and an `AsgiSocket`, with a reader and a writer task. The frames are the same on both paths.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio

from actors import Journal
from studymatch.hall import Hall
from studymatch.messages import Guest
from studymatch.person.user import User
from studymatch.rules.close_codes import CLOSE_MEANINGS, CloseCode
from studymatch.settings import Settings
from web.conversation import Conversation
from web.gate import Gate


class AsgiSocket(Protocol):
    """What a reception needs of an accepted WebSocket on the ordinary path.

    When the browser has disconnected, `receive` raises `trio.EndOfChannel` or is cancelled.
    """

    async def receive(self) -> str | bytes | None: ...
    async def send(self, frame: str) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class Reception:
    """The open connections of a hall.

    `recognise` verifies tokens. `build` names the build of the page that the same server serves; None: none.
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
        """A new conversation for a connection from `address` (see `Accounts`) that is about to be
        accepted."""
        return Conversation(self, address)

    async def converse(self, socket: AsgiSocket, address: str | None = None) -> None:
        """Serve one accepted WebSocket of `address` until either side closes it; see `carry`."""
        await self.carry(socket, self.conversation(address))

    async def carry(self, socket: AsgiSocket, conversation: Conversation) -> None:
        """Pass the frames of one accepted WebSocket until either side closes it.

        Cancellation means that the browser has disconnected: the user's actor is detached without waiting.
        """
        try:
            await _carry(socket, conversation)
        finally:
            conversation.gone()

    async def deserted(self) -> None:
        """After `Hall.hand_over`: close all connections, and wait until their close frames are sent.

        Later connections are closed with the same code, but not waited for, since clients keep reconnecting.
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
        """Run `task` in the crew of the hall."""
        self.hall.crew.hire(task, self._journal)

    def begun(self, conversation: Conversation) -> CloseCode | None:
        """A connection has been accepted. Returns the code to close it with at once; None: it may stay."""
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
        """A connection has ended."""
        del self._open[conversation]
        if (address := conversation.address) is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]
        self._departure.set()


class QueueSocket:
    """The `Socket` of the ordinary path: a queue for the writer, and whether the reader may read."""

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

    def send(self, frames: Sequence[bytes]) -> None:
        """Queue frames."""
        self._frames.extend(frames)
        self.unsent_bytes += sum(map(len, frames))
        self._news.set()

    def drop(self) -> None:
        """Drop the queued frames, and stop a write that waits for the browser."""
        self._frames.clear()
        self.unsent_bytes = 0
        self.stalled.cancel()

    def close(self, code: int, reason: str) -> None:
        """Close once the queued frames have been written. The first close counts."""
        if self._closing is None:
            self._closing = (code, reason)
            self._news.set()

    def pause(self) -> None:
        """Stop reading, until `resume`."""
        self._may_read = trio.Event()

    def resume(self) -> None:
        """Read again."""
        self._may_read.set()

    async def read_from(self, socket: AsgiSocket, conversation: Conversation) -> None:
        """Pass incoming messages to the conversation, until the browser has disconnected."""
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
                await trio.sleep_forever()  # the writer closes the socket and cancels this

    async def write_to(self, socket: AsgiSocket) -> tuple[int, str]:
        """Write queued frames until the conversation closes; returns the close code and its reason."""
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
        assert self._closing is not None, "a socket that is dropped is closed"
        return self._closing


async def _carry(socket: AsgiSocket, conversation: Conversation) -> None:
    """Pass frames both ways, until one side closes the connection or the browser is silent for too long."""
    queue = QueueSocket()
    conversation.opened(queue)

    async def write() -> None:
        last_word = await queue.write_to(socket)
        reading.cancel()
        await socket.close(*last_word)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        with trio.CancelScope() as reading:
            await queue.read_from(socket, conversation)
        if not reading.cancelled_caught:
            nursery.cancel_scope.cancel()
