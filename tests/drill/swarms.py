"""Attacks by many sockets, none of which does much."""

from __future__ import annotations

import trio

from crowd.wire import PING, frame
from tests.drill.attack import Attack, read_all

SWARM = 75
"""So many times as many sockets as other attacks have: 1,500 in a drill of full length."""
PLACES, SILENT = 120, 110
"""Of the server that is filled, and sockets that fill it."""
PINGS = frame(b"", PING) * 341
"""Two kilobytes."""


async def many_small(attack: Attack) -> None:
    """Very many sockets, without a token, send 2 KB of pings a second each."""

    async def one() -> None:
        async with attack.target.line(attack.source(), None) as line:
            await attack.send(line, PINGS, pause_s=1.0)

    await attack.all_do(one, SWARM * attack.size)


async def many_guests(attack: Attack) -> None:
    """As many sockets, each of a guest of its own, send as much."""

    async def one() -> None:
        source = attack.source()
        token = await attack.target.guest(source)
        async with attack.target.line(source, token) as line, trio.open_nursery() as nursery:
            nursery.start_soon(read_all, line)
            await attack.send(line, PINGS, pause_s=1.0)

    await attack.all_do(one, SWARM * attack.size)


async def many_direct(attack: Attack) -> None:
    """The same where no address has a budget."""
    await many_guests(attack)


async def silent(attack: Attack) -> None:
    """Ten times as many connections say nothing, or a byte a second of a request."""

    async def one() -> None:
        async with attack.target.connection() as stream:
            attack.done["opened"] += 1
            for byte in attack.target.head("GET", "/", attack.source()):
                await stream.send_all(bytes((byte,)))
                await trio.sleep(1.0)

    await attack.all_do(one, 10 * attack.size)


async def connections(attack: Attack) -> None:
    """WebSockets are opened and dropped, as fast as it goes."""

    async def one() -> None:
        async with attack.target.line(attack.source(), None):
            attack.done["opened"] += 1

    await attack.all_do(one)


async def places(attack: Attack) -> None:
    """Connections that say nothing fill a server that has few places."""

    async def one() -> None:
        async with attack.target.connection() as stream:
            attack.done["opened"] += 1
            await stream.receive_some()

    await attack.all_do(one, SILENT)
