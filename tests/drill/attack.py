"""The tools of an attack: tasks that reconnect, addresses, guests, and counters.

An attacker whose connection is closed reconnects. Each attack has a few addresses from 198.51.100.0/24
(RFC 5737).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count

import trio

from tests.drill.target import Target
from tests.support.person import Person, call
from tests.support.raw_client import Closed, Refused

SPREAD_S, BEGIN_PER_S = 1.0, 15
"""The tasks of an attack begin evenly within `SPREAD_S`, but at most `BEGIN_PER_S` times `size` a second: 300
in a drill of full length, fewer in a short one."""
ADDRESSES = 4
"""The number of addresses of an attack."""
AGAIN_S = 0.05
"""The pause before a task reconnects; with more tasks it is longer, so that the total rate stays the same."""


class Attack:
    """One attack on `target`, with `size` sockets or tasks.

    `done` counts what it did, `harmed` what happened to its innocent partners.
    """

    def __init__(self, target: Target, size: int) -> None:
        self.target = target
        self.size = size
        self.done: Counter[str] = Counter()
        self.harmed: Counter[str] = Counter()
        self._numbers = count()

    def source(self) -> str:
        """The next of the attack's addresses."""
        return f"198.51.100.{next(self._numbers) % ADDRESSES + 1}"

    async def all_do(self, one: Callable[[], Awaitable[None]], tasks: int | None = None) -> None:
        """Run `one` repeatedly in `tasks` tasks; None: as many as the attack's size."""
        tasks = tasks or self.size
        async with trio.open_nursery() as nursery:
            for _ in range(tasks):
                nursery.start_soon(self._stubbornly, one, AGAIN_S * max(1, tasks / self.size))
                await trio.sleep(max(SPREAD_S / tasks, 1 / (BEGIN_PER_S * self.size)))

    async def _stubbornly(self, one: Callable[[], Awaitable[None]], again_s: float) -> None:
        while True:
            try:
                await one()
            except* (Refused, Closed, trio.BrokenResourceError) as group:
                self.done[_first(group)] += 1
            await trio.sleep(again_s)

    async def send(self, person: Person, data: bytes, *, pause_s: float = 0.0) -> None:
        """Send `data` repeatedly."""
        while True:
            await person.stream.send_all(data)
            self.done["bytes"] += len(data)
            if pause_s:
                await trio.sleep(pause_s)

    async def flood_with(self, data: bytes, first: bytes = b"", *, pause_s: float = 0.0) -> None:
        """Connect as a guest, send `first` and then `data` repeatedly, and read all answers."""
        source = self.source()
        async with self.target.person(source, await self.target.guest(source)) as person:
            if first:
                await person.stream.send_all(first)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_all, person)
                await self.send(person, data, pause_s=pause_s)

    async def two(self, together: Callable[[Person, Person, str], Awaitable[None]]) -> None:
        """Let two guests meet and report a call, then run `together`."""
        source, subject = self.source(), f"drill {next(self._numbers)} {os.getpid()}"
        tokens = [await self.target.guest(source) for _ in range(2)]
        async with (
            self.target.person(source, tokens[0]) as one,
            self.target.person(source, tokens[1]) as other,
        ):
            await call(one, other, subject=subject)
            self.done["calls"] += 1
            await together(one, other, one.state["session"])


def _first(error: BaseException) -> str:
    """The first exception of a group, as text."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"closed {error.code}" if isinstance(error, Closed) else type(error).__name__.lower()


async def read_all(person: Person) -> None:
    while True:
        if not await person.stream.receive_some(65536):
            raise Closed()
