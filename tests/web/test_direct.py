"""The direct path by itself: pauses, slow readers, deadlines, endings, and that failures are not shared."""

from __future__ import annotations

import gc
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio
import trio.testing
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope

from tests.support.echo import DirectEcho, Served, direct_app, serving, socket_clock
from tests.support.raw_client import CLOSE, CONTINUATION, PING, PONG, TEXT, UPGRADE, Client, frame_head
from web.server import DIRECT, ServerLimits
from web.server.app_tasks import AppTasks
from web.server.connection import Connection
from web.server.http1 import Http1
from web.server.opening import Noticed, Opening
from web.server.poller import STALE_MAX, Poller
from web.server.websocket import WebSocket


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return socket_clock()


class Quiet(DirectEcho):
    """Hears, and says nothing by itself."""

    def heard(self, message: str | bytes, now: float) -> None:
        self.heard_of.append(message)


@asynccontextmanager
async def connected(
    receiver: DirectEcho, limits: ServerLimits | None = None, *, receive_buffer: int | None = None
) -> AsyncIterator[tuple[Served, Client]]:
    """A client on the direct path, and the receiver of what it says."""
    async with (
        serving(direct_app(lambda: receiver), limits) as served,
        served.client(receive_buffer=receive_buffer) as client,
    ):
        await client.upgrade()
        await trio.testing.wait_all_tasks_blocked()
        yield served, client


async def accept_at_once(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """As Quart does: without hearing what it knows."""
    scope["extensions"][DIRECT](DirectEcho())  # type: ignore[typeddict-item, operator]
    await send({"type": "websocket.accept", "subprotocol": None, "headers": []})


async def accept_later(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    """And after the acceptance it has something else to do for a moment."""
    await trio.sleep(0.01)
    await accept_at_once(scope, receive, send)
    await trio.sleep(0.01)


@pytest.mark.parametrize("accept", [accept_at_once, accept_later])
@pytest.mark.parametrize("pieces", [1, 2], ids=["the head at once", "the head in two pieces"])
async def test_a_connection_costs_no_task(accept: ASGIFramework, pieces: int) -> None:
    """However it came to be accepted: in the task that read its head, beside one, or in a nursery."""

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await accept(scope, receive, send)

    async with serving(app) as served, served.client() as client:
        head = UPGRADE % (b"/", b"")
        for piece in (head[:20], head[20:]) if pieces == 2 else (head,):
            await client.send(piece)
            await trio.testing.wait_all_tasks_blocked(0.02)
        assert (await client.head())[0] == 101
        await client.send_frame(TEXT, b"hello")
        assert await client.frame() == (TEXT, b"hello")
        await trio.testing.wait_all_tasks_blocked(0.02)
        assert not served.has_connections()


@pytest.mark.parametrize("accept", [accept_at_once, accept_later])
async def test_what_served_a_handshake_is_freed_at_once(accept: ASGIFramework) -> None:
    """Not left to the collector: of thousands who come at once it would be tens of megabytes."""
    kinds = (Connection, Http1, WebSocket, AppTasks, Opening, Noticed)

    async def app(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await accept(scope, receive, send)

    async with serving(app) as served, served.client() as client:
        gc.collect()
        gc.disable()
        try:
            await client.upgrade()
            await trio.testing.wait_all_tasks_blocked(0.02)
            assert [thing for thing in gc.get_objects() if isinstance(thing, kinds)] == []
        finally:
            gc.enable()


async def test_binary_is_told_from_text() -> None:
    receiver = DirectEcho()
    async with connected(receiver) as (_, client):
        await client.send_frame(2, b"\x00\xff")
        assert await client.frame() == (TEXT, b"hex 00ff")
        await client.send_frame(2)
        assert await client.frame() == (TEXT, b"hex ")
        await client.send_frame(TEXT)
        assert await client.frame() == (TEXT, b"")
    assert receiver.heard_of == [b"\x00\xff", b"", ""]


async def test_a_mask_is_taken_off() -> None:
    async with connected(DirectEcho()) as (_, client):
        mask, text = b"\x12\x9a\x00\xff", "grüße".encode()
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(text))
        await client.send(bytes([0x81, 0x80 | len(text)]) + mask + masked)
        assert await client.frame() == (TEXT, text)


async def test_many_frames_in_one_packet_and_a_character_in_two_fragments() -> None:
    receiver = DirectEcho()
    async with connected(receiver) as (_, client):
        first, rest = "ü".encode()[:1], "ü".encode()[1:]
        await client.send(
            b"".join(frame_head(TEXT, 1) + bytes([97 + n]) for n in range(20))
            + frame_head(TEXT, 1, fin=False)
            + first
            + frame_head(PING, 0)
            + frame_head(CONTINUATION, 1)
            + rest
        )
        seen = [await client.frame() for _ in range(22)]
    assert (PONG, b"") in seen
    assert [payload for opcode, payload in seen if opcode == TEXT] == [
        *(bytes([97 + n]) for n in range(20)),
        "ü".encode(),
    ]


async def test_frames_that_wait_are_written_together() -> None:
    receiver = Quiet()
    async with connected(receiver) as (_, client):
        receiver.socket.send([b"one", b"two", b"three"])
        assert await client.stream.receive_some() == b"\x81\x03one\x81\x03two\x81\x05three"


async def test_a_receiver_that_pauses_is_told_nothing_and_misses_nothing() -> None:
    receiver = Quiet()
    async with connected(receiver) as (_, client):
        receiver.socket.pause()
        await client.send(b"".join(frame_head(TEXT, 2) + b"%02d" % n for n in range(50)))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert receiver.heard_of == []
        receiver.socket.resume()
        with trio.fail_after(60):
            while len(receiver.heard_of) < 50:
                await trio.testing.wait_all_tasks_blocked()
    assert receiver.heard_of == [f"{n:02}" for n in range(50)]


async def test_a_pause_in_the_middle_of_a_packet_keeps_the_rest_and_the_goodbye_behind_it() -> None:
    receiver = Quiet()

    def heard(message: str | bytes, now: float) -> None:
        receiver.heard_of.append(message)
        if len(receiver.heard_of) == 2:
            receiver.socket.pause()

    receiver.heard = heard  # type: ignore[method-assign]
    async with connected(receiver) as (_, client):
        await client.send(
            b"".join(frame_head(TEXT, 1) + b"%d" % n for n in range(4)) + frame_head(CLOSE, 2) + b"\x03\xe8"
        )
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert receiver.heard_of == ["0", "1"]
        assert not receiver.has_gone.is_set()
        receiver.socket.resume()
        assert await client.close_code() == 1000
        assert receiver.heard_of == ["0", "1", "2", "3"]
        assert receiver.has_gone.is_set()


async def test_nothing_is_heard_behind_a_violation() -> None:
    receiver = Quiet()
    async with connected(receiver) as (_, client):
        await client.send(frame_head(TEXT, 1) + b"\xff" + frame_head(TEXT, 4) + b"more")
        assert await client.close_code() == 1007
        assert receiver.heard_of == []


async def test_a_client_that_does_not_read_is_ended_by_force(clock: trio.testing.MockClock) -> None:
    receiver = Quiet()
    async with connected(receiver, ServerLimits(send_limit_s=7), receive_buffer=4096) as (_, client):
        began = trio.current_time()
        receiver.socket.send([b"x" * 60_000] * 100)
        assert receiver.socket.unsent_bytes > 1_000_000
        await receiver.has_gone.wait()
        assert trio.current_time() - began == pytest.approx(7, abs=1)
        with pytest.raises(trio.BrokenResourceError):
            await client.read_to_end()


async def test_a_slow_client_gets_everything_in_order(clock: trio.testing.MockClock) -> None:
    receiver = Quiet()
    async with connected(receiver, ServerLimits(send_limit_s=7), receive_buffer=4096) as (_, client):
        receiver.socket.send([b"%02d" % number * 30_000 for number in range(60)])
        receiver.socket.send([b"later"])
        assert receiver.socket.unsent_frames > 1
        for number in range(60):
            assert await client.frame() == (TEXT, b"%02d" % number * 30_000)
            if number % 15 == 0:
                await trio.sleep(5)
        assert await client.frame() == (TEXT, b"later")
        assert receiver.socket.unsent_frames == receiver.socket.unsent_bytes == 0


async def test_what_is_dropped_tears_no_frame_and_the_close_still_arrives() -> None:
    receiver = Quiet()
    async with connected(receiver, receive_buffer=4096) as (_, client):
        receiver.socket.send([b"%02d" % number * 30_000 for number in range(100)])
        receiver.socket.send([b"behind what is dropped"])
        receiver.socket.drop()
        receiver.socket.close(4429, "too much unread")
        number = 0
        while (frame := await client.frame())[0] == TEXT:
            assert frame[1] == b"%02d" % number * 30_000
            number += 1
        assert frame == (CLOSE, (4429).to_bytes(2, "big") + b"too much unread")
        assert 0 < number < 100


async def test_the_receiver_decides_about_silence(clock: trio.testing.MockClock) -> None:
    receiver = DirectEcho(read_limit_s=60)
    async with connected(receiver) as (_, client):
        for _ in range(3):
            await trio.sleep(50)
            await client.send_frame(TEXT, b"here")
            assert await client.frame() == (TEXT, b"here")
        began = trio.current_time()
        assert await client.close_code() == 1001
        assert trio.current_time() - began == pytest.approx(60, abs=1)


async def test_a_client_that_does_not_close_is_not_waited_for(clock: trio.testing.MockClock) -> None:
    receiver = Quiet()
    async with connected(receiver, ServerLimits(linger_s=2)) as (_, client):
        receiver.socket.close(1000, "enough")
        receiver.socket.close(1001, "the first counts")
        receiver.socket.send([b"too late"])
        assert await client.close_code() == 1000
        assert receiver.has_gone.is_set()
        await trio.sleep(3)
        with pytest.raises(trio.BrokenResourceError):
            await client.send_frame(TEXT, b"to nobody")


async def test_who_goes_on_after_our_close_is_not_cut_off(clock: trio.testing.MockClock) -> None:
    receiver = Quiet()
    async with connected(receiver, ServerLimits(linger_s=2)) as (_, client):
        receiver.socket.close(1000, "enough")
        assert await client.close_code() == 1000
        for _ in range(3):
            await client.send_frame(PING, b"still there?")
            await trio.testing.wait_all_tasks_blocked(0.02)
        await client.send_frame(CLOSE, b"\x03\xe8")


@pytest.mark.parametrize("ending", ["reset", "end of file"])
@pytest.mark.parametrize("paused", [False, True])
async def test_a_client_that_has_gone_is_noticed(ending: str, paused: bool) -> None:
    receiver = Quiet()
    async with connected(receiver) as (_, client):
        if paused:
            receiver.socket.pause()
        if ending == "reset":
            client.reset()
        else:
            client.stream.socket.close()
        if paused and ending == "end of file":
            await trio.testing.wait_all_tasks_blocked(0.05)
            receiver.socket.resume()
        with trio.fail_after(60):
            await receiver.has_gone.wait()
        receiver.socket.send([b"nobody reads this"])
        receiver.socket.close(1000, "nobody")
        receiver.socket.resume()


async def test_a_receiver_that_raises_ends_its_own_connection_only(caplog: pytest.LogCaptureFixture) -> None:
    receivers: list[DirectEcho] = []

    class Failing(DirectEcho):
        def heard(self, message: str | bytes, now: float) -> None:
            if message == "fail":
                raise ValueError("its own secret")
            super().heard(message, now)

    def new_receiver() -> DirectEcho:
        receivers.append(Failing())
        return receivers[-1]

    async with serving(direct_app(new_receiver)) as served, served.client() as one, served.client() as other:
        await one.upgrade()
        await other.upgrade()
        await one.send_frame(TEXT, b"fail")
        with pytest.raises(trio.BrokenResourceError):
            await one.read_to_end()
        await other.send_frame(TEXT, b"still here")
        assert await other.frame() == (TEXT, b"still here")
        assert receivers[0].has_gone.is_set()
    [record] = caplog.records
    assert "ValueError" in record.getMessage()
    assert "secret" not in record.getMessage()


async def test_a_stop_closes_with_1001_and_waits_for_the_clients(clock: trio.testing.MockClock) -> None:
    receiver = Quiet()
    async with connected(receiver) as (served, client):
        served.stop.set()
        assert await client.close_code() == 1001
        client.stream.socket.close()
        await served.ended.wait()
        assert receiver.has_gone.is_set()


async def test_a_client_that_does_not_read_cannot_keep_the_server_from_stopping(
    clock: trio.testing.MockClock,
) -> None:
    receiver = Quiet()
    limits = ServerLimits(send_limit_s=600, stop_grace_s=3)
    async with connected(receiver, limits, receive_buffer=4096) as (served, _):
        receiver.socket.send([b"x" * 60_000] * 100)
        served.stop.set()
        began = trio.current_time()
        await served.ended.wait()
        assert trio.current_time() - began == pytest.approx(3, abs=1)
        assert receiver.has_gone.is_set()


async def test_direct_sockets_count_among_the_connections() -> None:
    limits = ServerLimits(connections_max=1)
    async with connected(DirectEcho(), limits) as (served, _), served.client() as another:
        await another.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert (await another.head())[0] == 503


async def test_a_socket_that_comes_while_the_server_stops_is_closed_in_good_order() -> None:
    """Also if those that were there have gone: the poller stays until nobody can come any more."""
    poller = Poller(ServerLimits())
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            await trio.testing.wait_all_tasks_blocked()
            poller.go_away()
            await trio.testing.wait_all_tasks_blocked()
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            poller.adopt(ours, DirectEcho(), b"answer")
            client = Client(trio.SocketStream(trio.socket.from_stdlib_socket(theirs)))
            assert await client.read(6) == b"answer"
            poller.adopted_last()
            assert await client.close_code() == 1001
            await client.stream.aclose()


async def test_deadlines_of_sockets_that_have_closed_do_not_pile_up() -> None:
    poller = Poller(ServerLimits())
    for _ in range(5 * STALE_MAX):
        ours, theirs = socket.socketpair()
        with theirs:
            ours.setblocking(False)
            poller.adopt(ours, DirectEcho(60.0), b"")
    noted = len(poller._deadlines)
    with trio.CancelScope() as life:
        life.cancel()
        await poller.run()
    assert (noted, len(poller)) == (5 * STALE_MAX, 0)
    assert len(poller._deadlines) <= STALE_MAX


async def test_a_socket_that_comes_when_the_server_was_cancelled_is_closed() -> None:
    """As when the cancellation crosses the acceptance: nobody is left who would give it a turn."""
    poller = Poller(ServerLimits())
    with trio.CancelScope() as life:
        life.cancel()
        await poller.run()
    ours, theirs = socket.socketpair()
    with theirs:
        poller.adopt(ours, DirectEcho(), b"")
        assert (len(poller), theirs.recv(1)) == (0, b"")


async def test_who_is_accepted_in_the_moment_of_a_stop_is_told_of_it(clock: trio.testing.MockClock) -> None:
    """Either before the acceptance, by 503, or after it, by a close frame; nobody is cut off.

    Each is accepted a round of tasks later than the one before: some while the server says goodbye.
    """
    stopping = trio.Event()
    turns = iter(range(50))

    async def accept_late(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await stopping.wait()
            for _ in range(next(turns)):
                await trio.lowlevel.checkpoint()
            await accept_at_once(scope, receive, send)

    told = []
    async with serving(accept_late, ServerLimits(at_once=50)) as served, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(served.client()) for _ in range(50)]
        for client in clients:
            await client.send(UPGRADE % (b"/", b""))
        await trio.testing.wait_all_tasks_blocked(0.1)
        stopping.set()
        served.stop.set()
        for client in clients:
            status, _ = await client.head()
            told.append((status, await client.close_code() if status == 101 else None))
            await client.stream.aclose()
        await served.ended.wait()
    assert set(told) <= {(503, None), (101, 1001)}
