"""What each attack of the drill is made with: stubborn tasks, addresses, guests, and what is told of it.

Attackers are stubborn: who is hung up on comes again. They have a few addresses each, from 198.51.100.0/24
(RFC 5737).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count

import trio

from tests.drill.line import Closed, Line, Refused, Target

SPREAD_S, BEGIN_PER_S = 1.0, 15
"""Within which the tasks of an attack begin, one after the other. Of very many, so many begin in a second for
each socket that other attacks have: 300 in a drill of full length, fewer in a short one."""
ADDRESSES = 4
"""From how many addresses an attack comes."""
AGAIN_S = 0.05
"""Before who was refused or hung up on tries again; of more tasks each waits longer, and all try as often."""


class Attack:
    """One attack on `target`, with `size` sockets or tasks. `done` counts what it did, `harmed` to whom."""

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
        """Have `one` done again and again by as many tasks as the attack is large."""
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

    async def send(self, line: Line, data: bytes, *, pause_s: float = 0.0) -> None:
        """Send this without end."""
        while True:
            await line.stream.send_all(data)
            self.done["bytes"] += len(data)
            if pause_s:
                await trio.sleep(pause_s)

    async def flood_with(self, data: bytes, first: bytes = b"", *, pause_s: float = 0.0) -> None:
        """Come in as a guest and send without end, reading all that comes."""
        source = self.source()
        async with self.target.line(source, await self.target.guest(source)) as line:
            if first:
                await line.stream.send_all(first)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_all, line)
                await self.send(line, data, pause_s=pause_s)

    async def met(self, line: Line, subject: str) -> str:
        """Search under a subject of one's own until matched; returns the session."""
        await line.say("search", criteria={"subject": subject})
        state = await line.until("state", state="connecting")
        session: str = state["session"]
        return session

    async def two(self, together: Callable[[Line, Line, str], Awaitable[None]]) -> None:
        """Two guests meet, report a call, and go on with `together`."""
        source, subject = self.source(), f"drill {next(self._numbers)} {os.getpid()}"
        tokens = [await self.target.guest(source) for _ in range(2)]
        async with self.target.line(source, tokens[0]) as one, self.target.line(source, tokens[1]) as other:
            await one.say("search", criteria={"subject": subject})
            session = await self.met(other, subject)
            await one.until("state", state="connecting")
            for line in (one, other):
                await line.say("connected", session=session)
            for line in (one, other):
                await line.until("state", state="connected")
            self.done["calls"] += 1
            await together(one, other, session)


def _first(error: BaseException) -> str:
    """The first failure of a group, in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"closed {error.code}" if isinstance(error, Closed) else type(error).__name__.lower()


async def read_all(line: Line) -> None:
    while True:
        if not await line.stream.receive_some(65536):
            raise Closed(None)
