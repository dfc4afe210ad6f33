"""The proxy injects each kind of fault as planned, on real sockets; a seed always gives the same plans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio

from tests.faults.proxy import Fault, Kind, Plan, Proxy, flawless, open_proxy, plans

LIMIT_S = 20
"""The time limit of a test."""


@dataclass
class Ends:
    """The two ends of one connection through the proxy."""

    client: trio.SocketStream
    server: trio.SocketStream


@asynccontextmanager
async def through(plan: Plan) -> AsyncIterator[Ends]:
    """A connection through a proxy with this plan."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, open_proxy(listener.socket.getsockname(), lambda _: plan) as proxy:
        client = await trio.open_tcp_stream(*proxy.address)
        server = await listener.accept()
        with trio.fail_after(LIMIT_S):
            async with client, server:
                yield Ends(client, server)


async def exactly(stream: trio.SocketStream, count: int) -> bytes:
    """The next `count` bytes."""
    data = b""
    while len(data) < count:
        more = await stream.receive_some(count - len(data))
        assert more, f"it ended after {data!r}"
        data += more
    return data


async def test_without_a_fault_everything_passes_both_ways() -> None:
    async with through(Plan()) as ends:
        text = bytes(range(256)) * 1000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ends.client.send_all, text)
            assert await exactly(ends.server, len(text)) == text
        await ends.server.send_all(b"answer")
        assert await exactly(ends.client, 6) == b"answer"
        await ends.client.send_eof()
        assert await ends.server.receive_some() == b""
        await ends.server.send_all(b"still")
        assert await exactly(ends.client, 5) == b"still"


async def test_delay_makes_every_piece_late() -> None:
    async with through(Plan(down=Fault(Kind.DELAY, 0, 0.2))) as ends:
        for piece in (b"one", b"two"):
            began = trio.current_time()
            await ends.server.send_all(piece)
            assert await exactly(ends.client, 3) == piece
            assert trio.current_time() - began >= 0.2


async def test_stall_stops_once_and_goes_on() -> None:
    async with through(Plan(up=Fault(Kind.STALL, 4, 0.4))) as ends:
        began = trio.current_time()
        await ends.client.send_all(b"before and after")
        assert await exactly(ends.server, 4) == b"befo"
        assert await exactly(ends.server, 12) == b"re and after"
        assert trio.current_time() - began >= 0.4
        await ends.server.send_all(b"down")
        assert await exactly(ends.client, 4) == b"down"


async def test_cut_ends_both_directions_after_so_many_bytes() -> None:
    async with through(Plan(up=Fault(Kind.CUT, 5))) as ends:
        await ends.client.send_all(b"12345")
        assert await exactly(ends.server, 5) == b"12345"
        await ends.client.send_all(b"6")
        assert await ends.server.receive_some() == b""
        assert await ends.client.receive_some() == b""


async def test_half_close_ends_one_direction_only() -> None:
    async with through(Plan(up=Fault(Kind.HALF_CLOSE, 3))) as ends:
        await ends.client.send_all(b"12345")
        assert await exactly(ends.server, 3) == b"123"
        assert await ends.server.receive_some() == b""
        await ends.client.send_all(b"nobody hears this")
        await ends.server.send_all(b"answer")
        assert await exactly(ends.client, 6) == b"answer"


async def test_reset_is_a_reset_on_both_sides() -> None:
    async with through(Plan(down=Fault(Kind.RESET, 0))) as ends:
        await ends.server.send_all(b"lost")
        for stream in (ends.client, ends.server):
            with pytest.raises(trio.BrokenResourceError) as broken:
                await stream.receive_some()
            assert isinstance(broken.value.__cause__, ConnectionResetError)


async def test_drip_comes_byte_by_byte() -> None:
    async with through(Plan(down=Fault(Kind.DRIP, 2, 0.02))) as ends:
        began = trio.current_time()
        await ends.server.send_all(b"abcdefghijkl")
        pieces: list[bytes] = []
        while b"".join(pieces) != b"abcdefghijkl":
            pieces.append(await ends.client.receive_some())
        assert len(pieces) > 3
        assert trio.current_time() - began >= 9 * 0.02


async def test_where_nobody_is_a_connection_is_reset() -> None:
    async with open_proxy() as proxy:
        with trio.fail_after(LIMIT_S):
            async with await trio.open_tcp_stream(*proxy.address) as client:
                with pytest.raises(trio.BrokenResourceError):
                    await client.receive_some()


async def test_once_faults_are_stopped_none_acts_any_more() -> None:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    plan = Plan(up=Fault(Kind.CUT, 0), down=Fault(Kind.CUT, 0))
    async with listener, open_proxy(listener.socket.getsockname(), lambda _: plan) as proxy:
        proxy.stop_faults()
        with trio.fail_after(LIMIT_S):
            async with (
                await trio.open_tcp_stream(*proxy.address) as client,
                await listener.accept() as server,
            ):
                await client.send_all(b"through")
                assert await exactly(server, 7) == b"through"


def test_a_seed_draws_the_same_plans_again() -> None:
    drawn = [str(plans(7)(number)) for number in range(300)]
    assert drawn == [str(plans(7)(number)) for number in range(300)]
    assert drawn != [str(plans(8)(number)) for number in range(300)]
    for kind in Kind:
        assert any(f"up: {kind}" in plan for plan in drawn), kind
        assert any(f"down: {kind}" in plan for plan in drawn), kind


def test_the_plans_can_be_told() -> None:
    proxy = Proxy(("127.0.0.1", 1), None, flawless)
    proxy.plans = [Plan(), Plan(Fault(Kind.STALL, 12, 1.5), Fault(Kind.CUT, 3))]
    assert proxy.story() == (
        "connection 0: up: none; down: none\n"
        "connection 1: up: stall after 12 bytes, 1.500 s; down: cut after 3 bytes"
    )
