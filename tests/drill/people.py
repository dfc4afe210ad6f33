"""The people on the attacked server: pairs in calls who keep talking, and newcomers.

They measure what a person would notice: how long a message takes to the partner, whether a connection is
lost, whether newcomers are accepted and find a partner. Each has a separate address from 10.0.0.0/8.
"""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf

import trio

from tests.drill.target import Target
from tests.support.person import Person, call
from tests.support.raw_client import Closed, Refused

SAY_EVERY_S = 1.0
"""The interval between two messages of a person to their partner."""

LET_IN_LIMIT_S, MEET_LIMIT_S = 5.0, 20.0
"""The time within which a newcomer has to be accepted, and then to find a partner."""


@dataclass
class Experience:
    """The measurements of one phase, in seconds: the delay of each message, and of newcomers' welcomes."""

    delays: list[float] = field(default_factory=list)
    welcomes: list[float] = field(default_factory=list)
    lost: int = 0
    came: int = 0
    let_in: int = 0
    met: int = 0

    def delay_ms(self, share: float) -> float:
        """The quantile of the messages' delays for this share."""
        return _percentile_ms(self.delays, share)

    def welcome_ms(self, share: float) -> float:
        """The quantile of the accepted newcomers' times to the welcome; inf if there were none."""
        return _percentile_ms(self.welcomes, share) if self.welcomes else inf


def _percentile_ms(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class People:
    """`count` people on `target`, two in each call."""

    def __init__(self, target: Target, count: int) -> None:
        self.experience = Experience()
        self._target = target
        self._count = count
        self._addresses = iter(range(1, 2**24))
        self._calling = trio.Event()
        self._in_call = 0

    def new_phase(self) -> Experience:
        """Begin a new phase; returns the object that collects its measurements."""
        self.experience = Experience()
        return self.experience

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Stay in calls until cancelled; reports `started` when all are in one."""
        async with trio.open_nursery() as nursery:
            for number in range(self._count // 2):
                nursery.start_soon(self._call, f"pair {number}")
                await trio.sleep(0.01)
            with trio.fail_after(60):
                await self._calling.wait()
            task_status.started()

    async def newcomers(self) -> None:
        """Let two newcomers connect every second, until cancelled."""
        async with trio.open_nursery() as nursery:
            while True:
                for _ in range(2):
                    nursery.start_soon(self._come, self.experience)
                await trio.sleep(1.0)

    def _address(self) -> str:
        number = next(self._addresses)
        return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"

    async def _call(self, subject: str) -> None:
        """Let two people meet and talk. A lost call is counted, and not replaced."""
        sources = self._address(), self._address()
        tokens = [await self._target.guest(source) for source in sources]
        async with (
            self._target.person(sources[0], tokens[0]) as one,
            self._target.person(sources[1], tokens[1]) as other,
        ):
            await call(one, other, subject=subject)
            self._in_call += 2
            if self._in_call >= self._count:
                self._calling.set()
            async with trio.open_nursery() as nursery:
                for person in (one, other):
                    nursery.start_soon(self._listen, person)
                    nursery.start_soon(self._talk, person)

    async def _talk(self, person: Person) -> None:
        await trio.sleep(random.uniform(0, SAY_EVERY_S))
        while person.state["state"] == "connected" and person.ended_with is None:
            await person.about("signal", data={"at": trio.current_time()})
            await trio.sleep(SAY_EVERY_S)

    async def _listen(self, person: Person) -> None:
        with suppress(Closed):
            while person.state["state"] == "connected":
                heard = await person.hear()
                if heard["type"] == "signal":
                    self.experience.delays.append(trio.current_time() - heard["data"]["at"])
        self.experience.lost += 1

    async def _come(self, experience: Experience) -> None:
        """Connect a newcomer, who searches, and leaves after being matched."""
        experience.came += 1
        began = trio.current_time()
        source = self._address()
        try:
            with trio.move_on_after(LET_IN_LIMIT_S + MEET_LIMIT_S) as limit:
                limit.deadline -= MEET_LIMIT_S
                async with self._target.person(source, await self._target.guest(source)) as person:
                    experience.let_in += 1
                    experience.welcomes.append(trio.current_time() - began)
                    limit.deadline += MEET_LIMIT_S
                    await person.say("search")
                    while person.state["state"] != "connected":
                        heard = await person.hear()
                        if heard["type"] == "state" and heard["state"] == "connecting":
                            await person.about("connected")
                    experience.met += 1
                    await person.about("end")
        except (Refused, Closed, trio.BrokenResourceError):
            pass
