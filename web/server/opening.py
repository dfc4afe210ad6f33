"""How a WebSocket opens: from the first byte of a connection to the first frame of its client.

1. `connection` reads the first data. If they are a whole handshake (`is_handshake`), as with every browser,
   `http1` handles them at once: it parses the head, checks it, and makes a `websocket.WebSocket`. The run of
   the app is only prepared.
2. `run_app` runs the app in the task of the connection. The scope offers the direct path: the app may call
   ``scope["extensions"][DIRECT]`` with a `Receiver` before it accepts.
3. The app accepts, and the WebSocket makes the answer 101. If there is a receiver, `Opening.go_direct` stops
   the reader, sends the answer and gives the socket to the poller. The app returns, the connection's task
   ends, and the first frame goes from the poller to the receiver (`web.server.direct`).
4. Otherwise the app waits for messages. When it waits for the first time, for whatever it may be, `run_app`
   starts a second task, which reads. Frames go through that task and ASGI (`web.server.websocket`).

An app that chooses the direct path and does not wait costs no second task and no nursery: together they would
make opening a WebSocket a tenth more expensive. Other requests, and handshakes that arrive in pieces, are
served in a nursery, where a WebSocket opens in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any

import trio

from web.server.direct import Receiver

DIRECT = "web.server.direct"
"""The key in the `extensions` of a WebSocket's scope under which the server offers the direct path."""

_BLANK_LINE = re.compile(rb"\n\r?\n")
_UPGRADE = re.compile(rb"\nupgrade:[ \t]*websocket[ \t]*\r?\n(?![ \t])")  # not folded to the next line


def is_handshake(data: bytes) -> bool:
    """Whether `data` are exactly one whole head with the header `Upgrade: websocket`.

    `http1` makes such a request a WebSocket or refuses it. It may be handled while the app does not run yet.
    Any other request may not, since reading goes on only after the app has answered it.
    """
    end = _BLANK_LINE.search(data)
    return end is not None and end.end() == len(data) and _UPGRADE.search(data.lower()) is not None


class Opening:
    """The way of one connection to the direct path.

    `stop_reading` makes the connection's reader stop, and leave all later data in the kernel. `give_away`
    gives the socket to the poller.
    """

    def __init__(self, stop_reading: Callable[[], None], give_away: Callable[[Receiver], None]) -> None:
        self._stop_reading = stop_reading
        self._give_away = give_away
        self._receiver: Receiver | None = None
        self.is_direct = False
        """Whether the answer 101 is being, or was, sent: from then on only the receiver closes."""

    def offers(self) -> dict[str, Any]:
        """What the app finds in the scope's `extensions`."""
        return {DIRECT: self._choose}

    def _choose(self, receiver: Receiver) -> None:
        self._receiver = receiver

    @property
    def is_chosen(self) -> bool:
        """Whether the app has chosen the direct path."""
        return self._receiver is not None

    async def go_direct(self, send_answer: Callable[[], Awaitable[None]]) -> None:
        """Accept on the direct path. The reader stops before the client may send, so no byte is lost."""
        assert self._receiver is not None, "the app has chosen this path"
        receiver, self._receiver = self._receiver, None
        self.is_direct = True
        self._stop_reading()
        await send_answer()
        self._give_away(receiver)


class Noticed:
    """An awaitable that runs `task`, and calls `on_wait` when it suspends for the first time."""

    def __init__(self, task: Coroutine[Any, Any, None], on_wait: Callable[[], None]) -> None:
        self.has_waited = False
        self._on_wait = on_wait
        self._task = task

    def __await__(self) -> Generator[Any, Any, None]:
        return self  # type: ignore[return-value]  # has all methods that `await` uses

    def __next__(self) -> object:
        return self.send(None)

    def send(self, value: Any) -> object:
        """Resume `task` until it suspends again."""
        trap = self._task.send(value)
        if not self.has_waited:
            self.has_waited = True
            self._on_wait()
        return trap

    def throw(self, *error: Any) -> object:
        """Resume `task` with an exception."""
        return self._task.throw(*error)

    def close(self) -> None:
        """Close `task` where it is suspended."""
        self._task.close()


async def run_app(
    app: Coroutine[Any, Any, None],
    read: Callable[[], Awaitable[None]],
    start_soon: Callable[[Callable[[], Awaitable[None]]], None],
    cancel_app: Callable[[], None],
    lose: Callable[[], None],
) -> None:
    """Run the `app` of a WebSocket in this task, and `read` to the end of the connection.

    `read` begins in a second task, by `start_soon`, when the app waits for the first time; or here, after an
    app that never waits. If `read` fails, the app is cancelled. If the app fails or is cancelled, `lose`
    makes `read` end. This returns when both have ended, and raises what either raised.
    """
    has_read = trio.Event()
    failures: list[Exception] = []

    async def read_beside() -> None:
        try:
            await read()
        except Exception as error:
            failures.append(error)
            cancel_app()
        finally:
            has_read.set()

    noticed = Noticed(app, partial(start_soon, read_beside))
    try:
        await noticed
    except BaseException:
        lose()
        raise
    finally:
        if noticed.has_waited:
            with trio.CancelScope(shield=True):
                await has_read.wait()
    if failures:
        raise failures.pop()
    if not noticed.has_waited:
        await read()
