"""Where WebSockets come in: a `Reception` brings each to a conversation, on either of two paths.

On the direct path the server moves the frames itself (`web.server.direct`), and a conversation is all there
is to a connection. On the ordinary one, for any other server and for tests, `converse` carries frames between
the conversation and whatever offers a `Socket`, with a reader and a writer. What is said is the same on both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from actors import Journal
from studymatch.hall import Hall
from studymatch.messages import Person
from studymatch.protocol import CloseCode
from studymatch.settings import Settings
from web.conversation import Conversation


class Socket(Protocol):
    """What is needed of a WebSocket that has been accepted, on the ordinary path.

    When the other side has gone, `receive` raises `trio.EndOfChannel` or is cancelled.
    """

    async def receive(self) -> str | bytes | None: ...
    async def send(self, frame: str) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class Reception:
    """Where connections come in. It knows which are open."""

    def __init__(self, hall: Hall, recognise: Callable[[str], Person | None], settings: Settings) -> None:
        self.hall = hall
        self.settings = settings
        self._recognise = recognise
        self._open: dict[Conversation, None] = {}  # a set in the order of arrival
        self._departure = trio.Event()
        self._journal = Journal("reception")

    def conversation(self) -> Conversation:
        """A new one, for a connection that is about to be accepted."""
        return Conversation(self)

    async def converse(self, socket: Socket) -> None:
        """Serve one accepted WebSocket until either side closes it.

        Being cancelled means that the other side has gone: the user is told so, and nothing is awaited.
        """
        conversation = self.conversation()
        try:
            await _carry(socket, conversation)
        finally:
            conversation.gone()

    async def deserted(self) -> None:
        """After `Hall.hand_over`: hang up on whoever is still there, and wait until they have been told."""
        await self.hall.deserted()
        # Who knocks from now on is sent away too, but not waited for: they come again and again.
        staying = dict(self._open)
        for conversation in staying:
            conversation.hang_up(CloseCode.RESTARTING)
        while staying.keys() & self._open.keys():
            self._departure = trio.Event()
            await self._departure.wait()

    # For conversations

    def recognise(self, token: str) -> Person | None:
        """Whose token that is."""
        return self._recognise(token)

    def start_soon(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run `task` beside everybody else."""
        self.hall.crew.hire(task, self._journal)

    def begun(self, conversation: Conversation) -> None:
        """Its connection has been accepted."""
        self._open[conversation] = None

    def over(self, conversation: Conversation) -> None:
        """It has ended."""
        del self._open[conversation]
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
