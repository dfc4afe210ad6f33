"""The report of a run, and names for the moments at which a fault can be injected."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """A point at which a fault can be injected: whom it concerns, and the fault."""

    who: str
    what: str


class Strike(NamedTuple):
    """The one fault of a run: at `place`, the `turn`-th time that the run reaches it."""

    place: Place
    turn: int


@dataclass
class Report:
    """The result of a seed. `places`: how often the run reached each point of a possible fault."""

    seed: int
    violations: list[str]
    trace: list[str]
    seen: Counter[str]
    moves: list[str]
    places: Counter[Place] = field(default_factory=Counter)
    struck: bool = False

    @property
    def found(self) -> list[str]:
        """The violations that a check or checker found: not that the run ended with an exception."""
        return [violation for violation in self.violations if "] World: " not in violation]

    @property
    def digest(self) -> str:
        """A digest of the story: two runs with the same digest had the same events."""
        return _digest(self.trace)

    @property
    def outline(self) -> str:
        """A digest of everybody's states, with causes and times. It does not depend on the texts of frames
        and of the journal."""
        return _digest(self.moves)

    def story(self, about: Sequence[str] = ()) -> str:
        """The trace, or its lines that concern some people or sessions."""
        return "\n".join(line for line in self.trace if not about or any(it in line for it in about))


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
