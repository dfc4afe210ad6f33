"""No request leaves anything behind that waits for the collector, however it is answered or cut short."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

from tests.support.echo import http_app, serving
from tests.support.leftovers import all_set_aside, without_collector
from tests.support.lobby import Lobby, a_lobby
from tests.support.raw_client import UPGRADE
from web.build import this_build
from web.server import ServerLimits
from web.server import accept as server_module

HOST = b"Host: test\r\n"
GET = b"GET %s HTTP/1.1\r\n" + HOST
GUEST = b"POST /api/guest HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n%s"
FOLDER = this_build().path.encode()
STATIC = GET % (FOLDER + b"/js/main.js")
LIMITS = ServerLimits(request_limit_s=2.0, linger_s=0.5, keep_alive_s=1.0)
END = b"Connection: close\r\n\r\n"


def guest(body: bytes) -> bytes:
    return GUEST % (len(body), body)


REQUESTS = {
    "a page": GET % b"/" + END,
    "a page, without its body": b"HEAD / HTTP/1.1\r\n" + HOST + END,
    "a file": STATIC + END,
    "a part of a file": STATIC + b"Range: bytes=-5\r\n" + END,
    "no part of a file": STATIC + b"Range: bytes=99999999-\r\n" + END,
    "an impossible part": STATIC + b"Range: bytes=5-2\r\n" + END,
    "what has not changed": STATIC + b"If-None-Match: *\r\n" + END,
    "readiness": GET % b"/readyz" + END,
    "the description": GET % b"/openapi.json" + END,
    "options": b"OPTIONS /api/guest HTTP/1.1\r\n" + HOST + END,
    "a guest": guest(b'{"name": "Ada"}'),
    "a guest without a name": guest(b"{}"),
    "a body that is not UTF-8": guest(b"\xff\xfe"),
    "a body that is nested": guest(b"[" * 2000),
    "a body beyond Quart's limit": guest(b"x" * 5000),
    "a body beyond the server's limit": GUEST % (10_000_000, b"x"),
    "a chunked body beyond it": b"POST /api/guest HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"fffff\r\n" + b"x" * 300_000,
    "half a body": GUEST % (100, b"x"),
    "half a head": GET % b"/",
    "nowhere": GET % b"/nowhere" + END,
    "a file that is not there": GET % (FOLDER + b"/nowhere") + END,
    "a name of 300 letters": GET % (FOLDER + b"/" + b"a" * 300) + END,
    "another method": b"PUT / HTTP/1.1\r\n" + HOST + END,
    "a WebSocket's address": GET % b"/ws" + END,
    "nonsense": b"hello\r\n\r\n",
    "two lengths": GET % b"/" + b"Content-Length: 1\r\nContent-Length: 2\r\n" + END,
    "a length and a coding": GET % b"/" + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n" + END,
    "an unknown coding": GET % b"/" + b"Transfer-Encoding: gzip\r\n" + END,
    "another version": b"GET / HTTP/3.0\r\n\r\n",
    "large headers": GET % b"/" + b"X: " + b"x" * 20_000 + b"\r\n\r\n",
    "several at once": (GET % b"/healthz" + b"\r\n") * 3 + GET % b"/nowhere" + b"\r\n" + GET % b"/" + END,
    "a handshake from elsewhere": UPGRADE % (b"/ws", b"Origin: http://elsewhere\r\n"),
    "a handshake from half an address": UPGRADE % (b"/ws", b"Origin: http://[::1\r\n"),
    "a handshake with nowhere": UPGRADE % (b"/nowhere", b""),
    "a handshake with a page": UPGRADE % (b"/", b""),
    "a handshake of another version": UPGRADE.replace(b"13", b"12") % (b"/ws", b""),
    "a handshake without a key": UPGRADE.replace(b"Sec-WebSocket-Key", b"X") % (b"/ws", b""),
    "a handshake and more": UPGRADE % (b"/ws", b"") + b"x",
}


@pytest.fixture(scope="module", autouse=True)
def cheap_collections() -> Iterator[None]:
    with all_set_aside():
        yield


@pytest.fixture
def clock() -> trio.testing.MockClock:
    """Jumps soon: both ends of a connection are in this process."""
    return trio.testing.MockClock(autojump_threshold=0.01)


async def ask(lobby: Lobby, data: bytes) -> None:
    """Send it, read whatever is answered until the server closes or has waited long enough, and leave."""
    async with lobby.served.client() as client:
        await client.send(data)
        with suppress(trio.BrokenResourceError):  # where it did not read all of it
            await client.read_to_end()


@pytest.mark.parametrize("path", ["direct", "ordinary"])
async def test_a_request_is_gone_at_once(
    path: str, clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    if path == "ordinary":
        monkeypatch.setattr(server_module, "IS_OFFERED", False)
    async with a_lobby(LIMITS, presence_every_s=10_000.0) as lobby:
        left: dict[str, Any] = {}
        for _ in range(2):
            left.clear()
            for name, data in REQUESTS.items():
                with without_collector() as leftovers:
                    await ask(lobby, data)
                    await lobby.deserted()
                if leftovers.found:
                    left[name] = leftovers.found
        assert left == {}


@pytest.mark.parametrize("name", ["a file", "readiness", "half a body", "nowhere", "several at once"])
async def test_a_client_that_goes_away_in_the_middle_leaves_nothing(
    name: str, clock: trio.testing.MockClock
) -> None:
    async with a_lobby(presence_every_s=10_000.0) as lobby:
        for _ in range(2):
            with without_collector() as leftovers:
                for steps in range(6):
                    async with lobby.served.client() as client:
                        await client.send(REQUESTS[name])
                        for _step in range(steps):
                            await trio.lowlevel.checkpoint()
                        client.reset()
                await lobby.deserted()
        assert leftovers.found == {}


async def test_a_handler_that_fails_leaves_nothing(
    clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """In an app without a framework, and in ours; before its answer and in the midst of it."""

    async def answer(_receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        error = ValueError("kept in a variable")
        raise error

    caplog.set_level(logging.CRITICAL, "web.server")
    async with serving(http_app(answer), ServerLimits()) as served:
        for _ in range(2):
            with without_collector() as leftovers:
                async with served.client() as client:
                    await client.send(GET % b"/" + END)
                    await client.read_to_end()
                while served.has_connections():  # noqa: ASYNC110
                    await trio.sleep(1)
        assert leftovers.found == {}
