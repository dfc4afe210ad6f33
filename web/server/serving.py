"""Accepts connections and serves each alone: what goes wrong in one is logged once and ends that one only."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from traceback import extract_tb

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, LifespanState

from web.server.config import ServerConfig, logger
from web.server.connection import Connection
from web.server.lifespan import Lifespan
from web.server.limits import ServerLimits
from web.server.listeners import close_all, url_of

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 5\r\n\r\n"


async def serve(
    app: ASGIFramework,
    listeners: list[socket.socket],
    *,
    limits: ServerLimits,
    stop: trio.Event | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves an ASGI app until `stop` is set, or until cancelled; then the listeners are closed.

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
            async with trio.open_nursery() as connections:
                server = _Server(app, limits, lifespan.state)
                async with trio.open_nursery() as accepting:
                    await accepting.start(
                        partial(
                            trio.serve_listeners,
                            server.serve_one,
                            [trio.SocketListener(trio.socket.from_stdlib_socket(it)) for it in listeners],
                            handler_nursery=connections,
                        )
                    )
                    task_status.started([url_of(listener.getsockname()) for listener in listeners])
                    await stop.wait()
                    accepting.cancel_scope.cancel()
                connections.cancel_scope.deadline = trio.current_time() + limits.stop_grace_s
                await server.go_away(connections)
            app_nursery.cancel_scope.deadline = trio.current_time() + limits.stop_grace_s
            lifespan.stop()
        if app_nursery.cancel_scope.cancelled_caught:
            logger.warning("the app did not shut down within %g s and was cancelled", limits.stop_grace_s)
    finally:
        close_all(listeners)


class _Server:
    """The connections of one server."""

    def __init__(self, app: ASGIFramework, limits: ServerLimits, state: LifespanState) -> None:
        self._limits = limits
        self._context = WorkerContext(max_requests=None)
        self._open = partial(Connection, ASGIWrapper(app), ServerConfig(limits), self._context, state.copy())
        self._connections: set[Connection] = set()

    async def serve_one(self, stream: trio.SocketStream) -> None:
        """Serves one connection to its end. Raises nothing but cancellation."""
        if self._context.terminated.is_set():
            return
        if (
            self._limits.connections_max is not None
            and len(self._connections) >= self._limits.connections_max
        ):
            await self._turn_away(stream)
            return
        connection = self._open(stream)
        self._connections.add(connection)
        try:
            await _alone(connection.run)
        finally:
            self._connections.discard(connection)

    async def go_away(self, nursery: trio.Nursery) -> None:
        """Tells every connection, at the same time, that the server stops."""
        await self._context.terminated.set()
        for connection in self._connections:
            nursery.start_soon(_alone, connection.go_away)

    async def _turn_away(self, stream: trio.SocketStream) -> None:
        """Says that the server is full."""
        with trio.move_on_after(self._limits.linger_s), suppress(trio.BrokenResourceError):
            await stream.send_all(BUSY)
            await stream.send_eof()
            while await stream.receive_some():
                pass


async def _alone(task: Callable[[], Awaitable[None]]) -> None:
    """Runs a connection's task so that its failure remains its own.

    One warning says what failed and where. It leaves out the exception's text, which may quote the client.
    """
    try:
        await task()
    except* Exception as group:
        error: BaseException = group
        frames = extract_tb(error.__traceback__)
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
            frames += extract_tb(
                error.__traceback__
            )  # none, if it was put into the group without being raised
        where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
        logger.warning("a connection failed and was closed: %s at %s", type(error).__name__, where)
