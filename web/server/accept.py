"""Accepts connections and serves each independently: a failure is logged once and ends only that one."""

from __future__ import annotations

import errno
import socket
from collections.abc import Awaitable, Callable
from functools import partial

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, LifespanState

from web.server.addresses import TrustedProxies
from web.server.config import ServerConfig, logger
from web.server.connection import Connection
from web.server.direct import IS_OFFERED
from web.server.failures import report
from web.server.full import TOO_MANY, TurnedAway
from web.server.lifespan import Lifespan
from web.server.limits import ServerLimits
from web.server.listeners import close_all, url_of
from web.server.poller import Poller

ACCEPTED_AT_ONCE = 8
"""Connections accepted before other tasks run: each costs about 0.5 ms afterwards, all of them 4 ms."""

NO_MORE = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))
NO_MORE_PAUSE_S = 0.1
"""The pause when the system lacks resources for another connection, as in trio.serve_listeners."""


async def serve(
    app: ASGIFramework,
    listeners: list[socket.socket],
    *,
    limits: ServerLimits,
    proxies: TrustedProxies | None = None,
    stop: trio.Event | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves an ASGI app until `stop` is set, or until cancelled; then the listeners are closed.

    `proxies` are trusted to name their client in `X-Forwarded-For`; the scope of the app has that address.
    Reports `started`, with the base URL of each listener, once the app has started. After `stop` the server
    accepts no connections, closes idle ones, closes WebSockets with 1001, and lets open requests run for
    `stop_grace_s`; then it closes the rest by force, and the app has the same time to shut down. Cancelling
    closes everything by force at once. If the app's lifespan fails, this function raises the error in an
    ExceptionGroup. It never raises errors of a connection.
    """
    stop = trio.Event() if stop is None else stop
    lifespan = Lifespan(app)
    try:
        async with trio.open_nursery() as app_nursery:
            await app_nursery.start(lifespan.run)
            poller = Poller(limits) if IS_OFFERED else None
            async with trio.open_nursery() as polling:
                if poller is not None:
                    polling.start_soon(poller.run)
                config = ServerConfig(limits, proxies or TrustedProxies())
                new_server = partial(_Server, app, config, lifespan.state, poller)
                until = await _serve_connections(listeners, new_server, stop, task_status)
                polling.cancel_scope.deadline = until
                if poller is not None:
                    poller.adopted_last()
            app_nursery.cancel_scope.deadline = trio.current_time() + limits.stop_grace_s
            lifespan.stop()
        if app_nursery.cancel_scope.cancelled_caught:
            logger.warning("the app did not shut down within %g s and was cancelled", limits.stop_grace_s)
    finally:
        close_all(listeners)


async def _serve_connections(
    listeners: list[socket.socket],
    new_server: Callable[[trio.Nursery], _Server],
    stop: trio.Event,
    task_status: trio.TaskStatus[list[str]],
) -> float:
    """Accept until `stop`, and serve until each connection has ended or become a direct socket.

    Returns the time on trio's clock by which the direct sockets have to end.
    """
    async with trio.open_nursery() as connections:
        server = new_server(connections)
        async with trio.open_nursery() as accepting:
            for listener in listeners:
                accepting.start_soon(_accept, listener, server)
            task_status.started([url_of(listener.getsockname()) for listener in listeners])
            await stop.wait()
            accepting.cancel_scope.cancel()
        connections.cancel_scope.deadline = trio.current_time() + server.stop_grace_s
        await server.go_away()
    return connections.cancel_scope.deadline


class _Server:
    """The connections of one server."""

    def __init__(
        self,
        app: ASGIFramework,
        config: ServerConfig,
        state: LifespanState,
        poller: Poller | None,
        nursery: trio.Nursery,
    ) -> None:
        self._limits = config.limits
        self._admission = config.admission
        self._proxies = config.proxies
        self._context = WorkerContext(max_requests=None)
        self._nursery = nursery
        self._open = partial(
            Connection,
            ASGIWrapper(app),
            config,
            self._context,
            state.copy(),
            poller,
            nursery.start_soon,
        )
        self._connections: dict[Connection, None] = {}  # the oldest first
        self._turned_away = TurnedAway(self._limits)
        self._poller = poller

    def __len__(self) -> int:
        """The number of connections, including those on the direct path."""
        return len(self._connections) + (0 if self._poller is None else len(self._poller))

    @property
    def stop_grace_s(self) -> float:
        """How long open connections may take to end once the server stops."""
        return self._limits.stop_grace_s

    def begin(self, sock: socket.socket) -> None:
        """Starts to serve a connection."""
        self._nursery.start_soon(self.serve_one, sock)

    async def serve_one(self, sock: socket.socket) -> None:
        """Serves one connection to its end. Raises only `trio.Cancelled`."""
        if self._context.terminated.is_set():
            sock.close()
            return
        if self._is_full and not self._make_room():
            await self._turned_away.turn_away(sock)
            return
        key = self._proxies.key_of_peer(_peer(sock))
        if not self._admission.connects(key, trio.current_time()):
            await self._turned_away.turn_away(sock, TOO_MANY)
            return
        connection = self._open(sock)
        self._connections[connection] = None
        try:
            await _alone(connection.run)
        finally:
            del self._connections[connection]
            self._admission.disconnects(key)

    @property
    def _is_full(self) -> bool:
        return self._limits.connections_max is not None and len(self) >= self._limits.connections_max

    def _make_room(self) -> bool:
        """Close the oldest idle connection, if there is one."""
        for connection in self._connections:
            if connection.may_make_room:
                self._nursery.start_soon(_alone, connection.lose)
                return True
        return self._poller is not None and self._poller.make_room()

    async def go_away(self) -> None:
        """Ends all connections at the same time, because the server stops."""
        await self._context.terminated.set()
        for connection in self._connections:
            self._nursery.start_soon(_alone, connection.go_away)
        if self._poller is not None:
            self._poller.go_away()


def _peer(sock: socket.socket) -> str | None:
    """The peer's address; None if it has disconnected, or has none."""
    try:
        name = sock.getpeername()
    except OSError:
        return None
    return str(name[0]) if isinstance(name, tuple) else None


async def _accept(listener: socket.socket, server: _Server) -> None:
    """Accepts until cancelled, several connections at a time if many are waiting."""
    listener.setblocking(False)
    while True:
        await trio.lowlevel.wait_readable(listener)
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                sock, _address = listener.accept()
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno in NO_MORE:
                    logger.warning("cannot accept a connection just now: %s", error.strerror)
                    await trio.sleep(NO_MORE_PAUSE_S)
                continue  # any other error concerns only this connection, which is already closed
            sock.setblocking(False)
            server.begin(sock)


async def _alone(task: Callable[[], Awaitable[None]]) -> None:
    """Runs a connection's task and isolates its failure."""
    try:
        await task()
    except* Exception as group:
        report(group)
