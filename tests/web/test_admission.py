"""Who gets in before the app is asked: by address, in all, and when there is no room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import inf

import pytest
import trio
import trio.testing

from actors import Rate
from tests.support.echo import DirectEcho, Served, direct_app, echo_app, serving, socket_clock
from tests.support.raw_client import TEXT, Client
from web.server import ServerLimits, TrustedProxies, read_network
from web.server.admission import Admission

HERE = TrustedProxies([read_network("127.0.0.1")])
ADA, BEN = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def clock() -> trio.testing.MockClock:
    return socket_clock()


@asynccontextmanager
async def silent(served: Served, count: int) -> AsyncIterator[list[Client]]:
    """So many connections that say nothing."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(served.client()) for _ in range(count)]


async def has_ended(client: Client) -> bool:
    """Whether the server has ended this connection, of somebody who is told nothing."""
    with trio.move_on_after(0.2):
        try:
            await client.read_to_end()
        except trio.BrokenResourceError:
            return True
    return False


async def get(served: Served, source: str) -> tuple[int, dict[str, str]]:
    """A request from an address, on a connection of its own."""
    async with served.client() as client:
        head = f"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {source}\r\n\r\n"
        status, headers, _ = await client.request(head.encode())
        return status, headers


def test_a_school_that_arrives_within_a_minute_is_let_in() -> None:
    """A thousand people behind one address, each with seven connections and twenty-five requests."""
    admission = Admission(ServerLimits())
    for person in range(1000):
        now = 60 * person / 1000
        assert all(admission.connects(ADA, now) for _ in range(7))
        assert not any(admission.requests_s(ADA, now) for _ in range(25))
    assert len(admission) == 7000


def test_one_address_cannot_use_up_what_others_need() -> None:
    limits = ServerLimits(address_requests=Rate(1, 5), requests=Rate(10, 20))
    admission = Admission(limits)
    assert sum(not admission.requests_s(ADA, 0.0) for _ in range(1000)) == 25
    assert admission.requests_s(ADA, 0.0) == pytest.approx(0.1)
    assert [admission.requests_s(BEN, 0.0) for _ in range(5)] == [0.0] * 5


def test_an_address_has_so_many_connections_at_a_time() -> None:
    admission = Admission(ServerLimits(address_connections_max=2))
    assert [admission.connects(ADA, 0.0) for _ in range(3)] == [True, True, False]
    assert admission.connects(BEN, 0.0)
    admission.disconnects(ADA)
    assert admission.connects(ADA, 0.0)
    for key in (ADA, ADA, BEN):
        admission.disconnects(key)
    assert len(admission) == 0


def test_an_address_makes_so_many_connections() -> None:
    admission = Admission(ServerLimits(address_connections=Rate(1, 3)))
    for _ in range(3):
        assert admission.connects(ADA, 0.0)
        admission.disconnects(ADA)
    assert not admission.connects(ADA, 0.5)
    assert admission.connects(ADA, 1.0)


def test_who_has_no_key_has_no_limit() -> None:
    one = Rate(1, 1)
    admission = Admission(ServerLimits(address_connections=one, address_requests=one, requests=one))
    assert all(admission.connects(None, 0.0) and not admission.requests_s(None, 0.0) for _ in range(100))


async def test_too_many_requests_of_an_address_are_told_when_to_come_again(clock: trio.abc.Clock) -> None:
    limits = ServerLimits(address_requests=Rate(1, 2), requests=Rate(1, 1))
    async with serving(echo_app(), limits, HERE) as served:
        assert [(await get(served, ADA))[0] for _ in range(4)] == [200, 200, 200, 429]
        _, headers = await get(served, ADA)
        assert int(headers["retry-after"]) == 1
        assert headers["connection"] == "close"
        assert (await get(served, BEN))[0] == 200
        await trio.sleep(1)
        assert (await get(served, ADA))[0] == 200


async def test_silent_connections_make_room_for_who_speaks(clock: trio.abc.Clock) -> None:
    limits = ServerLimits(connections_max=10, request_limit_s=1000.0)
    async with serving(echo_app(), limits) as served, silent(served, 10) as crowd:
        await trio.sleep(limits.first_words_s + 0.1)
        async with served.client() as newcomer:
            assert await newcomer.get() == (200, b"hello")
        assert [await has_ended(client) for client in crowd].count(True) == 1


async def test_who_has_only_just_come_need_not_make_room() -> None:
    limits = ServerLimits(connections_max=10, request_limit_s=1000.0, first_words_s=inf)
    async with serving(echo_app(), limits) as served, silent(served, 10), served.client() as newcomer:
        assert (await newcomer.head())[0] == 503


async def test_sockets_of_nobody_make_room_for_others_and_not_those_of_people(clock: trio.abc.Clock) -> None:
    limits = ServerLimits(connections_max=6)
    async with serving(direct_app(DirectEcho), limits) as served, silent(served, 6) as crowd:
        for client in crowd:
            await client.upgrade()
        for client in crowd[:3]:
            await client.send_frame(TEXT, b"here")
            assert await client.frame() == (TEXT, b"here")
        await trio.sleep(limits.first_words_s + 0.1)
        async with silent(served, 3) as newcomers:
            for client in newcomers:
                await client.upgrade()
                await client.send_frame(TEXT, b"new")
                assert await client.frame() == (TEXT, b"new")
            async with served.client() as late:
                assert (await late.head())[0] == 503
        await crowd[0].send_frame(TEXT, b"still here")
        assert await crowd[0].frame() == (TEXT, b"still here")


async def test_requests_are_dealt_with_a_few_at_a_time(clock: trio.abc.Clock) -> None:
    """So many that all of them at once would keep everybody else waiting; none is forgotten."""
    limits = ServerLimits(at_once=1)
    statuses: list[int] = []
    async with serving(echo_app(), limits) as served, served.client() as slow:

        async def ask() -> None:
            async with served.client() as client:
                for _ in range(3):
                    statuses.append((await client.get())[0])

        # Who says half of a request keeps nobody waiting.
        await slow.send(b"POST /count HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nx")
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
    assert statuses == [200] * 60
