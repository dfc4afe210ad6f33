"""Hostile clients do not disturb two people in a call, and the server frees all their descriptors."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.faults import hostile_clients
from tests.faults.fleet import STEADY, Fleet, running_fleet
from tests.faults.server_under_test import PATIENT_S, ServerUnderTest, a_server_under_test
from tests.promises.transcript import What
from tests.support.waiting import eventually

CONNECTS = 2000


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Raise the limit of descriptors for many sockets, here and in the server, which inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * CONNECTS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors_of(tested: ServerUnderTest) -> int:
    """The number of the server's open descriptors."""
    return len(list(Path(f"/proc/{tested.server.process.pid}/fd").iterdir()))


def chats_heard(fleet: Fleet) -> int:
    """The number of chat messages that have arrived so far."""
    return sum(1 for transcript in fleet.transcripts for _ in transcript.frames(What.HEARD, "chat"))


async def chat_goes_on(fleet: Fleet, lines: int = 5) -> None:
    """Wait until that many more chat messages have arrived."""
    before = chats_heard(fleet)
    with trio.fail_after(PATIENT_S):
        while chats_heard(fleet) < before + lines:  # noqa: ASYNC110
            await trio.sleep(0.05)


@asynccontextmanager
async def a_call(database: str) -> AsyncIterator[tuple[ServerUnderTest, Fleet]]:
    """A server with two people in a call, who at the end are still in it, undisturbed."""
    async with a_server_under_test(database) as tested:
        fleet = tested.fleet(21, STEADY)
        async with running_fleet(fleet, 2):
            fleet.quiet.set()
            with trio.fail_after(PATIENT_S):
                while not (fleet.settled(2) and len(fleet.present) == 2 and chats_heard(fleet)):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            calls = {tab.state["session"] for tab in fleet.tabs}
            usual = descriptors_of(tested)
            yield tested, fleet
            await chat_goes_on(fleet)
            assert {tab.state["session"] for tab in fleet.tabs} == calls
            assert [transcript.links for transcript in fleet.transcripts] == [1, 1]
            assert tested.server.get("/readyz")[0] == 200
            await eventually(lambda: descriptors_of(tested) <= usual + 5, limit_s=PATIENT_S)
        await tested.audited(*fleet.transcripts)


async def test_those_who_hold_connections_are_hung_up_on(database: str) -> None:
    """Each client's task ends only when the server has closed its connection."""
    async with a_call(database) as (tested, _), trio.open_nursery() as nursery:
        for client in (
            hostile_clients.silent_peer,
            hostile_clients.slow_handshake,
            hostile_clients.never_says_hello,
        ):
            for _ in range(50):
                await nursery.start(partial(client, tested))


async def test_those_who_do_not_read_hold_up_nobody(database: str) -> None:
    async with a_call(database) as (tested, fleet), trio.open_nursery() as nursery:
        for client in (hostile_clients.stalled_reader, hostile_clients.flood_without_reading):
            for _ in range(5):
                await nursery.start(partial(client, tested))
        await chat_goes_on(fleet, 8)
        nursery.cancel_scope.cancel()


async def test_garbage_is_refused_with_its_code(database: str) -> None:
    async with a_call(database) as (tested, _):
        for what, (_, code) in hostile_clients.GARBAGE.items():
            assert (what, await hostile_clients.send_garbage(tested, what)) == (what, code)
        async with trio.open_nursery() as nursery:
            for seed in range(100):
                nursery.start_soon(hostile_clients.send_noise, tested, seed)


async def test_thousands_who_connect_at_once_are_all_answered(database: str) -> None:
    answered = 0

    async def connect(tested: ServerUnderTest) -> None:
        nonlocal answered
        async with hostile_clients.hostile(tested) as client:
            await client.upgrade("/ws")
            answered += 1
            await everybody.wait()

    async with a_call(database) as (tested, _):
        everybody = trio.Event()
        with trio.fail_after(PATIENT_S):
            async with trio.open_nursery() as nursery:
                for _ in range(CONNECTS):
                    nursery.start_soon(connect, tested)
                while answered < CONNECTS:  # noqa: ASYNC110
                    await trio.sleep(0.05)
                everybody.set()
