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
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from web.server.apps import AppTasks
from web.server.config import ServerConfig
from web.server.http1 import Http1

CHUNK_BYTES = 16_384
"""Read and written at a time: as much as trio lets the kernel hold unsent (TCP_NOTSENT_LOWAT)."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for closing with a reset: what the kernel holds for a client that does not read is dropped."""


class Connection:
    """One accepted connection, from here to its end."""

    def __init__(
        self,
        app: AppWrapper,
        config: ServerConfig,
        context: WorkerContext,
        state: LifespanState,
        stream: trio.SocketStream,
    ) -> None:
        self._app = app
        self._config = config
        self._context = context
        self._state = state
        self._limits = config.limits
        self._stream = stream
        self._protocol: Http1
        self._reading = trio.CancelScope()
        self._receiving = trio.CancelScope()
        self._sending = trio.Lock()
        self._unsent = bytearray()
        self._is_closed = False
        self._is_lost = False

    async def run(self) -> None:
        """Serves the connection until it has ended, and the app with it. Cancelling ends both by force."""
        sock = self._stream.socket
        try:
            client = parse_socket_addr(sock.family, sock.getpeername())
            server = parse_socket_addr(sock.family, sock.getsockname())
        except OSError:
            return  # the client has gone already
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
            )
            await self._protocol.initiate()
            with self._reading:
                await self._read()
            await self._protocol.handle(Closed())
            apps.expire()
            if self._is_closed and not self._is_lost:
                await self._finish()

    async def go_away(self) -> None:
        """The server stops: ends the connection, unless a request is under way, which ends it when done."""
        await self._protocol.go_away()

    async def _read(self) -> None:
        """Hands in what the client sends until it has gone, or its next bytes are overdue."""
        while True:
            with trio.CancelScope(deadline=self._protocol.read_deadline()) as self._receiving:
                try:
                    data = await self._stream.receive_some(CHUNK_BYTES)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
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

    async def _send(self, data: bytes) -> None:
        """Sends `data`, or what was unsent before it, or loses the connection. Cancelling tears nothing."""
        if self._is_closed or self._is_lost:
            return
        self._unsent += data
        try:
            await self._flush()
        except trio.Cancelled:
            if len(self._unsent) > self._limits.unsent_max_bytes:
                await self._lose()
            raise

    async def _flush(self) -> None:
        async with self._sending:
            while self._unsent and not self._is_lost:
                await self._send_chunk()

    async def _send_chunk(self) -> None:
        with trio.move_on_after(self._limits.send_limit_s) as limit:
            try:
                # A copy: while this waits, others append to what is unsent.
                sent = await self._stream.socket.send(self._unsent[:CHUNK_BYTES])
            except (OSError, trio.ClosedResourceError):
                await self._lose()
            else:
                del self._unsent[:sent]
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
            self._stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._stream.socket.close()
        self._reading.cancel()
        await self._protocol.handle(Closed())

    async def _finish(self) -> None:
        """Sends what is unsent and end of file; awaits the client's, and throws away what it still sends."""
        await self._flush()
        with suppress(OSError):
            self._stream.socket.shutdown(socket.SHUT_WR)
        with (
            trio.move_on_after(self._limits.linger_s),
            suppress(trio.BrokenResourceError, trio.ClosedResourceError),
        ):
            while await self._stream.receive_some(CHUNK_BYTES):
                pass
