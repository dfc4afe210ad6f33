"""One connection: passes bytes between a socket and the protocol, with a time limit for each direction.

Owns the socket. No wait for a client is unlimited: the connection is closed by force if the client does not
read for `send_limit_s`, if its next bytes are overdue, or if it does not close within `linger_s`.

Theory of operation. One task reads and passes the data to the protocol, which starts the app in separate
tasks. If the data are a WebSocket handshake, these roles may change: `web.server.opening` tells how. A sender
appends its data to the unsent data, and one sender at a time writes them to the socket. So a cancelled send
leaves a whole frame in the buffer, which the next sender writes first: cancelling is always safe and takes
effect at once. A connection ends in one of two ways, and both stop the reader:

- `_close`: all data have been sent. The server sends end of file and waits a while for the client's, since
  the kernel answers further data with a reset, which may overtake our last data, such as a close code;
- `_lose`: the client does not read, or has disconnected. The socket is closed by force.

If a WebSocket continues on the direct path, the socket gets another owner instead.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from web.server.app_tasks import AppTasks
from web.server.closing import RESET
from web.server.config import ServerConfig
from web.server.direct import Receiver
from web.server.http1 import Http1
from web.server.opening import Opening, is_handshake, run_app
from web.server.poller import Poller
from web.server.progress import Progress

CHUNK_BYTES = 16_384
"""The most bytes of one read or write."""


class Connection:
    """One accepted connection."""

    def __init__(
        self,
        app: AppWrapper,
        config: ServerConfig,
        context: WorkerContext,
        state: LifespanState,
        poller: Poller | None,
        start_soon: Callable[[Callable[[], Awaitable[None]]], None],
        sock: socket.socket,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._state = state
        self._limits = config.limits
        self._poller = poller
        self._start_soon = start_soon
        self._sock = sock
        self._apps: AppTasks
        self._protocol: Http1
        self._reading: trio.CancelScope | None = None
        self._receiving: trio.CancelScope | None = None
        self._sending = trio.Lock()
        self._unsent = bytearray()
        self._is_closed = False
        self._is_lost = False
        self._opening: Opening | None = None
        self._has_new_owner = False
        self._is_over = False
        self._has_turn = False
        self._began_at = trio.current_time()

    @property
    def may_make_room(self) -> bool:
        """Whether it may be closed to make room: it waits for a request, and is not new."""
        if self._is_over or self._has_ended or not self._protocol.awaits_client:
            return False
        return trio.current_time() >= self._began_at + self._limits.first_words_s

    async def run(self) -> None:
        """Serves the connection and runs the app until both have ended. Cancelling ends both by force.

        Afterwards the socket is closed, or has another owner.
        """
        sock = self._sock
        try:
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
        except OSError:
            sock.close()  # the client has already disconnected
            return
        try:
            await self._serve(client, server)
        finally:
            self._is_over = True
            self._end_turn()
            self._protocol.let_go()
            del self._protocol, self._opening  # they refer to this connection
            if not self._has_new_owner:
                self._close_socket()

    async def _serve(self, client: tuple[str, int] | None, server: tuple[str, int] | None) -> None:
        self._apps = AppTasks(self._limits)
        self._protocol = Http1(
            self._app,
            self._config,
            self._context,
            self._apps,
            ConnectionState(self._state),
            False,
            client,
            server,
            self._on_protocol_event,
            new_opening=self._open_websocket,
        )
        await self._protocol.initiate()
        await self._begin_turn()
        data = await self._first_data()
        if is_handshake(data):
            await self._protocol.handle(RawData(data))
            data = b""
            if (run := self._apps.prepared()) is not None:
                await run_app(run, self._read_on, self._start_soon, self._apps.cancel, self._abandon)
                return
        async with trio.open_nursery() as nursery:
            self._apps.run_in(nursery)
            await self._read_on(data)

    async def _first_data(self) -> bytes:
        """The client's first data, which have often arrived already; empty if none arrive in time."""
        data = self._already_there()
        if data is None:
            with trio.CancelScope(deadline=self._protocol.read_deadline()) as self._reading:
                data = await self._receive()
            if data is None and not self._has_ended:
                await self._protocol.time_out()
        return data or b""

    def _abandon(self) -> None:
        """The app of a WebSocket failed or was cancelled: nothing more is to be read."""
        self._is_lost = True
        self._stop_reading()

    async def _read_on(self, data: bytes | None = None) -> None:
        """Passes `data` and all later data to the protocol until the connection ends or is given away."""
        if not self._has_ended:
            with trio.CancelScope() as self._reading:
                await self._read(data)
        if not self._is_direct:
            await self._end()

    @property
    def _has_ended(self) -> bool:
        """Whether there is nothing more to read."""
        return self._is_closed or self._is_lost or self._is_direct

    @property
    def _is_direct(self) -> bool:
        """Whether a WebSocket was accepted on the direct path."""
        return self._opening is not None and self._opening.is_direct

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    async def _end(self) -> None:
        """There is nothing more to read: tells the app, and finishes the close if there was one."""
        await self._protocol.handle(Closed())
        self._apps.expire()
        if self._is_closed and not self._is_lost:
            await self._finish()

    async def lose(self) -> None:
        """Ends the connection by force, to make room."""
        if not self._is_over and not self._has_ended:
            await self._lose()

    async def go_away(self) -> None:
        """The server stops: ends the connection, or lets an open request finish, which then ends it."""
        if not self._is_over:
            await self._protocol.go_away()

    async def _read(self, data: bytes | None) -> None:
        """Passes data to the protocol until the client has disconnected, or its next bytes are overdue."""
        while True:
            if data is None:
                with trio.CancelScope(deadline=self._protocol.read_deadline()) as self._receiving:
                    data = await self._receive()
                if self._receiving.cancelled_caught:
                    await self._protocol.time_out()
                    return
            if not data:
                return
            await self._protocol.handle(RawData(data))
            data = None

    async def _on_protocol_event(self, event: Event) -> None:
        match event:
            case RawData(data=data):
                await self._send(data)
            case Closed():
                self._close()
            case Updated() if self._receiving is not None:
                self._receiving.deadline = self._protocol.read_deadline()

    def _open_websocket(self) -> Opening | None:
        """What a WebSocket on this connection needs for the direct path; None: there is no such path."""
        if self._poller is not None:
            self._opening = Opening(self._stop_reading, self._give_away)
        return self._opening

    def _give_away(self, receiver: Receiver) -> None:
        """The WebSocket has been accepted on the direct path: from here on the poller owns the socket."""
        assert self._poller is not None, "the direct path was offered"
        if self._is_lost or self._is_closed:
            return
        self._has_new_owner = True
        self._poller.adopt(self._sock, receiver, bytes(self._unsent))

    async def _begin_turn(self) -> None:
        """Wait for a turn, because few connections may handle requests at once: see `ServerConfig.turns`."""
        if self._has_turn:
            return
        try:
            self._config.turns.acquire_nowait()
        except trio.WouldBlock:
            await self._config.turns.acquire()
        self._has_turn = True

    def _end_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._config.turns.release()

    async def _receive(self) -> bytes:
        """The client's next data; empty when the connection has ended. Holds no turn while it waits."""
        if self._protocol.awaits_client:
            self._end_turn()
            data = await self._receive_some()
            if data:
                await self._begin_turn()
            return data
        return await self._receive_some()

    async def _receive_some(self) -> bytes:
        while True:
            try:
                await trio.lowlevel.wait_readable(self._sock)
            except trio.ClosedResourceError:
                return b""
            if (data := self._already_there()) is not None:
                return data

    def _already_there(self) -> bytes | None:
        """Data that have arrived; None if there are none, empty at the end of the connection."""
        try:
            return self._sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    async def _send(self, data: bytes) -> None:
        """Sends the unsent data and `data`, or loses the connection. Cancelling never splits a frame."""
        self._end_turn()
        if self._is_closed or self._is_lost:
            return
        if not self._unsent:
            sent = await self._send_some(data)
            if sent == len(data) or self._is_lost:
                return
            data = data[sent:]
        self._unsent += data
        try:
            await self._flush()
        except trio.Cancelled:
            if len(self._unsent) > self._limits.unsent_max_bytes:
                await self._lose()
            raise

    async def _send_some(self, data: bytes | bytearray) -> int:
        """Passes as much to the kernel as it has room for; returns the number of bytes. Never blocks."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            await self._lose()
            return 0

    async def _flush(self) -> None:
        async with self._sending:
            progress = Progress(self._limits)
            progress.made(trio.current_time(), 0)
            while self._unsent and not self._is_lost:
                progress.made(trio.current_time(), await self._send_chunk(progress.deadline))

    async def _send_chunk(self, deadline: float) -> int:
        """Waits for room and writes. `_unsent` shrinks only here, so it may grow during the wait."""
        sent = 0
        with trio.CancelScope(deadline=deadline) as limit, suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_writable(self._sock)
            sent = await self._send_some(self._unsent[:CHUNK_BYTES])
            del self._unsent[:sent]
        if limit.cancelled_caught:
            await self._lose()
        return sent

    def _close(self) -> None:
        """All has been sent: the reader does the rest, and only a stop by force cancels it."""
        self._is_closed = True
        self._stop_reading()

    async def _lose(self) -> None:
        """Closes the socket by force, and tells the app. Never blocks."""
        self._is_lost = True
        self._unsent.clear()
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._close_socket()
        self._stop_reading()
        await self._protocol.handle(Closed())

    async def _finish(self) -> None:
        """Sends the unsent data and end of file; waits for the client's, and drops what it still sends."""
        await self._flush()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        with trio.move_on_after(self._limits.linger_s):
            left = self._limits.linger_max_bytes
            while left > 0 and (data := await self._receive()):
                left -= len(data)
            if left <= 0:
                await trio.sleep_forever()  # so that the client can read the answer; TCP slows it down

    def _close_socket(self) -> None:
        """Closes the socket and wakes the tasks that wait for it. May be called twice."""
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
