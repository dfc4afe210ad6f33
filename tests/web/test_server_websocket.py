"""WebSockets: no extension, no message beyond the limit, the right code at every end.

What does not depend on the app is tested on both paths, ordinary and direct.
"""

import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
import trio
import trio.testing
import trio_websocket
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from quart_trio import QuartTrio

from actors.rate import Rate
from tests.support.echo import echo_app, send_text, serving, socket_clock, websocket_app
from tests.support.raw_client import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    UPGRADE,
    Client,
    frame_head,
)
from web.server import ServerLimits


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return socket_clock()


MAX = 1000
SMALL = ServerLimits(message_max_bytes=MAX, linger_s=0.2)


async def test_an_ordinary_client_is_served() -> None:
    async with serving(echo_app()) as served:
        url = f"ws://{served.host}:{served.port}/echo"
        async with trio_websocket.open_websocket_url(url) as socket:
            await socket.send_message("grüße")
            assert await socket.get_message() == "grüße"
            await socket.send_message(b"\x00\xff")
            assert await socket.get_message() == b"\x00\xff"
            await socket.ping(b"there?")
            await socket.aclose(1000, "done")
        assert socket.closed is not None
        assert socket.closed.code == 1000


OFFER = b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"


async def test_compression_is_never_negotiated(echo: ASGIFramework) -> None:
    """Browsers always offer it. A frame that is compressed all the same is a protocol error."""
    async with serving(echo) as served, served.client() as client:
        assert "sec-websocket-extensions" not in await client.upgrade(headers=OFFER)
        await client.send_frame(TEXT, b"\xf2H\xcd\xc9\xc9\x07\x00", rsv=4)
        assert await client.close_code() == 1002


@pytest.mark.parametrize("sizes", [[MAX], [MAX - 1, 1], [1, 0, 1, MAX - 2], [0, MAX], [0, 0]])
async def test_a_message_of_the_limit_passes(echo: ASGIFramework, sizes: list[int]) -> None:
    """Byte by byte, so that every header comes in pieces, and is looked at more than once."""
    async with serving(echo, SMALL) as served, served.client() as client:
        await client.upgrade()
        for number, size in enumerate(sizes):
            opcode = CONTINUATION if number else TEXT
            head = frame_head(opcode, size, fin=number == len(sizes) - 1)
            for byte in head:
                await client.send(bytes([byte]))
                await trio.testing.wait_all_tasks_blocked()
            await client.send(b"x" * size)
        assert await client.frame() == (TEXT, b"x" * sum(sizes))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(frame_head(TEXT, 2 * MAX), id="announced"),
        pytest.param(frame_head(TEXT, MAX + 1) + b"x" * (MAX + 1), id="one byte too much"),
        pytest.param(frame_head(BINARY, 2**40), id="announced, enormous"),
        pytest.param(frame_head(TEXT, 600, fin=False) + b"x" * 600 + frame_head(0, 600), id="fragmented"),
        pytest.param(
            frame_head(TEXT, 600, fin=False) + b"x" * 600 + frame_head(0, 401) + b"x" * 401,
            id="fragmented, one byte too much",
        ),
        pytest.param(frame_head(TEXT, 1002) + "é".encode() * 501, id="bytes, not characters"),
    ],
)
async def test_a_message_beyond_the_limit_is_refused_by_its_header(echo: ASGIFramework, data: bytes) -> None:
    async with serving(echo, SMALL) as served, served.client() as client:
        await client.upgrade()
        await client.send(data)
        assert await client.close_code() == 1009


async def flood(client: Client, opcode: int, megabytes: int) -> None:
    """Sends a message in fragments of 1 MB, without reading, until the server ends the connection."""
    block = bytes(2**20)
    try:
        for number in range(megabytes):
            await client.send_frame(CONTINUATION if number else opcode, block, fin=False)
    except trio.BrokenResourceError:
        pass


async def test_what_is_refused_is_not_stored(echo: ASGIFramework) -> None:
    """A client that goes on sending after it was refused costs no memory, and soon no connection."""
    async with serving(echo, SMALL) as served, served.client() as client:
        await client.upgrade()
        tracemalloc.start()
        try:
            await flood(client, BINARY, 20)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 8 * 2**20


async def test_empty_fragments_are_not_stored(echo: ASGIFramework) -> None:
    limits = replace(SMALL, frames=Rate(10_000, 10_000))
    async with serving(echo, limits) as served, served.client() as client:
        await client.upgrade()
        await client.send_frame(TEXT, fin=False)
        many = frame_head(CONTINUATION, 0, fin=False) * 2000
        tracemalloc.start()
        try:
            await client.send(many)
            await client.send_frame(PING)
            assert await client.frame() == (PONG, b"")
            current, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert current < 2**16


async def test_control_frames_between_fragments_are_answered(echo: ASGIFramework) -> None:
    async with serving(echo, SMALL) as served, served.client() as client:
        await client.upgrade()
        await client.send_frame(TEXT, b"y" * 900, fin=False)
        await client.send_frame(PING, b"p" * 125)
        assert await client.frame() == (PONG, b"p" * 125)
        await client.send_frame(PONG, b"unasked")
        await client.send_frame(CONTINUATION, b"y" * 100)
        assert await client.frame() == (TEXT, b"y" * 1000)


async def test_an_empty_message_is_a_message() -> None:
    """Quart makes None of an empty one in binary, were it falsy."""
    async with serving(echo_app()) as served, served.client() as client:
        await client.upgrade()
        await client.send_frame(BINARY)
        assert await client.frame() == (BINARY, b"")
        await client.send_frame(TEXT)
        assert await client.frame() == (TEXT, b"")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(frame_head(TEXT, 2) + b"\xff\xff", 1007, id="not UTF-8"),
        pytest.param(frame_head(TEXT, 1) + b"\xc3", 1007, id="UTF-8 cut short"),
        pytest.param(frame_head(CLOSE, 3) + b"\x03\xe8\xff", 1007, id="reason not UTF-8"),
        pytest.param(b"\x81\x01x", 1002, id="not masked"),
        pytest.param(frame_head(3, 0), 1002, id="unknown opcode"),
        pytest.param(frame_head(CONTINUATION, 0), 1002, id="nothing to continue"),
        pytest.param(frame_head(PING, 126) + bytes(126), 1002, id="ping too large"),
        pytest.param(frame_head(CLOSE, 1) + b"x", 1002, id="half a code"),
        pytest.param(
            frame_head(TEXT, 1, fin=False) + b"x" + frame_head(TEXT, 1) + b"x", 1002, id="two at once"
        ),
    ],
)
async def test_a_malformed_frame_is_told_by_its_code(echo: ASGIFramework, data: bytes, code: int) -> None:
    async with serving(echo) as served, served.client() as client:
        await client.upgrade()
        await client.send(data)
        assert await client.close_code() == code


def debugging(app: QuartTrio) -> QuartTrio:
    app.debug = True
    return app


def propagating(app: QuartTrio) -> QuartTrio:
    app.config["PROPAGATE_EXCEPTIONS"] = True
    return app


async def fail(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await receive()
    raise ValueError("a bug in the app")


@pytest.mark.parametrize(
    "app",
    [echo_app(), debugging(echo_app()), propagating(echo_app()), websocket_app(fail)],
    ids=["quart", "quart in debug mode", "quart that propagates", "no framework"],
)
async def test_a_handler_that_raises_closes_with_1011(app: Callable[..., Awaitable[None]]) -> None:
    async with serving(app) as served, served.client() as client:
        await client.upgrade("/crash")
        await client.send_frame(TEXT, b"x")
        assert await client.close_code() == 1011


async def test_a_handler_that_returns_closes_with_1000() -> None:
    async with serving(echo_app()) as served, served.client() as client:
        await client.upgrade("/return")
        await client.send_frame(TEXT, b"x")
        assert await client.close_code() == 1000


@pytest.mark.parametrize(
    ("payload", "code"),
    [pytest.param(b"\x10\x04bye", 4100, id="with a code"), pytest.param(b"", 1005, id="without")],
)
async def test_the_app_is_told_the_code_of_the_client(payload: bytes, code: int) -> None:
    """As often as it asks; and the client gets it back."""
    told = []
    has_ended = trio.Event()

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        told.append(await receive())
        told.append(await receive())
        has_ended.set()

    async with serving(websocket_app(talk)) as served, served.client() as client:
        await client.upgrade()
        await client.send_frame(CLOSE, payload)
        assert await client.frame() == (CLOSE, payload)
        assert await client.read_to_end() == b""
        await has_ended.wait()
    disconnect = {"type": "websocket.disconnect", "code": code}
    assert told == [disconnect, disconnect]


async def test_what_was_sent_before_the_end_is_received_before_it() -> None:
    received = []

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        while (event := await receive())["type"] == "websocket.receive":
            received.append(event["text"])

    async with serving(websocket_app(talk)) as served:
        async with served.client() as client:
            await client.upgrade()
            for word in (b"one", b"two", b"three"):
                await client.send_frame(TEXT, word)
        with trio.fail_after(60):
            while len(received) < 3:
                await trio.testing.wait_all_tasks_blocked()
    assert received == ["one", "two", "three"]


async def test_a_close_code_survives_what_the_client_is_still_sending() -> None:
    """A socket closed with bytes unread resets the connection, and the reset overtakes the close frame."""

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        await send({"type": "websocket.close", "code": 4408, "reason": "too slow"})

    async with serving(websocket_app(talk)) as served, served.client() as client:
        await client.upgrade()
        for _ in range(20):
            await client.send_frame(TEXT, b"x" * 60_000)
        await trio.testing.wait_all_tasks_blocked()
        assert await client.close_code() == 4408


async def test_an_app_that_leaves_messages_unread_ends_all_the_same() -> None:
    """Its inbox is full, the reader waits for room in it: nobody may wait for an app that has ended."""

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.testing.wait_all_tasks_blocked()

    limits = ServerLimits(inbox_max_messages=1)
    async with serving(websocket_app(talk), limits) as served, served.client() as client:
        await client.upgrade()
        for _ in range(10):
            await client.send_frame(TEXT, b"x")
        assert await client.close_code() == 1011


async def test_a_silent_websocket_is_hung_up_on(clock: trio.testing.MockClock) -> None:
    """Also one that never sends anything after the handshake."""
    async with serving(echo_app(), ServerLimits(read_limit_s=90)) as served, served.client() as client:
        await client.upgrade()
        began = trio.current_time()
        assert await client.close_code() == 1001
        assert trio.current_time() - began == pytest.approx(90, abs=1)


async def test_a_websocket_that_is_heard_from_stays(clock: trio.testing.MockClock) -> None:
    """A ping is enough, and no limit for requests applies any more."""
    limits = ServerLimits(read_limit_s=90, request_limit_s=10, keep_alive_s=10)
    async with serving(echo_app(), limits) as served, served.client() as client:
        await client.upgrade()
        for _ in range(4):
            await trio.sleep(80)
            await client.send_frame(PING)
            assert await client.frame() == (PONG, b"")


async def test_a_subprotocol_nobody_offered_is_a_bug_of_the_app() -> None:
    """The handshake has not happened then; the client is told so in HTTP."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept", "subprotocol": "chat", "headers": []})

    async with serving(app) as served:
        async with served.client() as client:
            answer = await client.upgrade(headers=b"Sec-WebSocket-Protocol: chat\r\n")
            assert answer["sec-websocket-protocol"] == "chat"
        async with served.client() as client:
            await client.send(UPGRADE % (b"/", b""))
            assert (await client.head())[0] == 500


@pytest.mark.parametrize("header", [(b"x", b"1\r\ny: 2"), (b"x: 1\r\ny", b"2"), (b"x", b"\0")])
async def test_a_header_of_the_app_is_one_header(header: tuple[bytes, bytes]) -> None:
    """Whatever it quotes: a line break in it is a bug of the app, and nothing of it is sent."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept", "subprotocol": None, "headers": [header]})

    async with serving(app) as served, served.client() as client:
        await client.send(UPGRADE % (b"/", b""))
        status, headers = await client.head()
        assert status == 500
        assert "y" not in headers


async def test_after_its_own_close_the_app_cannot_send() -> None:
    errors = []

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "websocket.close", "code": 1000, "reason": None})
        try:
            await send_text(send, "one more thing")
        except Exception as error:
            errors.append(type(error).__name__)

    async with serving(websocket_app(talk)) as served, served.client() as client:
        await client.upgrade()
        assert await client.close_code() == 1000
    assert errors == ["UnexpectedMessageError"]
