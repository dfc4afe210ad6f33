"""Clients that say too much, or read too little: they are slowed down, then closed, and hold up nobody."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing
from hypercorn.typing import ASGIFramework

from actors.rate import Rate
from tests.support.echo import DirectEcho, direct_app, overseen_app, serving, socket_clock
from tests.support.lobby import a_lobby
from tests.support.raw_client import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, frame_head
from web.server import ServerLimits
from web.server import accept as server
from web.server.allowance import FRAMES_A_TURN, Allowance
from web.server.direct import DirectSocket
from web.server.frame_boundaries import Cutter
from web.server.progress import Progress

LIMITS = ServerLimits(frames=Rate(per_s=10, burst=100), flood_code=4429, send_limit_s=7)
"""A small budget, so that a flood is a short one."""


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return socket_clock()


FLOODS = {
    "pings": frame_head(PING, 0),
    "pongs": frame_head(PONG, 3) + b"abc",
    "texts": frame_head(TEXT, 2) + b"{}",
    "empty texts": frame_head(TEXT, 0),
    "binaries": frame_head(BINARY, 1) + b"x",
    "bytes": frame_head(TEXT, 60_000) + b"x" * 60_000,
}


async def flood(client: Client, data: bytes) -> None:
    """Says it again and again, until the server no longer listens."""
    block = data * max(1, 16_384 // len(data))
    while True:
        try:
            await client.send(block)
        except trio.BrokenResourceError:
            return


async def in_small_steps() -> None:
    """Keep the jumping clock from jumping far while the kernel still has something to deliver."""
    while True:  # noqa: ASYNC110
        await trio.sleep(0.25)


async def last_word(client: Client) -> tuple[int, int]:
    """The code of the close frame, and how many frames came before it."""
    count = 0
    while (frame := await client.frame())[0] != CLOSE:
        count += 1
    return int.from_bytes(frame[1][:2], "big"), count


AppFor = Callable[[Callable[[], DirectEcho]], ASGIFramework]


@asynccontextmanager
async def talking_to(receiver: DirectEcho, app_for: AppFor = direct_app) -> AsyncIterator[Client]:
    """A client whose WebSocket is open, and whose frames, or floods of them, are told to `receiver`."""
    async with serving(app_for(lambda: receiver), LIMITS) as served, served.client() as client:
        await client.upgrade()
        yield client


@pytest.mark.parametrize("data", FLOODS.values(), ids=FLOODS.keys())
async def test_who_goes_on_beyond_the_budget_is_closed(
    echo: ASGIFramework, data: bytes, clock: trio.testing.MockClock
) -> None:
    """Whatever the frames are; and no more of them are heard until then than the budget has."""
    async with serving(echo, LIMITS) as served, served.client() as client:
        await client.upgrade()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_small_steps)
            nursery.start_soon(flood, client, data)
            code, count = await last_word(client)
            nursery.cancel_scope.cancel()
    assert code == 4429
    assert count <= 100 + 10 * (LIMITS.flood_limit_s + 1)
    assert LIMITS.flood_limit_s <= trio.current_time() < LIMITS.flood_limit_s + 2


async def test_empty_fragments_count_too(echo: ASGIFramework, clock: trio.testing.MockClock) -> None:
    async with serving(echo, LIMITS) as served, served.client() as client:
        await client.upgrade()
        await client.send_frame(TEXT, b"x", fin=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, client, frame_head(CONTINUATION, 0, fin=False))
            assert (await last_word(client))[0] == 4429
            nursery.cancel_scope.cancel()


async def test_a_burst_is_only_slowed_down(echo: ASGIFramework, clock: trio.testing.MockClock) -> None:
    """All of it is answered, in order, a while later; and again, once the budget is full."""
    async with serving(echo, LIMITS) as served, served.client() as client:
        await client.upgrade()
        for _ in range(2):
            began = trio.current_time()
            await client.send(b"".join(frame_head(TEXT, 3) + b"%03d" % n for n in range(120)))
            for n in range(120):
                assert await client.frame() == (TEXT, b"%03d" % n)
            assert 1.5 < trio.current_time() - began < 3
            await trio.sleep(30)


@pytest.mark.parametrize("app_for", [direct_app, overseen_app])
async def test_the_receiver_is_told_that_it_is_too_much_before_it_is_the_end(
    app_for: AppFor, clock: trio.testing.MockClock
) -> None:
    receiver = DirectEcho()
    async with talking_to(receiver, app_for) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, client, FLOODS["pings"])
            await trio.sleep(2.5)
            assert (receiver.was_too_fast, receiver.was_flooding) == (1, 0)
            assert (await last_word(client))[0] == 4429
            nursery.cancel_scope.cancel()
        assert (receiver.was_too_fast, receiver.was_flooding) == (1, 1)


@pytest.mark.parametrize("has_direct_path", [True, False])
async def test_somebody_who_floods_below_the_protocol_is_told_so_and_then_hung_up_on(
    has_direct_path: bool, monkeypatch: pytest.MonkeyPatch, clock: trio.testing.MockClock
) -> None:
    monkeypatch.setattr(server, "IS_OFFERED", has_direct_path)
    async with a_lobby(LIMITS, presence_every_s=10_000.0) as lobby:
        person = await lobby.come_in()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, person, FLOODS["pings"])
            said = []
            while (frame := await person.frame())[0] != CLOSE:
                said += [json.loads(frame[1])] if frame[0] == TEXT else []
            nursery.cancel_scope.cancel()
        await person.stream.aclose()
        assert [it["code"] for it in said if it["type"] == "error"] == ["too_fast"]
        assert int.from_bytes(frame[1][:2], "big") == 4429
        [line] = lobby.building.lines.events("hung up")
        assert (line["actor"], line["code"]) == (f"user {person.page.person}", 4429)


async def test_what_a_client_left_behind_that_has_gone_is_not_gone_through(
    clock: trio.testing.MockClock,
) -> None:
    receiver = DirectEcho()
    async with talking_to(receiver) as client:
        await client.send(FLOODS["pings"] * 5000)
        await trio.testing.wait_all_tasks_blocked(0.02)
        client.stream.socket.close()
        began = trio.current_time()
        await receiver.has_gone.wait()
        assert trio.current_time() - began < 0.2


async def test_others_have_their_turn_before_somebody_has_a_second_one() -> None:
    """However much is in one read."""
    heard: list[str] = []

    class Listening(DirectEcho):
        def heard(self, message: str | bytes, now: float) -> None:
            heard.append(str(message))

    limits = ServerLimits(frames=Rate(1e6, 1e6))
    app = direct_app(Listening)
    async with serving(app, limits) as served, served.client() as one, served.client() as other:
        await one.upgrade()
        await other.upgrade()
        # No task of the server runs between the two: neither of them waits for anything.
        sockets: list[Any] = [one.stream.socket, other.stream.socket]
        sockets[0]._sock.send((frame_head(TEXT, 1) + b"1") * 1000)
        sockets[1]._sock.send(frame_head(TEXT, 1) + b"2")
        while len(heard) < 1001:
            await trio.testing.wait_all_tasks_blocked()
    assert heard.index("2") <= FRAMES_A_TURN


async def test_a_text_does_not_wait_for_the_pings_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of sockets with a few pings each would delay it, though none has more than its share."""
    heard: list[str] = []

    class Listening(DirectEcho):
        def heard(self, message: str | bytes, now: float) -> None:
            heard.append(str(message))

    monkeypatch.setattr(DirectSocket, "answer_ping", lambda _, pong: heard.append("ping"))
    app = direct_app(Listening)
    async with serving(app) as served, served.client() as one, served.client() as other:
        await one.upgrade()
        await other.upgrade()
        sockets: list[Any] = [one.stream.socket, other.stream.socket]
        sockets[0]._sock.send(frame_head(PING, 1) + b"1")
        sockets[1]._sock.send(frame_head(TEXT, 4) + b"text")
        while len(heard) < 2:
            await trio.testing.wait_all_tasks_blocked()
    assert heard == ["text", "ping"]


async def test_pongs_do_not_pile_up_for_who_does_not_read(clock: trio.testing.MockClock) -> None:
    receiver = DirectEcho()
    limits = replace(LIMITS, frames=Rate(1e6, 1e6), send_limit_s=60)
    app = direct_app(lambda: receiver)
    async with serving(app, limits) as served, served.client(receive_buffer=4096) as client:
        await client.upgrade()
        receiver.socket.send([b"x" * 10_000] * 40)
        unsent = receiver.socket.unsent_bytes
        assert 0 < unsent < limits.unsent_hear_bytes * 10
        for number in range(1000):
            with trio.move_on_after(0.2):
                await client.send_frame(PING, b"%05d" % number * 20)
        assert receiver.socket.unsent_bytes <= unsent
        pongs = []
        for _ in range(40):
            opcode, payload = await client.frame()
            if opcode == PONG:
                pongs.append(payload)
        assert len(pongs) < 10


async def test_who_lets_too_much_wait_is_ended_by_force() -> None:
    receiver = DirectEcho()
    limits = ServerLimits(unsent_max_bytes=100_000)
    app = direct_app(lambda: receiver)
    async with serving(app, limits) as served, served.client(receive_buffer=4096) as client:
        await client.upgrade()
        await trio.testing.wait_all_tasks_blocked(0.02)
        for _ in range(100):
            receiver.socket.send([b"x" * 60_000])
        assert receiver.has_gone.is_set()
        assert receiver.socket.unsent_bytes == 0


@pytest.mark.parametrize("bytes_per_s", [1, 200])
async def test_who_reads_a_little_now_and_then_is_ended_too(
    echo: ASGIFramework, bytes_per_s: int, clock: trio.testing.MockClock
) -> None:
    """By how much it reads, not by that it reads."""
    limits = ServerLimits(send_limit_s=7)
    progress = Progress(limits)
    progress.made(0.0, 0)
    now = 0.0
    while now < progress.deadline:
        now += 5
        progress.made(now, 5 * bytes_per_s)
    assert now < 20


def test_who_reads_slowly_is_not_ended() -> None:
    limits = ServerLimits(send_limit_s=7)
    progress = Progress(limits)
    progress.made(0.0, 0)
    for now in range(5, 10_000, 5):
        assert now < progress.deadline
        progress.made(float(now), round(5 * limits.send_min_bytes_per_s) + 1)
    progress.done()
    assert progress.deadline == float("inf")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("step", [1, 3, 100_000])
def test_frames_are_cut_where_they_end(size: int, step: int) -> None:
    frames = (frame_head(TEXT, size) + bytes(size)) * 3
    cutter, ends, at = Cutter(), [], 0
    for start in range(0, len(frames), step):
        piece = frames[start : start + step]
        at = 0
        while at < len(piece):
            at = cutter.end(piece, at)
            if cutter.is_between:
                ends.append(start + at)
    whole = len(frames) // 3
    assert ends == [whole, 2 * whole, 3 * whole]


def test_bytes_count_as_frames() -> None:
    limits = ServerLimits(frames=Rate(10, 10), bytes_a_frame=1000)
    allowance = Allowance(limits)
    allowance.charge(0, 5000)
    assert [allowance.take(0) for _ in range(6)] == [True] * 5 + [False]
    assert allowance.wait_s(0) == pytest.approx(0.25)


def test_who_was_silent_until_the_budget_was_full_begins_afresh() -> None:
    limits = ServerLimits(frames=Rate(10, 10))
    allowance = Allowance(limits)
    for _ in range(10):
        assert allowance.take(0)
    assert not allowance.take(0)
    assert allowance.is_flood(limits.flood_limit_s)
    allowance.charge(2.0, 1)
    assert not allowance.is_over


def test_what_is_gathered_and_worked_off_is_no_reason_to_say_anything() -> None:
    """As what a slow network brings in pieces."""
    allowance = Allowance(ServerLimits(frames=Rate(10, 1)))
    assert allowance.take(0.0)
    assert not allowance.take(0.0)
    assert not allowance.is_to_be_told(0.1)
    assert allowance.is_to_be_told(1.0)
    assert not allowance.is_to_be_told(1.5)
    allowance.worked_off()
    assert not allowance.is_to_be_told(2.0)
