"""A server on loopback for tests, and apps for it."""

import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from math import inf

import trio
import trio.testing
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from quart import request, websocket
from quart_trio import QuartTrio

from tests.support.raw_client import Client, open_stream
from web.server import DIRECT, OVERLOAD, ServerLimits, TrustedProxies, open_listeners, serve
from web.server.direct import DirectSocket, Receiver
from web.server.overload import Overseer


def socket_clock() -> trio.testing.MockClock:
    """A clock that jumps when nothing has happened for 50 ms, enough for data on loopback to arrive."""
    return trio.testing.MockClock(autojump_threshold=0.05)


@dataclass
class Served:
    """A running server: how to stop it, when it has ended, and its number of tasks without connections."""

    host: str
    port: int
    stop: trio.Event
    ended: trio.Event
    tasks: int = 0

    def has_connections(self) -> bool:
        """Whether there are more tasks than before the first connection."""
        return trio.lowlevel.current_statistics().tasks_living > self.tasks

    @asynccontextmanager
    async def client(self, *, receive_buffer: int | None = None) -> AsyncIterator[Client]:
        """Open a connection; with a small receive buffer it is soon full."""
        async with await open_stream((self.host, self.port), receive_buffer=receive_buffer) as stream:
            yield Client(stream)


@asynccontextmanager
async def serving(
    app: ASGIFramework, limits: ServerLimits | None = None, proxies: TrustedProxies | None = None
) -> AsyncIterator[Served]:
    """Serve `app` on a free port of loopback until the block ends.

    A guard fails a test that hangs: after a minute, or after 1000 s of a jumping clock.
    """
    limits = limits or ServerLimits()
    listeners = open_listeners("127.0.0.1", 0, limits=limits)
    host, port = listeners[0].getsockname()
    served = Served(host, port, trio.Event(), trio.Event())
    jumps = isinstance(trio.lowlevel.current_clock(), trio.testing.MockClock)
    with trio.fail_after(1000 if jumps else 60):
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus[list[str]]) -> None:
                await serve(
                    app,
                    listeners,
                    limits=limits,
                    proxies=proxies,
                    stop=served.stop,
                    task_status=task_status,
                )
                served.ended.set()

            await nursery.start(run)
            served.tasks = trio.lowlevel.current_statistics().tasks_living
            yield served
            nursery.cancel_scope.cancel()


def echo_app() -> QuartTrio:
    """An app that greets, counts bodies, echoes messages, sends endlessly, and crashes on request."""
    app = QuartTrio("echo", static_folder=None)
    _answer_requests(app)
    _answer_websockets(app)
    return app


def _answer_requests(app: QuartTrio) -> None:
    @app.get("/")
    async def greet() -> str:
        return "hello"

    @app.get("/client")
    async def client() -> str:
        assert request.scope["client"] is not None
        return request.scope["client"][0]

    @app.post("/count")
    async def count() -> str:
        return str(len(await request.get_data()))

    @app.get("/crash")
    async def crash() -> str:
        raise ValueError("the handler's own secret")


def _answer_websockets(app: QuartTrio) -> None:
    @app.websocket("/echo")
    async def echo() -> None:
        while True:
            await websocket.send(await websocket.receive())

    @app.websocket("/crash")
    async def crash_later() -> None:
        await websocket.receive()
        raise ValueError("the handler's own secret")

    @app.websocket("/flood")
    async def flood() -> None:
        while True:
            await websocket.send("x" * 60_000)

    @app.websocket("/return")
    async def end() -> None:
        await websocket.receive()


def websocket_app(talk: Callable[[ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]) -> ASGIFramework:
    """An app without a framework, which accepts every WebSocket and then calls `talk`."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            await talk(receive, send)

    return app


class DirectEcho:
    """A receiver that echoes text at once, and binary messages as text in hexadecimal.

    It is established after the first message.
    """

    is_established = False

    def __init__(self, read_limit_s: float = inf) -> None:
        self._read_limit_s = read_limit_s
        self.heard_of: list[str | bytes] = []
        self.was_too_fast = self.was_flooding = 0
        self.codes: list[int] = []
        self.has_gone = trio.Event()
        self.socket: DirectSocket
        self.deadline = trio.current_time() + read_limit_s

    def opened(self, socket: DirectSocket) -> None:
        self.socket = socket

    def heard(self, message: str | bytes, now: float) -> None:
        self.heard_of.append(message)
        self.is_established = True
        self.deadline = now + self._read_limit_s
        self.socket.send([message.encode() if isinstance(message, str) else b"hex " + message.hex().encode()])

    def too_fast(self) -> None:
        self.was_too_fast += 1

    def closed(self, code: int) -> None:
        self.codes.append(code)

    def flooding(self) -> None:
        self.was_flooding += 1

    def overdue(self) -> None:
        self.socket.close(1001, "nothing was heard")

    def gone(self) -> None:
        assert not self.has_gone.is_set(), "gone is called once"
        self.has_gone.set()


def direct_app(new_receiver: Callable[[], Receiver]) -> ASGIFramework:
    """An app that accepts every WebSocket on the direct path."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            assert (await receive())["type"] == "websocket.connect"
            scope["extensions"][DIRECT](new_receiver())  # type: ignore[operator]
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})

    return app


def overseen_app(new_overseer: Callable[[], Overseer]) -> ASGIFramework:
    """An app that accepts every WebSocket on the ordinary path, and only registers an overseer."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            assert (await receive())["type"] == "websocket.connect"
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
            scope["extensions"][OVERLOAD](new_overseer())  # type: ignore[operator]
            while (await receive())["type"] != "websocket.disconnect":
                pass

    return app


def http_app(answer: Callable[[ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]) -> ASGIFramework:
    """An app without a framework, which calls `answer` for every request."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "http":
            await answer(receive, send)

    return app


async def send_text(send: ASGISendCallable, text: str) -> None:
    await send({"type": "websocket.send", "bytes": None, "text": text})


async def send_answer(send: ASGISendCallable, body: bytes) -> None:
    """Send a whole answer with status 200."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def main() -> None:
    """Print the port, and serve until SIGTERM."""
    limits = ServerLimits(stop_grace_s=0.5, send_limit_s=60)
    listeners = open_listeners("127.0.0.1", 0, limits=limits)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM) as signals:
            await nursery.start(partial(serve, echo_app(), listeners, limits=limits, stop=stop))
            sys.stdout.write(f"{listeners[0].getsockname()[1]}\n")
            sys.stdout.flush()
            await anext(signals)
            stop.set()


if __name__ == "__main__":
    trio.run(main)
