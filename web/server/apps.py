"""Runs the app for each request and WebSocket of one connection, and carries what it is sent.

An app that fails is logged once and fails alone. One whose client has gone is told so, then has a grace, then
is cancelled. Nothing here waits for an app that no longer listens.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import inf

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from web.server.config import logger
from web.server.limits import ServerLimits

Put = Callable[[ASGIReceiveEvent], Awaitable[None]]
Send = Callable[[ASGISendEvent | None], Awaitable[None]]


class PeerGoneError(ConnectionResetError):
    """A send to a client that has gone. An app sees it only where a shield keeps its cancellation off."""


class Inbox:
    """What one run of the app has not received yet. Bounded, but for the disconnect, which is never lost."""

    def __init__(self, messages_max: int) -> None:
        self._in, self._out = trio.open_memory_channel[ASGIReceiveEvent](messages_max)
        self._disconnect: ASGIReceiveEvent | None = None

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Waits for room, except with a disconnect, which ends every such wait. Later events are dropped."""
        if event["type"] in ("http.disconnect", "websocket.disconnect"):
            self._disconnect = self._disconnect or event
            self._in.close()
            return
        with suppress(trio.ClosedResourceError):
            await self._in.send(event)

    async def receive(self) -> ASGIReceiveEvent:
        """The next event; the disconnect comes last, and again however often it is asked for."""
        try:
            return await self._out.receive()
        except trio.EndOfChannel:
            assert self._disconnect is not None, "only a disconnect closes the channel"
            await trio.lowlevel.checkpoint()
            return self._disconnect


class AppTasks(TaskGroup):
    """The runs of the app that belong to one connection, as tasks of the connection's nursery."""

    def __init__(self, nursery: trio.Nursery, limits: ServerLimits) -> None:
        super().__init__()
        self._nursery = nursery
        self._limits = limits
        self._scopes: set[trio.CancelScope] = set()
        self._has_expired = trio.Event()
        self._deadline = inf

    async def spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: Send) -> Put:
        """Starts the app on `scope`. Returns how to give it an event; `send` gets what it says, None last."""
        inbox = Inbox(self._limits.inbox_max_messages)
        cancel_scope = trio.CancelScope()
        self._scopes.add(cancel_scope)
        self.spawn(self._run, app, scope, inbox, send, cancel_scope)
        return inbox.put

    def expire(self) -> None:
        """The client has gone: what still runs after the grace is cancelled."""
        self._deadline = trio.current_time() + self._limits.disconnect_grace_s
        for cancel_scope in self._scopes:
            cancel_scope.deadline = self._deadline
        self._has_expired.set()

    async def _run(
        self, app: AppWrapper, scope: Scope, inbox: Inbox, send: Send, cancel_scope: trio.CancelScope
    ) -> None:
        try:
            with cancel_scope:
                say = partial(self._say, send)
                await app(scope, inbox.receive, say, trio.to_thread.run_sync, trio.from_thread.run)
        except* PeerGoneError:
            logger.debug("the app was still sending to a client that had gone")
        except* Exception:
            logger.exception("the app failed on a %s scope", scope["type"])
        finally:
            self._scopes.discard(cancel_scope)
        await send(None)

    async def _say(self, send: Send, message: ASGISendEvent) -> None:
        """Sends; with the client gone, waits to be cancelled, as the disconnect or the grace will have it.

        Thus an app needs no second way to end. Raises PeerGoneError past the grace: the app is shielded.
        """
        # Not all that is said is sent, as with the body of an answer to HEAD; and whoever sends must yield.
        await trio.lowlevel.checkpoint()
        try:
            await send(message)
        except PeerGoneError:
            await self._has_expired.wait()
            await trio.sleep_until(self._deadline)
            raise
