"""One connection: the bytes of a socket, to and from the protocol, each way with a limit of its own.

Owns the socket. Nothing here waits without end for a client: one that does not read is ended by force after
`send_limit_s`, one that does not write when its bytes are overdue, one that does not close after `linger_s`.

Theory of operation. The reader is one task; what it reads goes to the protocol, which starts the app as tasks
of its own. But if what comes first is the handshake of a WebSocket, the app runs in the task that read it,
and another one reads on from when the app waits for anything. Whoever sends appends to what is unsent and
then, one at a time, moves it to the socket. So cancelling a send leaves a whole frame behind, which the next
sender moves first: cancelling is always safe, and always works at once. The connection ends in one of two
ways, and either stops the reader:

- `_close`: all is said; end of file is sent, and the client's end awaited for a while (else the kernel
  answers what it still sends with a reset, which may overtake our last words, such as a close code);
- `_lose`: the client does not take what is sent, or has gone; the socket is closed by force.

Or it is neither, because the socket was given away: an accepted WebSocket that goes on on the direct path
(`web.server.direct`) is not read here from before its acceptance is sent, so that no byte of it is lost.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

import trio
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import AppWrapper, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from web.server.app_tasks import AppTasks, Noticed
from web.server.closing import RESET
from web.server.config import ServerConfig
from web.server.direct import Receiver
from web.server.http1 import Http1, is_handshake
from web.server.poller import Poller
from web.server.progress import Progress

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
        self._has_read = trio.Event()
        self._failure: Exception | None = None
        self._receiving: trio.CancelScope | None = None
        self._sending = trio.Lock()
        self._unsent = bytearray()
        self._is_closed = False
        self._is_lost = False
        self._is_given_away = False
        self._has_new_owner = False
        self._is_over = False
        self._has_turn = False
        self._began_at = trio.current_time()

    @property
    def may_make_room(self) -> bool:
        """Whether it may be closed to make room: it waits for a request, and is not quite new."""
        if self._is_over or self._has_ended or not self._protocol.awaits_client:
            return False
        return trio.current_time() >= self._began_at + self._limits.first_words_s

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
            self._end_turn()
            self._protocol.let_go()
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
            way_out=None if self._poller is None else self,
        )
        await self._protocol.initiate()
        await self._begin_turn()
        data = await self._first_data()
        if is_handshake(data):
            await self._protocol.handle(RawData(data))
            data = b""
            run, self._apps.prepared = self._apps.prepared, None
            if run is not None:
                await self._serve_websocket(run)
                return
        async with trio.open_nursery() as nursery:
            self._apps.run_in(nursery)
            await self._read_on(data)

    async def _first_data(self) -> bytes:
        """What the client sends first, which is often there already; empty if nothing comes in time."""
        data = self._already_there()
        if data is None:
            with trio.CancelScope(deadline=self._protocol.read_deadline()) as self._reading:
                data = await self._receive()
            if data is None and not self._has_ended:
                await self._protocol.time_out()
        return data or b""

    async def _serve_websocket(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs the app in this task. Only if it waits for anything is there another one, which reads.

        An app that goes on on the direct path has no reason to wait. So there is no nursery around it: with
        one, and a task for each of the two, it costs a tenth more to open a WebSocket.
        """
        app = Noticed(run(), partial(self._start_soon, self._read_beside))
        try:
            await app
        except BaseException:
            self._is_lost = True
            self._stop_reading()
            raise
        finally:
            if app.has_waited:
                with trio.CancelScope(shield=True):
                    await self._has_read.wait()
        if self._failure is not None:
            raise self._failure
        if not app.has_waited:
            await self._read_on()

    async def _read_beside(self) -> None:
        """Reads as long as the app runs in the connection's own task, which ends last."""
        try:
            await self._read_on()
        except Exception as error:
            self._failure = error
            self._apps.cancel()
        finally:
            self._has_read.set()

    async def _read_on(self, data: bytes | None = None) -> None:
        """Hands in `data` and what follows until the connection ends, or is given away."""
        if not self._has_ended:
            with trio.CancelScope() as self._reading:
                await self._read(data)
        if not self._is_given_away:
            await self._end()

    @property
    def _has_ended(self) -> bool:
        """Whether there is nothing more to be read here."""
        return self._is_closed or self._is_lost or self._is_given_away

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()

    async def _end(self) -> None:
        """There is nothing more to read: tells the app, and ends in good order if that is how it ends."""
        await self._protocol.handle(Closed())
        self._apps.expire()
        if self._is_closed and not self._is_lost:
            await self._finish()

    async def lose(self) -> None:
        """Ends the connection by force, to make room."""
        if not self._is_over and not self._has_ended:
            await self._lose()

    async def go_away(self) -> None:
        """The server stops: ends the connection, unless a request is under way, which ends it when done."""
        if not self._is_over:
            await self._protocol.go_away()

    async def _read(self, data: bytes | None) -> None:
        """Hands in `data` and what the client sends until it has gone, or its next bytes are overdue."""
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

    def stop_reading(self) -> None:
        """The WebSocket is about to be accepted on the direct path: leave what comes to its receiver."""
        self._is_given_away = True
        self._stop_reading()

    def give_away(self, receiver: Receiver) -> None:
        """The WebSocket has been accepted: from here on the poller owns the socket."""
        assert self._poller is not None, "the direct path was offered"
        if self._is_lost or self._is_closed:
            return
        self._has_new_owner = True
        self._poller.adopt(self._sock, receiver, bytes(self._unsent))

    async def _begin_turn(self) -> None:
        """Wait for a turn, since few connections handle requests at a time: see `ServerConfig.turns`."""
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
        """What the client sends, empty when it has ended or is lost. Nobody has a turn while it waits for a
        client."""
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
        """What has come and was not received yet; None if nothing has, empty at the end of the connection."""
        try:
            return self._sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    async def _send(self, data: bytes) -> None:
        """Sends `data`, or what was unsent before it, or loses the connection. Cancelling tears nothing."""
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
            progress = Progress(self._limits)
            progress.made(trio.current_time(), 0)
            while self._unsent and not self._is_lost:
                progress.made(trio.current_time(), await self._send_chunk(progress.deadline))

    async def _send_chunk(self, deadline: float) -> int:
        """Waits for room, and uses it. `_unsent` shrinks only here, so that it may grow meanwhile."""
        sent = 0
        with trio.CancelScope(deadline=deadline) as limit, suppress(trio.ClosedResourceError):
            await trio.lowlevel.wait_writable(self._sock)
            sent = await self._send_some(self._unsent[:CHUNK_BYTES])
            del self._unsent[:sent]
        if limit.cancelled_caught:
            await self._lose()
        return sent

    def _close(self) -> None:
        """All has been said: the rest is left to the reader, which only a stop by force cancels."""
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
        """Sends what is unsent and end of file; awaits the client's, and throws away what it still sends."""
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
        """Closes it, and wakes whoever waits for it. Closing twice does no harm."""
        if self._sock.fileno() != -1:
            trio.lowlevel.notify_closing(self._sock)
            self._sock.close()
