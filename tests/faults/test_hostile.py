"""Sockets that do what no browser does, beside two people in a call, which does not suffer; nothing stays."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.faults import vandals
from tests.faults.fleet import STEADY, Fleet, at_sea
from tests.faults.house import PATIENT_S, House, a_house
from tests.faults.transcript import What
from tests.support.waiting import eventually

CONNECTS = 2000


@pytest.fixture(autouse=True)
def descriptors() -> Iterator[None]:
    """Enough descriptors for a crowd of sockets, here and in the server, which inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 3 * CONNECTS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors_of(house: House) -> int:
    """How many descriptors the server has open."""
    return len(list(Path(f"/proc/{house.server.process.pid}/fd").iterdir()))


def chats_heard(fleet: Fleet) -> int:
    """How many lines of chat arrived so far."""
    return sum(1 for transcript in fleet.transcripts for _ in transcript.frames(What.HEARD, "chat"))


async def chat_goes_on(fleet: Fleet, lines: int = 5) -> None:
    """Wait until that many lines of chat have arrived from now on."""
    before = chats_heard(fleet)
    with trio.fail_after(PATIENT_S):
        while chats_heard(fleet) < before + lines:  # noqa: ASYNC110
            await trio.sleep(0.05)


@asynccontextmanager
async def a_call(database: str) -> AsyncIterator[tuple[House, Fleet]]:
    """A house with two people in a call, who are still in it at the end, and have noticed nothing."""
    async with a_house(database) as house:
        fleet = house.fleet(21, STEADY)
        async with at_sea(fleet, 2):
            fleet.quiet.set()
            with trio.fail_after(PATIENT_S):
                while not (fleet.settled(2) and len(fleet.present) == 2 and chats_heard(fleet)):  # noqa: ASYNC110
                    await trio.sleep(0.05)
            calls = {tab.page["session"] for tab in fleet.tabs}
            usual = descriptors_of(house)
            yield house, fleet
            await chat_goes_on(fleet)
            assert {tab.page["session"] for tab in fleet.tabs} == calls
            assert [transcript.links for transcript in fleet.transcripts] == [1, 1]
            assert house.server.get("/readyz")[0] == 200
            await eventually(lambda: descriptors_of(house) <= usual + 5, limit_s=PATIENT_S)
        await house.audited(*fleet.transcripts)


async def test_those_who_hold_connections_are_hung_up_on(database: str) -> None:
    """Each vandal ends only when the server has ended its connection."""
    async with a_call(database) as (house, _), trio.open_nursery() as nursery:
        for vandal in (vandals.silent_peer, vandals.slow_handshake, vandals.never_says_hello):
            for _ in range(50):
                await nursery.start(partial(vandal, house))


async def test_those_who_do_not_read_hold_up_nobody(database: str) -> None:
    async with a_call(database) as (house, fleet), trio.open_nursery() as nursery:
        for vandal in (vandals.stalled_reader, vandals.flood_without_reading):
            for _ in range(5):
                await nursery.start(partial(vandal, house))
        await chat_goes_on(fleet, 8)
        nursery.cancel_scope.cancel()


async def test_garbage_is_refused_with_its_code(database: str) -> None:
    async with a_call(database) as (house, _):
        for what, (_, code) in vandals.GARBAGE.items():
            assert (what, await vandals.send_garbage(house, what)) == (what, code)
        async with trio.open_nursery() as nursery:
            for seed in range(100):
                nursery.start_soon(vandals.send_noise, house, seed)


async def test_thousands_who_connect_at_once_are_all_answered(database: str) -> None:
    answered = 0

    async def connect(house: House) -> None:
        nonlocal answered
        async with vandals.raw(house) as client:
            await client.upgrade("/ws")
            answered += 1
            await everybody.wait()

    async with a_call(database) as (house, _):
        everybody = trio.Event()
        with trio.fail_after(PATIENT_S):
            async with trio.open_nursery() as nursery:
                for _ in range(CONNECTS):
                    nursery.start_soon(connect, house)
                while answered < CONNECTS:  # noqa: ASYNC110
                    await trio.sleep(0.05)
                everybody.set()
