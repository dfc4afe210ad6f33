"""A full server: who has no place is told so, and a probe that the process lives."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from typing import cast

import pytest
import trio
import trio.testing

from tests.support.echo import Served, echo_app, serving, socket_clock
from tests.support.raw_client import Client
from web.server import ServerLimits
from web.server.full import BESIDES_MAX, TurnedAway

FULL = ServerLimits(connections_max=1, linger_s=2.0)
PROBE = b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n"


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return socket_clock()


async def probe(served: Served, request: bytes = PROBE) -> tuple[int, bytes]:
    async with served.client() as client:
        await client.send(request)
        status, headers = await client.head()
        assert headers["connection"] == "close"
        assert headers["x-content-type-options"] == "nosniff"
        return status, await client.read_to_end()


@pytest.mark.parametrize(
    "request_line",
    [b"GET /healthz HTTP/1.1", b"GET /healthz?a=1 HTTP/1.0", b"GET http://test/healthz HTTP/1.1"],
)
async def test_a_probe_is_told_that_a_full_server_lives(request_line: bytes) -> None:
    async with serving(echo_app(), FULL) as served, served.client() as first:
        assert (await first.get())[0] == 200
        assert await probe(served, request_line + b"\r\nHost: test\r\n\r\n") == (200, b'{"status":"alive"}\n')
        assert await probe(served, b"HEAD /healthz HTTP/1.1\r\nHost: test\r\n\r\n") == (200, b"")
        assert (await first.get())[0] == 200


@pytest.mark.parametrize("path", [b"/", b"/healthzz", b"/x/healthz", b"/readyz", b"/ws?/healthz HTTP/1.1"])
async def test_everybody_else_is_told_503(path: bytes) -> None:
    async with serving(echo_app(), FULL) as served, served.client() as first:
        assert (await first.get())[0] == 200
        status, body = await probe(served, b"GET %s HTTP/1.1\r\nHost: test\r\n\r\n" % path)
        assert (status, b"no room" in body) == (503, True)


async def test_a_probe_that_comes_in_pieces_is_awaited_and_silence_is_not(
    clock: trio.testing.MockClock,
) -> None:
    async with serving(echo_app(), FULL) as served, served.client() as first:
        assert (await first.get())[0] == 200
        async with served.client() as slow, served.client() as silent:
            for number in range(len(PROBE)):
                await slow.send(PROBE[number : number + 1])
            assert (await slow.head())[0] == 200
            assert (await silent.head())[0] == 503


class Torrent:
    """A socket on which there is always more to be read."""

    def __init__(self) -> None:
        self.reads = 0
        self.sent = b""

    def recv(self, size: int) -> bytes:
        self.reads += 1
        assert self.reads < 1000, "read without end, and nobody else has a turn"
        return b"GET / HTTP/1.1\r\n".ljust(size, b"x")

    def send(self, data: bytes) -> None:
        self.sent += data

    def shutdown(self, how: int) -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *why: object) -> None:
        pass


async def test_who_is_turned_away_and_sends_on_and_on_takes_no_turns_of_others(
    autojump_clock: trio.testing.MockClock,
) -> None:
    torrent = Torrent()
    await TurnedAway(FULL).turn_away(cast(socket.socket, torrent))
    assert torrent.sent.startswith(b"HTTP/1.1 503 ")
    assert trio.current_time() == FULL.linger_s


async def test_who_says_nothing_does_not_keep_a_probe_from_its_answer() -> None:
    """And of those who say nothing there are never more than a few."""
    async with serving(echo_app(), FULL) as served, served.client() as first, AsyncExitStack() as stack:
        assert (await first.get())[0] == 200
        silent: list[Client] = []
        for _ in range(2 * BESIDES_MAX):
            silent.append(await stack.enter_async_context(served.client()))
        assert (await probe(served))[0] == 200
        for client in silent[:BESIDES_MAX]:
            assert (await client.head())[0] == 503
