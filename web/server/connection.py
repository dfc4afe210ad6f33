"""One connection: the bytes of a socket, to and from the protocol, each way with a limit of its own.

Owns the socket. Nothing here waits without end for a client: one that does not read is ended by force after
`send_limit_s`, one that does not write when its bytes are overdue, one that does not close after `linger_s`.

Theory of operation. The reader is one task; what it reads goes to the protocol, which starts the app as tasks
of its own. Whoever sends appends to what is unsent and then, one at a time, moves it to the socket. So
cancelling a send leaves a whole frame behind, which the next sender moves first: cancelling is always safe,
and always works at once. The connection ends in one of two ways, and either stops the reader:

- `_close`: all is said; end of file is sent, and the client's end awaited for a while (else the kernel
  answers what it still sends with a reset, which may overtake our last words, such as a close code);
- `_lose`: the client does not take what is sent, or has gone; the socket is closed by force.

Or it is neither, because the socket was given away: an accepted WebSocket that goes on on the direct path
(`web.server.direct`) is not read here from before its acceptance is sent, so that no byte of it is lost.
"""

from __future__ import annotations

import socket
from contextlib import suppress

import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from web.server.apps import AppTasks
from web.server.config import ServerConfig
from web.server.direct import Receiver
from web.server.http1 import Http1
from web.server.poller import Poller
from web.server.tcp import RESET
from web.server.websocket import GoDirect, GoneDirect

CHUNK_BYTES = 16_384
"""Read and written at a time."""


class Connection:
    """One accepted connection, from here to its end."""

    def __init__(
        self,
        app: AppWrapper,
        config: ServerConfig,
        context: WorkerContext,
        state: LifespanState,
        poller: Poller | None,
        sock: socket.socket,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._state = state
        self._limits = config.limits
        self._poller = poller
        self._sock = sock
        self._protocol: Http1
        self._reading = trio.CancelScope()
        self._receiving = trio.CancelScope()
        self._sending = trio.Lock()
        self._unsent = bytearray()
        self._is_closed = False
        self._is_lost = False
        self._is_given_away = False
        self._has_new_owner = False
        self._is_over = False

    async def run(self) -> None:
        """Serves the connection until it has ended, and the app with it. Cancelling ends both by force.

        The socket is closed then, or has another owner.
        """
        sock = self._sock
        try:
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
        except OSError:
            sock.close()  # the client has gone already
            return
        try:
            await self._serve(client, server)
        finally:
            self._is_over = True
            self._protocol.let_go()
            if not self._has_new_owner:
                self._close_socket()

    async def _serve(self, client: tuple[str, int] | None, server: tuple[str, int] | None) -> None:
        async with trio.open_nursery() as nursery:
            apps = AppTasks(nursery, self._limits)
            self._protocol = Http1(
                self._app,
                self._config,
                self._context,
                apps,
                ConnectionState(self._state),
                False,
                client,
                server,
                self._on_protocol_event,
                may_go_direct=self._poller is not None,
            )
            await self._protocol.initiate()
            with self._reading:
                await self._read()
            if self._is_given_away:
                return  # when the app has returned
            await self._protocol.handle(Closed())
            apps.expire()
            if self._is_closed and not self._is_lost:
                await self._finish()

    async def go_away(self) -> None:
        """The server stops: ends the connection, unless a request is under way, which ends it when done."""
        if not self._is_over:
            await self._protocol.go_away()

    async def _read(self) -> None:
        """Hands in what the client sends until it has gone, or its next bytes are overdue."""
        while True:
            with trio.CancelScope(deadline=self._protocol.read_deadline()) as self._receiving:
                try:
                    data = await self._receive()
                except (OSError, trio.ClosedResourceError):
                    return
            if self._receiving.cancelled_caught:
                await self._protocol.time_out()
                return
            if not data:
                return
            await self._protocol.handle(RawData(data))

    async def _on_protocol_event(self, event: Event) -> None:
        match event:
            case RawData(data=data):
                await self._send(data)
            case Closed():
                self._close()
            case Updated():
                self._receiving.deadline = self._protocol.read_deadline()
            case GoDirect():
                self._is_given_away = True
                self._reading.cancel()
            case GoneDirect(receiver=receiver):
                self._give_away(receiver)

    def _give_away(self, receiver: Receiver) -> None:
        """The WebSocket has been accepted: from here on the poller owns the socket."""
        assert self._poller is not None, "the direct path was offered"
        if self._is_lost:
            return
        self._has_new_owner = True
        self._poller.adopt(self._sock, receiver, bytes(self._unsent))

    async def _receive(self) -> bytes:
        """What the client sends, empty at its end. Raises OSError or trio.ClosedResourceError: it is lost."""
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            with suppress(BlockingIOError):
                return self._sock.recv(CHUNK_BYTES)

    async def _send(self, data: bytes) -> None:
        """Sends `data`, or what was unsent before it, or loses the connection. Cancelling tears nothing."""
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
        """Gives the kernel what it has room for; how many bytes that are. Never blocks."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            await self._lose()
            return 0

    async def _flush(self) -> None:
        async with self._sending:
            while self._unsent and not self._is_lost:
                await self._send_chunk()

    async def _send_chunk(self) -> None:
        """Waits for room, and uses it. `_unsent` shrinks only here, so that it may grow meanwhile."""
        with trio.move_on_after(self._limits.send_limit_s) as limit, suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_writable(self._sock)
            del self._unsent[: await self._send_some(self._unsent[:CHUNK_BYTES])]
        if limit.cancelled_caught:
            await self._lose()

    def _close(self) -> None:
        """All has been said: the rest is left to the reader, which only a stop by force cancels."""
        self._is_closed = True
        self._reading.cancel()

    async def _lose(self) -> None:
        """Closes the socket by force, and tells the app. Never blocks."""
        self._is_lost = True
        self._unsent.clear()
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._close_socket()
        self._reading.cancel()
        await self._protocol.handle(Closed())

    async def _finish(self) -> None:
        """Sends what is unsent and end of file; awaits the client's, and throws away what it still sends."""
        await self._flush()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        with trio.move_on_after(self._limits.linger_s), suppress(OSError, trio.ClosedResourceError):
            while await self._receive():
                pass

    def _close_socket(self) -> None:
        """Closes it, and wakes whoever waits for it. Closing twice does no harm."""
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
