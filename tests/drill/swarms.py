"""Attacks by many sockets, each of which does little."""

from __future__ import annotations

import trio

from crowd.wire import PING, frame
from tests.drill.attack import Attack, read_all

SWARM = 75
"""The factor to the number of sockets of other attacks: 1,500 sockets in a drill of full length."""
PLACES, SILENT = 120, 110
"""The connections that the small server accepts, and the sockets that fill it."""
PINGS = frame(b"", PING) * 341
"""Two kilobytes."""


async def many_small(attack: Attack) -> None:
    """Very many sockets without a token each send 2 KB of pings a second."""

    async def one() -> None:
        async with attack.target.person(attack.source(), None) as person:
            await attack.send(person, PINGS, pause_s=1.0)

    await attack.all_do(one, SWARM * attack.size)


async def many_guests(attack: Attack) -> None:
    """As many sockets, each of a different guest, send as much."""

    async def one() -> None:
        source = attack.source()
        token = await attack.target.guest(source)
        async with attack.target.person(source, token) as person, trio.open_nursery() as nursery:
            nursery.start_soon(read_all, person)
            await attack.send(person, PINGS, pause_s=1.0)

    await attack.all_do(one, SWARM * attack.size)


async def many_direct(attack: Attack) -> None:
    """The same on a server where no address has a budget."""
    await many_guests(attack)


async def silent(attack: Attack) -> None:
    """Ten times as many connections send nothing, or one byte of a request a second."""

    async def one() -> None:
        async with attack.target.connection() as client:
            attack.done["opened"] += 1
            for byte in attack.target.head("GET", "/", attack.source()):
                await client.send(bytes((byte,)))
                await trio.sleep(1.0)

    await attack.all_do(one, 10 * attack.size)


async def connections(attack: Attack) -> None:
    """Clients open and drop WebSockets, as fast as possible."""

    async def one() -> None:
        async with attack.target.person(attack.source(), None):
            attack.done["opened"] += 1

    await attack.all_do(one)


async def places(attack: Attack) -> None:
    """Connections that send nothing fill a server that accepts few."""

    async def one() -> None:
        async with attack.target.connection() as client:
            attack.done["opened"] += 1
            await client.stream.receive_some()

    await attack.all_do(one, SILENT)
