"""The faults of a run, and when they occur: drawn from the seed before the run begins.

Every fault is one of real systems, at a point where it can really occur: an actor crashes at the beginning of
a turn, or is cancelled where it waits; the matcher crashes before or after its pool has changed; the database
fails before or after its commit.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import NamedTuple

CALM_S = 120.0
"""How long people may take to find each other once the faults have stopped.

The longest case: a connection that went silent (62.5 s), its grace (15 s), a match that does not become a
call (15 s), and the time apart (5 s).
"""

TICK_S = 0.5
"""The interval in seconds between two words of a script."""


class PlannedError(Exception):
    """A planned crash."""


class Script(NamedTuple):
    """The actions of one person, one word for each tick; `scripts.Actor` defines the words."""

    name: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """The settings and faults of one seed. Rates are probabilities, times are seconds."""

    people: int
    duration_s: float
    subjects: int
    delay_s: float
    lockstep: bool
    impatience: float
    vanishing: float
    mischief: float
    stalling: float
    slow_reading: float
    never_connects: float
    user_crashes: tuple[int, ...]
    user_cancels: tuple[int, ...]
    matcher_crashes: tuple[tuple[int, bool], ...]
    outages: tuple[tuple[float, float, str], ...]
    jumps: tuple[tuple[float, float], ...]
    shutdowns: tuple[tuple[float, str], ...]
    calm_s: float = CALM_S
    scripts: tuple[Script, ...] = ()
    departure: float = 0.0

    @staticmethod
    def scripted(scripts: tuple[Script, ...]) -> Plan:
        """A plan without faults, whose people follow scripts, all at the same moments."""
        ticks = max(len(script.words) for script in scripts)
        nothing = dict.fromkeys(("impatience", "vanishing", "mischief", "stalling", "slow_reading"), 0.0)
        return Plan(
            people=len(scripts),
            duration_s=(ticks + 2) * TICK_S,
            subjects=1,
            delay_s=0.0,
            lockstep=True,
            **nothing,
            never_connects=0.0,
            user_crashes=(),
            user_cancels=(),
            matcher_crashes=(),
            outages=(),
            jumps=(),
            shutdowns=(),
            calm_s=60.0,
            scripts=scripts,
        )

    @staticmethod
    def draw(chance: random.Random, of_departure: random.Random) -> Plan:
        """Draw a plan. Most seeds have few kinds of faults, so that each has visible effects; some have all.

        `of_departure` draws how often pages say `leaving`, so that the rest does not depend on it.
        """
        duration_s = chance.choice([20.0, 40.0, 80.0])

        def sometimes(rate: float, share: float = 0.5) -> float:
            return rate * chance.random() if chance.random() < share else 0.0

        def moments(most: int, share: float = 0.3) -> list[float]:
            count = chance.randint(1, most) if chance.random() < share else 0
            return sorted(chance.uniform(0, duration_s) for _ in range(count))

        lockstep = chance.random() < 0.5
        return Plan(
            people=chance.choice([2, 2, 3, 3, 4, 6, 9, 14]),
            duration_s=duration_s,
            subjects=chance.choice([1, 1, 1, 2, 3]),
            delay_s=0.0 if lockstep else chance.choice([0.0, 0.02, 0.3, 2.0]),
            lockstep=lockstep,
            impatience=chance.choice([0.02, 0.1, 0.4]),
            vanishing=sometimes(0.5, 0.6),
            mischief=sometimes(0.3, 0.4),
            stalling=sometimes(0.3, 0.2),
            slow_reading=sometimes(0.6, 0.2),
            never_connects=sometimes(0.5, 0.3),
            user_crashes=tuple(chance.randint(1, 400) for _ in moments(3)),
            user_cancels=tuple(chance.randint(1, 400) for _ in moments(3)),
            matcher_crashes=tuple((chance.randint(1, 60), chance.random() < 0.5) for _ in moments(2)),
            outages=tuple(
                (at, chance.uniform(0.1, 20), chance.choice(["down", "slow", "after_commit", "crash"]))
                for at in moments(3)
            ),
            jumps=tuple((at, chance.uniform(1, 40)) for at in moments(2, 0.2)),
            shutdowns=tuple((at, chance.choice(["restart", "restart", "stop"])) for at in moments(2, 0.2)),
            departure=of_departure.choice([0.0, 0.01, 0.05, 0.2]),
        )


@dataclass
class Countdown:
    """Fires at given counts of a repeated event."""

    strikes: tuple[int, ...]
    count: int = field(default=0)

    def step(self) -> bool:
        self.count += 1
        return self.count in self.strikes
