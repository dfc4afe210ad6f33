"""Accepts connections and serves each alone: what goes wrong in one is logged once and ends that one only."""

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
"""Connections accepted before others run: each costs about half a millisecond afterwards, all of them 4."""

NO_MORE = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS))
NO_MORE_PAUSE_S = 0.1
"""How long to wait when the system has no room for another connection (as trio.serve_listeners does)."""


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
    Reports `started`, with the base URL of each listener, once the app has started up. After `stop` nobody is
    accepted, resting connections end, WebSockets are closed with 1001, and requests under way may take
    `stop_grace_s`; then all is ended by force and the app shuts down, for which it has the same time again.
    Cancelling ends all by force at once. Whatever ends the app's lifespan early ends the server: it comes out
    of here in an ExceptionGroup. What goes wrong in a connection never does.
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

    Returns until when, on trio's clock, the direct sockets may take to end.
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
        """How many connections there are, those on the direct path included."""
        return len(self._connections) + (0 if self._poller is None else len(self._poller))

    @property
    def stop_grace_s(self) -> float:
        """How long those that are open may take to end once the server stops."""
        return self._limits.stop_grace_s

    def begin(self, sock: socket.socket) -> None:
        """Starts to serve a connection."""
        self._nursery.start_soon(self.serve_one, sock)

    async def serve_one(self, sock: socket.socket) -> None:
        """Serves one connection to its end. Raises nothing but cancellation."""
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
        """Tells every connection, at the same time, that the server stops."""
        await self._context.terminated.set()
        for connection in self._connections:
            self._nursery.start_soon(_alone, connection.go_away)
        if self._poller is not None:
            self._poller.go_away()


def _peer(sock: socket.socket) -> str | None:
    """The address at the other end; None if it has gone, or has none."""
    try:
        name = sock.getpeername()
    except OSError:
        return None
    return str(name[0]) if isinstance(name, tuple) else None


async def _accept(listener: socket.socket, server: _Server) -> None:
    """Accepts until cancelled, several at a time when many come at once."""
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
                continue  # anything else is about that one connection, which has gone already
            sock.setblocking(False)
            server.begin(sock)


async def _alone(task: Callable[[], Awaitable[None]]) -> None:
    """Runs a connection's task so that its failure remains its own."""
    try:
        await task()
    except* Exception as group:
        report(group)
