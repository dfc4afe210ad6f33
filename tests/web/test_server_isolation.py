"""A connection fails alone: nothing a client says ends the server or another's connection."""

import logging
from collections.abc import Callable

import h11
import pytest
import trio
import trio.testing
from hypercorn.events import Event
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable

from tests.support.echo import Served, echo_app, http_app, serving, websocket_app
from tests.support.raw_client import TEXT, UPGRADE, Client
from web.server import ServerLimits
from web.server.http1 import Http1, path_of

GET = b"GET / HTTP/1.1\r\nHost: test\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %s\r\n\r\n"


async def check_alive(served: Served) -> None:
    async with served.client() as client:
        assert await client.get() == (200, b"hello")


def worse_than(level: int, caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno > level]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        pytest.param(UPGRADE % (b"/echo", b"") + b"x", 400, id="a byte after the upgrade request"),
        pytest.param(UPGRADE % (b"/echo", b"Content-Length: 1\r\n") + b"x", 400, id="a body to it"),
        pytest.param(UPGRADE % (b"/echo", b"Connection: \xe9\r\n"), 400, id="connection not ASCII"),
        pytest.param(UPGRADE % (b"/echo", b"Sec-WebSocket-Protocol: \xff\r\n"), 400, id="protocol not ASCII"),
        pytest.param(
            UPGRADE % (b"/echo", b"Sec-WebSocket-Extensions: \xff\r\n"), 400, id="extension not ASCII"
        ),
        pytest.param(UPGRADE.replace(b"13", b"12") % (b"/echo", b""), 400, id="unknown WebSocket version"),
        pytest.param(UPGRADE.replace(b"1.1", b"1.0", 1) % (b"/echo", b""), 400, id="upgrade in HTTP/1.0"),
        pytest.param(UPGRADE.replace(b"GET", b"PUT") % (b"/", b""), 400, id="upgrade of no GET"),
        pytest.param(UPGRADE % (b"/echo", b"Upgrade: h2c\r\n"), 400, id="two upgrades"),
        pytest.param(GET + b"Upgrade: websocket\r\n\r\n", 400, id="an upgrade that is not asked for"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, id="HTTP/2 with prior knowledge"),
        pytest.param(b"GET / HTTP/3.0\r\n\r\n", 505, id="another version"),
        pytest.param(b"GET /\xff HTTP/1.1\r\nHost: test\r\n\r\n", 400, id="path not ASCII"),
        pytest.param(b"GET /%00 HTTP/1.1\r\nHost: test\r\n\r\n", 400, id="NUL in the path"),
        pytest.param(b"GET ftp://[/ HTTP/1.1\r\nHost: test\r\n\r\n", 400, id="another scheme"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n", 400, id="target *"),
        pytest.param(b"CONNECT test:80 HTTP/1.1\r\nHost: test\r\n\r\n", 400, id="proxy request"),
        pytest.param(b"G\xffT / HTTP/1.1\r\nHost: test\r\n\r\n", 400, id="method not ASCII"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
        pytest.param(b"hello\r\n\r\n", 400, id="no HTTP at all"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, id="TLS"),
        pytest.param(GET + b"Upgrade: websocket\r\n , h2c\r\n\r\n", 400, id="a folded line"),
        pytest.param(GET + b"Content-Length: x\r\n\r\n", 400, id="length no number"),
        pytest.param(GET + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", 400, id="length beyond measure"),
        pytest.param(GET + b"Transfer-Encoding: gzip\r\n\r\n", 501, id="unknown transfer encoding"),
        pytest.param(GET + b"Transfer-Encoding: chunked\r\n\r\nx\r\n", 400, id="chunk without a size"),
    ],
)
async def test_a_malformed_request_is_refused(
    data: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """With a status, an end to the connection, and no word in the log; and the server lives on."""
    async with serving(echo_app()) as served:
        async with served.client() as client:
            await client.send(data)
            assert (await client.head())[0] == status
            await client.read_to_end()
        await check_alive(served)
    assert worse_than(logging.DEBUG, caplog) == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(GET + H2C % b"AAMAAABk", id="h2c"),
        pytest.param(GET + H2C % b"\xff!", id="h2c with malformed settings"),
        pytest.param(GET + b"Connection: \xff\r\n\r\n", id="connection not ASCII"),
        pytest.param(b"GET http://test HTTP/1.1\r\nHost: test\r\n\r\n", id="a whole address"),
        pytest.param(b"GET http://[ HTTP/1.1\r\nHost: test\r\n\r\n", id="half an address"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: [\xff\r\n\r\n", id="no possible host"),
        pytest.param(b"GET HTTP://test/?q=http://a/b HTTP/1.1\r\nHost: test\r\n\r\n", id="and a query"),
    ],
)
async def test_what_is_odd_but_clear_is_answered(data: bytes) -> None:
    async with serving(echo_app()) as served:
        async with served.client() as client:
            status, headers, body = await client.request(data)
            assert (status, body) == (200, b"hello")
            assert "upgrade" not in headers
        await check_alive(served)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/a?b=http://c/d", b"/a?b=http://c/d"),
        (b"http://test/a?b", b"/a?b"),
        (b"https://test?b", b"/?b"),
        (b"//test/a", b"//test/a"),
        (b"test/a", None),
        (b"*", None),
        (b"/a%00b", None),
    ],
)
def test_path_of_a_target(target: bytes, path: bytes | None) -> None:
    assert path_of(h11.Request(method="GET", target=target, headers=[("Host", "test")])) == path


class SecretError(Exception):
    """Quotes what the client sent."""


@pytest.mark.parametrize(
    "failure",
    [
        lambda text: SecretError(text),
        lambda text: ExceptionGroup(text, [SecretError(text), ExceptionGroup(text, [OSError(text)])]),
    ],
    ids=["exception", "group"],
)
async def test_a_failing_connection_fails_alone(
    failure: Callable[[str], Exception], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning tells what and where, and repeats nothing of what the client sent."""

    async def fail(self: Http1, event: Event) -> None:
        raise failure("what the client sent")

    async with serving(echo_app()) as served, served.client() as other:
        await other.upgrade()
        async with served.client() as client:
            with monkeypatch.context() as patch:
                patch.setattr(Http1, "handle", fail)
                await client.send(GET + b"\r\n")
                await client.read_to_end()
        await check_alive(served)
        await other.send_frame(TEXT, b"still here")
        assert await other.frame() == (TEXT, b"still here")
    [record] = [record for record in caplog.records if record.name == "web.server"]
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith(
        "a connection failed and was closed: SecretError at test_server_isolation.py:"
    )
    assert record.exc_info is None


@pytest.mark.parametrize("pieces", [1, 2], ids=["the head at once", "the head in two pieces"])
async def test_a_websocket_that_fails_takes_its_app_along(
    pieces: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the app runs in the connection's task or in one of its own: it is cancelled, and told once."""
    was_cancelled = trio.Event()

    async def wait(_receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        try:
            await trio.sleep_forever()
        finally:
            was_cancelled.set()

    async def fail(self: Http1, event: Event) -> None:
        raise SecretError("what the client sent")

    async with serving(websocket_app(wait)) as served, served.client() as client:
        head = UPGRADE % (b"/", b"")
        for piece in (head[:20], head[20:]) if pieces == 2 else (head,):
            await client.send(piece)
            await trio.testing.wait_all_tasks_blocked(0.02)
        assert (await client.head())[0] == 101
        with monkeypatch.context() as patch:
            patch.setattr(Http1, "handle", fail)
            await client.send_frame(TEXT, b"hello")
            await client.read_to_end()
        assert was_cancelled.is_set()
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert not served.has_connections()
    [record] = [record for record in caplog.records if record.name == "web.server"]
    assert record.getMessage().startswith(
        "a connection failed and was closed: SecretError at test_server_isol"
    )


async def test_a_failing_app_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The request gets 500, the log one line that says what and where, and quotes nobody."""

    async def answer(_receive: ASGIReceiveCallable, _send: ASGISendCallable) -> None:
        raise ValueError("what the client said")

    async with serving(http_app(answer)) as served, served.client() as client:
        assert (await client.request(GET + b"\r\n"))[0] == 500
    [record] = [record for record in caplog.records if record.name == "web.server"]
    assert record.levelno == logging.ERROR
    assert record.getMessage().startswith(
        "the app failed on a http scope: ValueError at test_server_isolation"
    )
    assert "\n" not in record.getMessage()
    assert "said" not in caplog.text
    assert record.exc_info is None


async def test_no_banner_and_one_date() -> None:
    """Although the app may have set a date, as Quart does for files."""

    async def answer(_receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        headers = [(b"Date", b"yesterday"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with serving(http_app(answer)) as served, served.client() as client:
        _, headers, _ = await client.request(GET + b"\r\n")
        assert "server" not in headers
        assert headers["date"].endswith(" GMT")


async def test_access_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(echo_app()) as served:
        await check_alive(served)
    assert caplog.records == []


async def test_requests_follow_each_other_on_one_connection() -> None:
    """Also when they come at once, the second not yet whole."""
    async with serving(echo_app()) as served, served.client() as client:
        assert await client.get() == (200, b"hello")
        post = b"POST /count HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n"
        await client.send(GET + b"\r\n" + post + b"12")
        assert (await client.head())[0] == 200
        assert await client.read(5) == b"hello"
        await client.send(b"345")
        assert (await client.head())[0] == 200
        assert await client.read(1) == b"5"


async def test_a_client_that_is_gone_before_it_is_served_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(echo_app()) as served:
        for _ in range(20):
            stream = await trio.open_tcp_stream(served.host, served.port)
            Client(stream).reset()
        await check_alive(served)
    assert caplog.records == []


async def test_beyond_the_most_connections_a_client_is_told_503() -> None:
    async with serving(echo_app(), ServerLimits(connections_max=1)) as served:
        async with served.client() as first:
            assert (await first.get())[0] == 200
            async with served.client() as second:
                status, headers, _ = await second.request(GET + b"\r\n")
                assert (status, headers["connection"]) == (503, "close")
                assert await second.read_to_end() == b""
            assert (await first.get())[0] == 200
        await trio.testing.wait_all_tasks_blocked()
        await check_alive(served)
