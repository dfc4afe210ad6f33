"""Clients that do not read, and clients that have gone: they hold up nobody, and their app ends."""

import logging
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import websocket
from quart_trio import QuartTrio

from tests.support.echo import (
    echo_app,
    http_app,
    send_answer,
    send_text,
    serving,
    socket_clock,
    websocket_app,
)
from tests.support.raw_client import PING, TEXT, Client
from web.server import PeerGoneError, ServerLimits

Talk = Callable[[ASGIReceiveCallable, ASGISendCallable], Awaitable[None]]


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return socket_clock()


class Watched:
    """Does `talk` and tells when it has ended, and when on trio's clock."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.has_begun = trio.Event()
        self.has_ended = trio.Event()
        self.ended_at = 0.0

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        self.has_begun.set()
        try:
            await self._talk(receive, send)
        finally:
            self.ended_at = trio.current_time()
            self.has_ended.set()


async def only_send(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    while True:
        await send_text(send, "x" * 60_000)


async def answer_without_end(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"more", "more_body": True})


async def test_a_client_that_does_not_read_is_ended_by_force(clock: trio.testing.MockClock) -> None:
    """After `send_limit_s` without progress, with a reset; and the app that was sending ends."""
    talk = Watched(only_send)
    async with (
        serving(websocket_app(talk), ServerLimits(send_limit_s=7)) as served,
        served.client(receive_buffer=4096) as client,
    ):
        await client.upgrade()
        await talk.has_ended.wait()
        assert talk.ended_at == pytest.approx(9, abs=1)  # the limit, and the grace until cancellation
        with pytest.raises(trio.BrokenResourceError):
            await client.read_to_end()


async def test_an_answer_nobody_reads_is_ended_by_force(clock: trio.testing.MockClock) -> None:
    async def answer(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send_answer(send, bytes(20_000_000))

    answer_and_tell = Watched(answer)
    async with (
        serving(http_app(answer_and_tell), ServerLimits(send_limit_s=7)) as served,
        served.client(receive_buffer=4096) as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await answer_and_tell.has_ended.wait()
        with pytest.raises(trio.BrokenResourceError):
            await client.read_to_end()


async def test_a_slow_client_is_no_stalled_one(clock: trio.testing.MockClock) -> None:
    """The limit is for a send without progress: a large answer may take as long as it takes."""
    size = 8_000_000

    async def answer(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send_answer(send, bytes(size))

    async with (
        serving(http_app(answer), ServerLimits(send_limit_s=7)) as served,
        served.client(receive_buffer=4096) as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await client.head())[1]["content-length"] == str(size)
        for _ in range(8):
            await client.read(size // 8)
            await trio.sleep(5)


async def test_a_stalled_send_can_be_cancelled_and_tears_no_frame(clock: trio.testing.MockClock) -> None:
    """`move_on_after` fires, the connection stays, and what comes later comes after whole frames."""
    sent = 0
    was_cancelled = trio.Event()
    may_go_on = trio.Event()

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        nonlocal sent
        with trio.move_on_after(1) as scope:
            while True:
                sent += 1
                await send_text(send, f"{sent:05}" * 10_000)
        assert scope.cancelled_caught
        was_cancelled.set()
        await may_go_on.wait()
        await send_text(send, "the end")

    async with (
        serving(websocket_app(talk), ServerLimits(send_limit_s=60)) as served,
        served.client(receive_buffer=4096) as client,
    ):
        await client.upgrade()
        await was_cancelled.wait()
        may_go_on.set()
        for number in range(1, sent + 1):
            assert await client.frame() == (TEXT, f"{number:05}".encode() * 10_000)
        assert await client.frame() == (TEXT, b"the end")


async def test_sends_that_are_cancelled_again_and_again_cost_bounded_memory(
    clock: trio.testing.MockClock,
) -> None:
    """An app that gives up early on each frame never reaches the limit of a single send."""
    cancelled = 0

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        nonlocal cancelled
        while True:
            with trio.move_on_after(1) as scope:
                await send_text(send, "x" * 50_000)
            cancelled += scope.cancelled_caught

    limits = ServerLimits(send_limit_s=60, unsent_max_bytes=200_000)
    talk_and_tell = Watched(talk)
    async with (
        serving(websocket_app(talk_and_tell), limits) as served,
        served.client(receive_buffer=4096) as client,
    ):
        await client.upgrade()
        await talk_and_tell.has_ended.wait()
    assert cancelled < 10


async def test_pings_are_answered_by_a_reader_that_waits_behind_a_stalled_send(
    clock: trio.testing.MockClock,
) -> None:
    """Whoever waits for the stalled send is released with it."""
    talk = Watched(only_send)
    async with serving(websocket_app(talk), ServerLimits(send_limit_s=7)) as served:
        async with served.client(receive_buffer=4096) as client:
            await client.upgrade()
            for _ in range(3):
                await trio.sleep(1)
                await client.send_frame(PING, b"x")
            await talk.has_ended.wait()
        await trio.sleep(1)
        assert not served.has_connections()


def quart_that(talk: Talk) -> QuartTrio:
    app = QuartTrio("sender", static_folder=None)

    @app.websocket("/echo")
    async def handle() -> None:
        await websocket.accept()

        async def send(message: object) -> None:
            await websocket.send(str(message)[:100])

        await talk(websocket.receive, send)  # type: ignore[arg-type]

    return app


@pytest.mark.parametrize("make_app", [websocket_app, quart_that], ids=["no framework", "quart"])
@pytest.mark.parametrize("ending", [Client.reset, lambda client: client.stream.socket.close()])
async def test_a_loop_that_only_sends_ends_with_its_client(
    make_app: Callable[[Talk], Callable[..., Awaitable[None]]],
    ending: Callable[[Client], None],
    clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """And never keeps the others from running; nothing is logged, for nothing went wrong."""
    talk = Watched(only_send)
    async with serving(make_app(talk)) as served, served.client() as client:
        await client.upgrade()
        await client.frame()
        ending(client)
        await talk.has_ended.wait()
        assert talk.ended_at <= 3
        await trio.sleep(1)
        assert not served.has_connections()
    assert caplog.records == []


async def test_an_endless_answer_to_head_keeps_nobody_from_running(clock: trio.testing.MockClock) -> None:
    """Nothing of it is sent, so no socket is ever waited for; and the client may go."""

    answer = Watched(answer_without_end)
    async with serving(http_app(answer)) as served:
        async with served.client() as client:
            await client.send(b"HEAD / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert (await client.head())[0] == 200
        await answer.has_ended.wait()


async def test_an_app_that_is_shielded_is_told_by_an_exception(
    clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot be cancelled; it may not hang for ever either."""

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        with trio.CancelScope(shield=True), pytest.raises(PeerGoneError):
            await only_send(receive, send)
        with trio.CancelScope(shield=True):
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            await only_send(receive, send)

    talk_and_tell = Watched(talk)
    async with serving(websocket_app(talk_and_tell)) as served, served.client() as client:
        await client.upgrade()
        await client.frame()
        client.reset()
        await talk_and_tell.has_ended.wait()
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


@pytest.mark.parametrize("make_app", [websocket_app, quart_that], ids=["no framework", "quart"])
async def test_an_app_that_does_nothing_is_cancelled_when_its_client_has_gone(
    make_app: Callable[[Talk], Callable[..., Awaitable[None]]], clock: trio.testing.MockClock
) -> None:
    """Although the disconnect waits behind messages that it never receives."""

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.sleep_forever()

    talk_and_tell = Watched(talk)
    limits = ServerLimits(inbox_max_messages=20, disconnect_grace_s=3)
    async with serving(make_app(talk_and_tell), limits) as served:
        async with served.client() as client:
            await client.upgrade()
            for _ in range(15):
                await client.send_frame(TEXT, b"unread")
            await trio.testing.wait_all_tasks_blocked(0.02)
        await talk_and_tell.has_ended.wait()
        assert talk_and_tell.ended_at == pytest.approx(3, abs=1)


async def test_an_app_may_take_in_what_its_client_sent_before_it_went(clock: trio.testing.MockClock) -> None:
    """Within the grace, also when it sends in between."""
    received = []

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(only_send, receive, send)
            while (event := await receive())["type"] == "websocket.receive":
                await trio.sleep(0.3)
                received.append(event["text"])
            nursery.cancel_scope.cancel()

    talk_and_tell = Watched(talk)
    async with serving(websocket_app(talk_and_tell)) as served, served.client() as client:
        await client.upgrade()
        for word in (b"one", b"two", b"three"):
            await client.send_frame(TEXT, word)
        await trio.testing.wait_all_tasks_blocked(0.02)  # all has been read: a reset may throw away the rest
        client.stream.socket.close()
        await talk_and_tell.has_ended.wait()
    assert received == ["one", "two", "three"]


async def test_a_request_is_cancelled_when_its_client_has_gone(clock: trio.testing.MockClock) -> None:
    async def answer(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.sleep(1000)

    answer_and_tell = Watched(answer)
    async with serving(http_app(answer_and_tell)) as served:
        async with served.client() as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            await answer_and_tell.has_begun.wait()
        await answer_and_tell.has_ended.wait()
        assert answer_and_tell.ended_at <= 4


@pytest.mark.parametrize("requests", [1, 2])
async def test_an_answer_without_end_ends_with_its_client(
    requests: int, clock: trio.testing.MockClock
) -> None:
    """Also with a second request, for which the reader waits behind the first answer."""
    answer = Watched(answer_without_end)
    async with serving(http_app(answer)) as served, served.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n" * requests)
        await client.head()
        client.reset()
        await answer.has_ended.wait()
        assert answer.ended_at <= 3
        await trio.sleep(1)
        assert not served.has_connections()


async def test_echo_still_works_beside_a_stalled_client(clock: trio.testing.MockClock) -> None:
    async with serving(echo_app()) as served, served.client(receive_buffer=4096) as stalled:
        await stalled.upgrade("/flood")
        async with served.client() as client:
            await client.upgrade()
            await client.send_frame(TEXT, b"hello")
            assert await client.frame() == (TEXT, b"hello")
