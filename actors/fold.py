"""Folding: of lines that one actor repeats without end, some are written and the others are counted.

Somebody who does the same thing in a loop would otherwise fill the disk. In each minute an actor has some
lines free, which costs a busy server next to nothing to count. Beyond them the first line of each event is
still written, then one a second, and the others are folded. How many, of which event, is told with the
actor's next line that is written, or, when nothing follows, in a line of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from actors.rate import Budgets, Rate

FREE = 60
"""Lines of one actor that are written in any case, in each `PERIOD_S`. Somebody in calls writes four a call;
somebody who skips as fast as they can look, some forty a minute. Search and cancel in a loop would be thirty
a second."""

PERIOD_S = 60.0

BEYOND = Rate(per_s=1.0, burst=1)
"""Lines of one actor beyond the free ones."""

QUIET_S = 10.0
"""An actor that wrote nothing for so long is over with it: what was folded is told in a line of its own."""

ACTORS_MAX = 10_000
"""Of how many actors folded lines are counted; beyond that the count of the oldest is dropped."""

EVENTS_MAX = 16
"""Events of one actor that are told apart; the texts of libraries may be different every time."""

OTHERS = "others"

Told = dict[str, dict[str, int] | int]
"""Fields for a line: `folded`, how many of which event, and `folded_s`, within how many seconds."""

NOTHING: Told = {}


@dataclass(slots=True)
class _Loop:
    """What one actor repeats."""

    since: float
    last_at: float
    level: str
    events: dict[str, int] = field(default_factory=dict)

    def tell(self, now: float) -> Told:
        """What was folded since it was last told; nothing of it is told again."""
        counts = {event: count for event, count in self.events.items() if count}
        told: Told = {"folded": counts, "folded_s": round(now - self.since)} if counts else {}
        self.since = now
        for event in counts:
            self.events[event] = 0
        return told


class Fold:
    """Decides which lines are written. `now` is any one clock, in seconds."""

    def __init__(self, free: int = FREE, beyond: Rate = BEYOND) -> None:
        self._free = free
        self._budgets: Budgets[str] = Budgets(beyond)
        self._lines: dict[str, int] = {}  # of each actor in the present period
        self._period_ends_at = -inf
        self._loops: dict[str, _Loop] = {}
        self._look_at = 0.0

    def admit(self, level: str, actor: str, event: str, now: float) -> Told | None:
        """None: the line is folded. Otherwise it is to be written, with these fields, mostly none."""
        if now >= self._period_ends_at:
            self._lines, self._period_ends_at = {}, now + PERIOD_S
        self._lines[actor] = lines = self._lines.get(actor, 0) + 1
        if lines <= self._free:
            return NOTHING if not self._loops else self._told_with(actor, now)
        if actor in self._loops and self._budgets.take(actor, now):
            return self._told_with(actor, now)
        return self._beyond(level, actor, event, now)

    def _told_with(self, actor: str, now: float) -> Told:
        loop = self._loops.get(actor)
        return NOTHING if loop is None else loop.tell(now)

    def _beyond(self, level: str, actor: str, event: str, now: float) -> Told | None:
        """A line too many, unless it is the first of its event."""
        loop = self._loops.get(actor)
        if loop is None:
            if len(self._loops) >= ACTORS_MAX:
                self._loops.pop(next(iter(self._loops)), None)
            loop = self._loops[actor] = _Loop(now, now, level)
        loop.last_at, loop.level = now, level
        if event not in loop.events:
            if len(loop.events) < EVENTS_MAX:
                loop.events[event] = 0
                return NOTHING
            event = OTHERS
        loop.events[event] = loop.events.get(event, 0) + 1
        return None

    def overdue(self, now: float) -> list[tuple[str, str, Told]]:
        """Level, actor and fields of the lines that tell of loops which have ended."""
        if not self._loops or now < self._look_at:
            return []
        self._look_at = now + QUIET_S
        over = [(actor, loop) for actor, loop in list(self._loops.items()) if loop.last_at <= now - QUIET_S]
        for actor, _ in over:
            self._loops.pop(actor, None)
        return [(loop.level, actor, told) for actor, loop in over if (told := loop.tell(now))]
