"""Starting and stopping: who can still be served is served, and nobody can keep the server from ending."""

import signal
import subprocess
import sys
from functools import partial

import pytest
import trio
import trio.testing
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from tests.support.echo import Served, echo_app, http_app, send_answer, serving, socket_clock, websocket_app
from tests.support.raw_client import UPGRADE
from web.server import LifespanError, ServerLimits, open_listeners, serve

GRACE_S = 5
LIMITS = ServerLimits(stop_grace_s=GRACE_S, send_limit_s=60)


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return socket_clock()


async def test_websockets_that_are_open_are_closed_with_1001(clock: trio.testing.MockClock) -> None:
    async with serving(echo_app(), LIMITS) as served, served.client() as client:
        await client.upgrade()
        served.stop.set()
        assert await client.close_code() == 1001
        await client.stream.aclose()
        await served.ended.wait()
        assert trio.current_time() == 0


async def test_the_app_has_the_first_word(clock: trio.testing.MockClock) -> None:
    """What it sent and the code that it closed with before the stop stand."""
    leaving = trio.Event()

    async def talk(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await leaving.wait()
        await send({"type": "websocket.close", "code": 4503, "reason": "restarting"})

    async with serving(websocket_app(talk), LIMITS) as served, served.client() as client:
        await client.upgrade()
        leaving.set()
        await trio.testing.wait_all_tasks_blocked()
        served.stop.set()
        assert await client.close_code() == 4503


async def test_a_websocket_not_accepted_yet_is_told_503(clock: trio.testing.MockClock) -> None:
    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await trio.sleep(1000)
            await send({"type": "websocket.accept", "subprotocol": None, "headers": []})

    async with serving(app, LIMITS) as served, served.client() as client:
        await client.send(UPGRADE % (b"/", b""))
        await trio.testing.wait_all_tasks_blocked(0.02)
        served.stop.set()
        assert (await client.head())[0] == 503
        assert b"try again" in await client.read_to_end()
        await client.stream.aclose()
        await served.ended.wait()
        assert trio.current_time() <= LIMITS.disconnect_grace_s


async def test_a_request_under_way_is_answered(clock: trio.testing.MockClock) -> None:
    """And the answer says that it is the last."""

    async def answer(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.sleep(GRACE_S - 1)
        await send_answer(send, b"done")

    async with serving(http_app(answer), LIMITS) as served, served.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        served.stop.set()
        status, headers = await client.head()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.read_to_end() == b"done"
        await client.stream.aclose()
        await served.ended.wait()
        assert trio.current_time() == pytest.approx(GRACE_S - 1, abs=0.5)


async def test_a_request_that_takes_too_long_is_cut_off(clock: trio.testing.MockClock) -> None:
    async def answer(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await trio.sleep(1000)

    async with serving(http_app(answer), LIMITS) as served, served.client() as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked()
        served.stop.set()
        await served.ended.wait()
        assert trio.current_time() == pytest.approx(GRACE_S)


async def test_connections_that_rest_are_closed_and_nobody_new_is_accepted(
    clock: trio.testing.MockClock,
) -> None:
    """Resting before the first request, between two, or in the midst of one's headers."""
    async with serving(echo_app(), LIMITS) as served, served.client() as silent, served.client() as resting:
        async with served.client() as half:
            await resting.get()
            await half.send(b"GET / HT")
            await trio.testing.wait_all_tasks_blocked(0.02)
            served.stop.set()
            for client in (silent, resting, half):
                assert await client.read_to_end() == b""
                await client.stream.aclose()
        await served.ended.wait()
        assert trio.current_time() == 0
        with trio.socket.socket() as late, pytest.raises(ConnectionRefusedError):
            await late.connect((served.host, served.port))


async def test_clients_that_do_not_read_cannot_keep_the_server_from_stopping(
    clock: trio.testing.MockClock,
) -> None:
    async with (
        serving(echo_app(), LIMITS) as served,
        served.client(receive_buffer=4096) as one,
        served.client(receive_buffer=4096) as other,
    ):
        await one.upgrade("/flood")
        await other.upgrade("/flood")
        await trio.sleep(1)
        served.stop.set()
        await served.ended.wait()
        assert trio.current_time() == pytest.approx(1 + GRACE_S)


async def test_a_client_that_does_not_close_cannot_keep_the_server_from_stopping(
    clock: trio.testing.MockClock,
) -> None:
    async with serving(echo_app(), LIMITS) as served, served.client() as client:
        await client.upgrade()
        served.stop.set()
        await served.ended.wait()
        assert trio.current_time() == pytest.approx(LIMITS.linger_s)


async def test_cancelling_ends_all_at_once(clock: trio.testing.MockClock) -> None:
    listeners = open_listeners("127.0.0.1", 0, limits=LIMITS)
    address = listeners[0].getsockname()
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, echo_app(), listeners, limits=LIMITS))
        stream = await trio.open_tcp_stream(*address)
        await trio.testing.wait_all_tasks_blocked(0.02)
        nursery.cancel_scope.cancel()
    async with stream:
        assert await stream.receive_some() == b""
    assert trio.current_time() == 0
    assert [listener.fileno() for listener in listeners] == [-1]


async def test_sigterm_ends_a_process_with_clients_that_do_not_read() -> None:
    """A process of its own, as it is in the field. It ends by itself, within the grace."""
    command = [sys.executable, "-m", "tests.support.echo"]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        with trio.fail_after(20):
            port = int(await process.stdout.receive_some())
            served = Served("127.0.0.1", port, trio.Event(), trio.Event())
            async with served.client(receive_buffer=4096) as client:
                await client.upgrade("/flood")
                await client.frame()
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
    finally:
        process.kill()
        await process.stdout.aclose()
        with trio.CancelScope(shield=True):
            await process.wait()


async def test_the_app_starts_before_the_first_and_ends_after_the_last_connection() -> None:
    app = echo_app()
    story: list[str] = []

    @app.before_serving
    async def begin() -> None:
        story.append("began")

    @app.after_serving
    async def end() -> None:
        story.append("ended")

    async with serving(app, LIMITS) as served:
        assert story == ["began"]
        served.stop.set()
        await served.ended.wait()
        assert story == ["began", "ended"]


async def test_a_hook_that_hangs_cannot_keep_the_server_from_stopping(
    clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = echo_app()
    app.after_serving(trio.sleep_forever)
    async with serving(app, LIMITS) as served:
        served.stop.set()
        await served.ended.wait()
        assert trio.current_time() == pytest.approx(GRACE_S)
    [record] = caplog.records
    assert record.getMessage() == "the app did not shut down within 5 s and was cancelled"


def only_error(group: BaseException) -> BaseException:
    """The one exception in nested groups."""
    while isinstance(group, BaseExceptionGroup):
        [group] = group.exceptions
    return group


async def test_an_app_that_cannot_start_is_not_served() -> None:
    app = echo_app()

    @app.before_serving
    async def fail() -> None:
        raise ValueError("no database")

    with pytest.raises(ExceptionGroup) as caught:
        async with serving(app):
            pytest.fail("it should not have started")
    error = only_error(caught.value)
    assert isinstance(error, LifespanError)
    assert str(error) == "the app could not start: no database"


async def test_a_task_of_the_app_that_crashes_ends_the_server() -> None:
    """Hypercorn logs it and goes on with half an app."""
    app = echo_app()
    crash = trio.Event()

    async def work() -> None:
        await crash.wait()
        raise ValueError("a bug in the background")

    @app.before_serving
    async def begin() -> None:
        app.nursery.start_soon(work)

    async def live() -> None:
        async with serving(app) as served, served.client() as client:
            await client.upgrade()
            crash.set()
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await live()
    assert str(only_error(caught.value)) == "a bug in the background"


async def test_a_caller_can_run_other_things_beside_it() -> None:
    """Their crash ends the server, as any crash in a nursery does."""

    async def live() -> None:
        async with trio.open_nursery() as nursery:
            listeners = open_listeners("127.0.0.1", 0, limits=LIMITS)
            await nursery.start(partial(serve, echo_app(), listeners, limits=LIMITS))
            raise ValueError("the hall crashed")

    with pytest.raises(ExceptionGroup) as caught:
        await live()
    assert str(only_error(caught.value)) == "the hall crashed"
