"""The plan of a run, and each process's part of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from crowd.dialect import Dialect, Studymatch
from crowd.guests import MakeGuests
from crowd.target import Target

HERD, RAMP = "herd", "ramp"
EXPONENTIAL, FIXED = "exponential", "fixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run. Durations are seconds, shares 0 to 1; the options of `studymatch crowd` explain each field."""

    target: Target
    people: int = 1000
    arrive: str = RAMP
    ramp_s: float = 20.0
    run_s: float = 60.0
    calls: int | None = None
    dwell: str = EXPONENTIAL
    dwell_s: float = 30.0
    skip_share: float = 1.0
    vanish_share: float = 0.0
    return_share: float = 0.5
    stalled_share: float = 0.0
    deflate_share: float = 1.0
    active_share: float = 1.0
    subjects: int = 0
    storm_share: float = 0.0
    storm_at_s: float = 30.0
    processes: int = 1
    seed: int = 1
    make_guests: MakeGuests | None = field(default=None, repr=False)
    dialect: Callable[[], Dialect] = Studymatch


@dataclass(frozen=True, slots=True)
class Part:
    """One process's part of a plan: every `of`-th person, beginning with number `index`."""

    plan: Plan
    index: int
    of: int

    @property
    def numbers(self) -> range:
        """The numbers of this process's visitors."""
        return range(self.index, self.plan.people, self.of)
