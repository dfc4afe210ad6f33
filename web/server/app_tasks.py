"""Runs the app for each request and WebSocket of one connection, and passes events to it.

If the app fails, the failure is logged once and affects only this run. When the client has disconnected, the
app receives a disconnect event, may run on for a grace, and is then cancelled. Nothing here waits for an app
that has stopped receiving.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from math import inf
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio.task_group import TaskGroup
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope

from actors import let_go
from web.server.config import logger
from web.server.failures import report
from web.server.limits import ServerLimits

Put = Callable[[ASGIReceiveEvent], Awaitable[None]]
Send = Callable[[ASGISendEvent | None], Awaitable[None]]

SAID_ONCE = frozenset(("websocket.accept", "websocket.close"))
"""The types of messages that no app sends in a loop."""


class PeerGoneError(ConnectionResetError):
    """A send to a client that has disconnected. An app sees it only if a shield prevents its cancellation."""


class Inbox:
    """The events that one run of the app has not received yet. Bounded; a disconnect is always accepted."""

    def __init__(self, messages_max: int) -> None:
        self._max = messages_max
        self._messages: deque[ASGIReceiveEvent] = deque()
        self._disconnect: ASGIReceiveEvent | None = None
        self._change: trio.Event | None = None

    async def put(self, event: ASGIReceiveEvent) -> None:
        """Waits for room, except for a disconnect, which ends all such waits; later events are dropped."""
        if event["type"] in ("http.disconnect", "websocket.disconnect"):
            self._disconnect = self._disconnect or event
            self._has_changed()
            return
        while len(self._messages) == self._max and self._disconnect is None:
            await self._wait()
        if self._disconnect is None:
            self._messages.append(event)
            self._has_changed()

    async def receive(self) -> ASGIReceiveEvent:
        """The next event; after all others the disconnect, any number of times."""
        await trio.lowlevel.checkpoint()
        while not self._messages:
            if self._disconnect is not None:
                return self._disconnect
            await self._wait()
        self._has_changed()
        return self._messages.popleft()

    async def _wait(self) -> None:
        """Wait for a put or a receive. The event is created when needed, because most runs never wait."""
        if self._change is None:
            self._change = trio.Event()
        await self._change.wait()

    def _has_changed(self) -> None:
        if self._change is not None:
            self._change.set()
            self._change = None


class AppTasks(TaskGroup):
    """The runs of the app that belong to one connection.

    They are tasks of its nursery. While there is none, a run for a WebSocket is only prepared.
    """

    def __init__(self, limits: ServerLimits) -> None:
        super().__init__()
        self._prepared: Callable[[], Coroutine[Any, Any, None]] | None = None
        self._limits = limits
        self._scopes: set[trio.CancelScope] = set()
        self._has_expired = trio.Event()
        self._deadline = inf

    def run_in(self, nursery: trio.Nursery) -> None:
        """Start all later runs as tasks of `nursery`."""
        self._nursery = nursery

    def prepared(self) -> Coroutine[Any, Any, None] | None:
        """Take the prepared run, to run it without a nursery."""
        run, self._prepared = self._prepared, None
        return None if run is None else run()

    async def spawn_app(self, app: AppWrapper, config: Config, scope: Scope, send: Send) -> Put:
        """Starts the app on `scope`. Returns a function that passes it an event.

        `send` is called with each message of the app, and with None after the last.
        """
        inbox = Inbox(self._limits.inbox_max_messages)
        cancel_scope = trio.CancelScope()
        self._scopes.add(cancel_scope)
        run = partial(self._run, app, scope, inbox, send, cancel_scope)
        if self._nursery is None:
            assert scope["type"] == "websocket", "a request may wait for its app at once"
            self._prepared = run
        else:
            self._nursery.start_soon(run)
        return inbox.put

    def cancel(self) -> None:
        """Cancel all runs at once."""
        for cancel_scope in self._scopes:
            cancel_scope.cancel()

    def expire(self) -> None:
        """The client has disconnected: cancel the runs that have not ended after the grace."""
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
        except* PeerGoneError as gone:
            logger.debug("the app was still sending to a client that had gone")
            let_go(gone)
        except* Exception as error:
            report(error, f"the app failed on a {scope['type']} scope", logging.ERROR)
            let_go(error)
        finally:
            self._scopes.discard(cancel_scope)
        await send(None)
        if scope["type"] == "websocket":
            scope["extensions"].clear()  # breaks a reference cycle: extensions, stream, scope

    async def _say(self, send: Send, message: ASGISendEvent) -> None:
        """Sends a message; if the client has disconnected, waits until the app is cancelled after the grace.

        So an app needs no code of its own for this case. Raises PeerGoneError after the grace, if the app is
        shielded.
        """
        if message["type"] not in SAID_ONCE:
            # Not every message is sent (for instance the body of an answer to HEAD), but each has to yield.
            await trio.lowlevel.checkpoint()
        try:
            await send(message)
        except PeerGoneError:
            await self._has_expired.wait()
            await trio.sleep_until(self._deadline)
            raise
