"""Folding: a rate limit for the log lines of one actor; the lines left out are counted.

A client that does the same thing in a loop would otherwise fill the disk. In each minute an actor may write
`FREE` lines. Beyond them the first line of each event is still written, then one line a second; the others
are folded. The actor's next written line carries the counts per event; if none follows, a separate line does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

from actors.rate import Budgets, Rate

FREE = 60
"""Lines of one actor that are always written, per `PERIOD_S`. A user in calls writes four lines a call; one
who skips as fast as possible writes about forty a minute. Search and cancel in a loop would write thirty a
second."""

PERIOD_S = 60.0

BEYOND = Rate(per_s=1.0, burst=1)
"""The rate of one actor's lines beyond the free ones."""

QUIET_S = 10.0
"""After this long without a line from the actor its loop has ended: a separate line gives the counts."""

ACTORS_MAX = 10_000
"""The number of actors whose folded lines are counted; beyond it the oldest counts are dropped."""

EVENTS_MAX = 16
"""Events of one actor that are counted separately; the texts of libraries may differ every time."""

OTHERS = "others"

Told = dict[str, dict[str, int] | int]
"""Fields for a line: `folded`, the count per event, and `folded_s`, the seconds that the counts cover."""

NOTHING: Told = {}


@dataclass(slots=True)
class _Loop:
    """The folded lines of one actor."""

    since: float
    last_at: float
    level: str
    events: dict[str, int] = field(default_factory=dict)

    def tell(self, now: float) -> Told:
        """Return the counts since the last call, and reset them."""
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
        self._lines: dict[str, int] = {}  # per actor in the present period
        self._period_ends_at = -inf
        self._loops: dict[str, _Loop] = {}
        self._look_at = 0.0

    def admit(self, level: str, actor: str, event: str, now: float) -> Told | None:
        """Return the fields to add to the line, mostly none; None if the line is folded."""
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
        """Fold a line beyond the limit, unless it is the first of its event."""
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
        """Level, actor and fields of a line for each loop that has ended."""
        if not self._loops or now < self._look_at:
            return []
        self._look_at = now + QUIET_S
        over = [(actor, loop) for actor, loop in list(self._loops.items()) if loop.last_at <= now - QUIET_S]
        for actor, _ in over:
            self._loops.pop(actor, None)
        return [(loop.level, actor, told) for actor, loop in over if (told := loop.tell(now))]
