"""What came of a run, and how to name the moments of it at which something can go wrong."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """Somewhere that something can go wrong: who it happens to, and what."""

    who: str
    what: str


class Strike(NamedTuple):
    """The one thing that goes wrong in a run: at `place`, the `turn`-th time that it is reached."""

    place: Place
    turn: int


@dataclass
class Report:
    """What came of a seed. `places`: how often it came where something could have gone wrong."""

    seed: int
    violations: list[str]
    trace: list[str]
    seen: Counter[str]
    moves: list[str]
    places: Counter[Place] = field(default_factory=Counter)
    struck: bool = False

    @property
    def digest(self) -> str:
        """Two runs with the same digest were the same, in all that the story tells."""
        return _digest(self.trace)

    @property
    def outline(self) -> str:
        """Two runs with the same outline led everybody through the same states, for the same causes, at the
        same times. It does not depend on the words of frames and of the journal."""
        return _digest(self.moves)

    def story(self, about: Sequence[str] = ()) -> str:
        """The trace, or what of it concerns some people or sessions."""
        return "\n".join(line for line in self.trace if not about or any(it in line for it in about))


def _digest(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
