"""The ASGI lifespan of an app: its startup before the first connection, its shutdown after the last.

Unlike Hypercorn's, it suppresses no error: whatever ends the app's lifespan, such as a task that crashed in
`app.nursery`, ends the server too, so that it does not run on without the app's tasks.
"""

from __future__ import annotations

import trio
from hypercorn.typing import ASGIFramework, ASGIReceiveEvent, ASGISendEvent, LifespanScope, LifespanState


class LifespanError(Exception):
    """The app reported that it could not start or shut down. The text is the app's."""


class Lifespan:
    """One run of an app. `state` holds what its startup stored for the connections."""

    def __init__(self, app: ASGIFramework) -> None:
        self.state: LifespanState = {}
        self._app = app
        self._asked_to_start = False
        self._stopping = trio.Event()

    def stop(self) -> None:
        """Asks the app to shut down; `run` returns when it has."""
        self._stopping.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Starts the app, reports `started`, and shuts it down after `stop`.

        An app that returns at once has no lifespan, which is allowed. Raises LifespanError, or what the app
        raised.
        """
        started = False

        async def send(message: ASGISendEvent) -> None:
            nonlocal started
            match message["type"]:
                case "lifespan.startup.complete":
                    started = True
                    task_status.started()
                case "lifespan.startup.failed":
                    raise LifespanError(f"the app could not start: {message.get('message', '')}")
                case "lifespan.shutdown.failed":
                    raise LifespanError(f"the app could not shut down: {message.get('message', '')}")

        scope: LifespanScope = {
            "type": "lifespan",
            "asgi": {"spec_version": "2.0", "version": "3.0"},
            "state": self.state,
        }
        await self._app(scope, self._receive, send)
        if not started:
            task_status.started()

    async def _receive(self) -> ASGIReceiveEvent:
        if not self._asked_to_start:
            self._asked_to_start = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}
