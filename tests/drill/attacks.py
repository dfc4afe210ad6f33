"""The attacks: one coroutine for each, which runs until it is cancelled.

    python -m tests.drill.attacks NAME HOST:PORT SECONDS SIZE

runs one in a process of low priority, and prints its counters as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count

import trio

from crowd.wire import PING, frame
from tests.drill.attack import Attack, read_all
from tests.drill.swarms import connections, many_direct, many_guests, many_small, places, silent
from tests.drill.target import Target
from tests.promises.transcript import Frame
from tests.support.person import Person
from tests.support.raw_client import Closed
from web.build import this_build
from web.server import open_files

CHUNK_BYTES = 16 * 1024
EMPTY_PINGS = frame(b"", PING) * (CHUNK_BYTES // 6)
FULL_PINGS = frame(b"p" * 125, PING) * (CHUNK_BYTES // 131)
EMPTY_CONTINUATION = b"\x00\x80mask"
BEGINNING = b"\x01\x80mask"
CONTINUATIONS = EMPTY_CONTINUATION * (CHUNK_BYTES // 6)
NONSENSE = frame(b"{}") * (CHUNK_BYTES // 8)


async def pings(attack: Attack) -> None:
    """Sockets with a guest's token send only empty pings."""
    await attack.all_do(partial(attack.flood_with, EMPTY_PINGS))


async def continuations(attack: Attack) -> None:
    """Sockets with a guest's token send an endless message of empty fragments."""
    await attack.all_do(partial(attack.flood_with, CONTINUATIONS, BEGINNING))


async def unread(attack: Attack, data: bytes = FULL_PINGS) -> None:
    """Clients send pings, and read only a byte of the answers now and then."""

    async def one() -> None:
        source = attack.source()
        token = await attack.target.guest(source)
        async with (
            attack.target.person(source, token, receive_buffer=4096) as person,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_read_a_little, person)
            await attack.send(person, data)

    await attack.all_do(one)


async def _read_a_little(person: Person) -> None:
    while True:
        if not await person.stream.receive_some(64):
            raise Closed()
        await trio.sleep(0.1)


async def unread_errors(attack: Attack) -> None:
    """Clients send invalid frames, each of which gets an error, and read few of the answers."""
    await unread(attack, NONSENSE)


async def vanish(attack: Attack) -> None:
    """Pairs meet, report a call, vanish, and never come back."""

    async def gone(one: Person, other: Person, session: str) -> None:
        attack.done["vanished"] += 2

    await attack.all_do(partial(attack.two, gone))


async def skips(attack: Attack) -> None:
    """Guests search and skip every partner; now and then they return as new guests."""

    async def one() -> None:
        source = attack.source()
        async with attack.target.person(source, await attack.target.guest(source)) as person:
            await person.say("search")
            with trio.move_on_after(2.0):
                while True:
                    await person.until("state", state="connecting")
                    attack.done["skipped"] += 1
                    await person.about("skip")
                    await person.until("state", state="ended")
                    await person.say("search")

    await attack.all_do(one)


async def headers(attack: Attack) -> None:
    """Clients send requests whose headers fill the limit and never end."""
    line = b"x-%07d: " + b"y" * 60 + b"\r\n"

    async def one() -> None:
        async with attack.target.connection() as client:
            await client.send(attack.target.head("GET", "/", attack.source())[:-2])
            for number in count():
                await client.send(b"".join(line % (number * 100 + part) for part in range(100)))
                attack.done["bytes"] += 100 * len(line)

    await attack.all_do(one)


async def guests(attack: Attack) -> None:
    """Clients register one new guest after another."""

    async def one() -> None:
        await attack.target.guest(attack.source())
        attack.done["guests"] += 1

    await attack.all_do(one)


async def pages(attack: Attack) -> None:
    """Clients request the page, its static files and the health checks repeatedly on the same connections."""

    files = [this_build().path_of(name) for name in ("js/main.js", "fonts/newsreader.woff2")]

    async def one() -> None:
        async with attack.target.connection() as client:
            for path in ("/", "/readyz", *files) * 250:
                status, _, _ = await client.request(attack.target.head("GET", path, attack.source()))
                attack.done[f"status {status}"] += 1

    await attack.all_do(one)


async def reconnects(attack: Attack) -> None:
    """The same guests reconnect repeatedly, and each time send as much as a new connection may."""

    async def one() -> None:
        source = attack.source()
        token = await attack.target.guest(source)
        while True:
            async with attack.target.person(source, token) as person:
                await person.stream.send_all(frame(b'{"type": "ping"}') * 200)
                attack.done["came"] += 1

    await attack.all_do(one)


async def signals(attack: Attack) -> None:
    """Pairs in a call send each other signals of 40 KB."""

    async def talk(one: Person, other: Person, session: str) -> None:
        words = {"type": "signal", "session": session, "data": "x" * 40_000}
        await _talk(attack, one, other, frame(json.dumps(words).encode()))

    await attack.all_do(partial(attack.two, talk))


async def chat(attack: Attack) -> None:
    """Pairs in a call chat without a break."""

    async def talk(one: Person, other: Person, session: str) -> None:
        words = {"type": "chat", "session": session, "text": "y" * 200}
        await _talk(attack, one, other, frame(json.dumps(words).encode()) * 16)

    await attack.all_do(partial(attack.two, talk))


async def _talk(attack: Attack, one: Person, other: Person, data: bytes) -> None:
    async with trio.open_nursery() as nursery:
        for person in (one, other):
            nursery.start_soon(read_all, person)
            nursery.start_soon(attack.send, person, data)


async def resync(attack: Attack) -> None:
    """In a call one side repeatedly asks the other's page for a resync; a page answers."""

    async def ask(one: Person, other: Person, session: str) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(read_all, one)
            nursery.start_soon(_answer, attack, other, session)
            while True:
                await one.say("signal", session=session, data={"kind": "resync"})
                attack.done["asked"] += 1
                await trio.sleep(1 / 25)

    await attack.all_do(partial(attack.two, ask))


async def _answer(attack: Attack, person: Person, session: str) -> None:
    """Answer as a page of version 1: two frames for each `resync`. The server must not close it for that."""
    try:
        while True:
            heard: Frame = await person.hear()
            if heard["type"] == "signal" and heard["data"] == {"kind": "resync"}:
                for _ in range(2):
                    await person.say("signal", session=session, data={"kind": "media"})
    except Closed as closed:
        attack.harmed[f"hung up on with {closed.code}"] += 1
        raise


ATTACKS: dict[str, Callable[[Attack], Awaitable[None]]] = {
    attack.__name__: attack
    for attack in (
        pings,
        continuations,
        many_small,
        many_guests,
        unread,
        unread_errors,
        vanish,
        skips,
        silent,
        connections,
        headers,
        guests,
        pages,
        reconnects,
        signals,
        chat,
        resync,
        many_direct,
        places,
    )
}


async def main(name: str, address: str, seconds: float, size: int) -> None:
    """Attack for `seconds`, then print the counters."""
    host, _, port = address.rpartition(":")
    attack = Attack(Target(host, int(port)), size)
    with trio.move_on_after(seconds):
        await ATTACKS[name](attack)
    sys.stdout.write(json.dumps({"done": attack.done, "harmed": attack.harmed}) + "\n")


if __name__ == "__main__":
    os.nice(10)
    open_files.allow()
    trio.run(main, sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
