"""What a request may cost: time, body and headers are limited, and a limit says so before it closes."""

import pytest
import trio
import trio.testing

from tests.support.echo import echo_app, serving, socket_clock
from tests.support.raw_client import UPGRADE
from web.server import ServerLimits

POST = b"POST /count HTTP/1.1\r\nHost: test\r\n"


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return socket_clock()


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: te", id="headers"),
        pytest.param(UPGRADE[:80], id="upgrade"),
        pytest.param(POST + b"Content-Length: 1000\r\n\r\nx", id="body"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx", id="chunks"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_a_request_that_drips_is_ended(
    start: bytes, is_first: bool, clock: trio.testing.MockClock
) -> None:
    """However little at a time it sends, it has `request_limit_s` in all."""
    limits = ServerLimits(request_limit_s=10, keep_alive_s=30)
    async with serving(echo_app(), limits) as served, served.client() as client:
        if not is_first:
            await client.get()
            await trio.sleep(20)
        await client.send(start)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                while True:
                    await trio.sleep(2)
                    await client.send(b"x" if b"chunked" not in start else b"\r\n1\r\nx")

            nursery.start_soon(drip)
            status, headers = await client.head()
            nursery.cancel_scope.cancel()
        assert (status, headers["connection"]) == (408, "close")
        assert trio.current_time() - began == pytest.approx(10, abs=1)
        assert b"took too long" in await client.read_to_end()


async def test_a_connection_without_a_request_is_closed(clock: trio.testing.MockClock) -> None:
    async with serving(echo_app(), ServerLimits(request_limit_s=10)) as served, served.client() as client:
        assert await client.read_to_end() == b""
        assert trio.current_time() == pytest.approx(10, abs=1)


async def test_a_connection_that_rests_is_closed(clock: trio.testing.MockClock) -> None:
    async with serving(echo_app(), ServerLimits(keep_alive_s=30)) as served, served.client() as client:
        await client.get()
        await trio.sleep(25)
        await client.get()
        began = trio.current_time()
        assert await client.read_to_end() == b""
        assert trio.current_time() - began == pytest.approx(30, abs=1)


async def test_the_app_may_take_longer_than_the_client(clock: trio.testing.MockClock) -> None:
    app = echo_app()

    @app.get("/slow")
    async def slow() -> str:
        await trio.sleep(50)
        return "done"

    async with serving(app) as served, served.client() as client:
        assert await client.get("/slow") == (200, b"done")


BODY_LIMIT = ServerLimits(body_max_bytes=1000)


async def test_a_body_of_the_limit_passes() -> None:
    async with serving(echo_app(), BODY_LIMIT) as served, served.client() as client:
        request = POST + b"Content-Length: 1000\r\n\r\n" + bytes(1000)
        assert (await client.request(request))[2] == b"1000"
        request = POST + b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + bytes(1000) + b"\r\n0\r\n\r\n"
        assert (await client.request(request))[2] == b"1000"


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(POST + b"Content-Length: 1001\r\n\r\n", id="announced"),
        pytest.param(POST + b"Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n", id="asked for"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + bytes(1001), id="chunks"),
    ],
)
async def test_a_larger_body_is_refused(request_: bytes) -> None:
    """Before it is read; and the answer arrives, although the client has more to send."""
    async with serving(echo_app(), BODY_LIMIT) as served, served.client() as client:
        status, headers, _ = await client.request(request_)
        assert (status, headers["connection"]) == (413, "close")
        for _ in range(20):
            await client.send(bytes(10_000))
        await client.stream.send_eof()
        assert await client.read_to_end() == b""


async def test_a_client_may_ask_before_it_sends_a_body() -> None:
    async with serving(echo_app(), BODY_LIMIT) as served, served.client() as client:
        await client.send(POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert (await client.head())[0] == 100
        assert (await client.request(b"body"))[2] == b"4"


@pytest.mark.parametrize("size", [2000, 1_000_000])
async def test_headers_beyond_the_limit_are_refused(size: int) -> None:
    """Also when they come whole, in one piece."""
    limits = ServerLimits(headers_max_bytes=1000)
    async with serving(echo_app(), limits) as served, served.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: test\r\nCookie: " + b"x" * size + b"\r\n\r\n")
        assert (await client.head())[0] == 431
        assert b"headers of this request are too large" in await client.read_to_end()
