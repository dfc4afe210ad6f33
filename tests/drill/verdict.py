"""The effects of an attack on other people, and whether they are within the limits. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

WORSE_FACTOR, WORSE_MS = 2.0, 10.0
"""The limit of the delays' 99th percentile: this factor times the quiet one, plus these milliseconds."""

STRETCH_MAX = 3.0
"""The largest slowdown by other programs on the machine with which delays can be judged."""

WELCOME_MAX_MS = 1000.0
"""The limit of the newcomers' median time to the welcome, or twice the quiet time if that is more."""

KEPT_MAX_BYTES = 16 * 2**20
"""How much more memory the server may hold after an attack than before, because allocators keep some of it. A
leak of one person per connection exceeds it within seconds, each time."""

LET_IN_SHARE = 0.9
"""The share of newcomers that must be accepted; one or two may still be connecting when the attack ends."""


class Pace(NamedTuple):
    """Delays in milliseconds: of a message to the partner, and of a newcomer's welcome."""

    median: float
    late: float
    """The 99th percentile of the messages."""
    welcome: float
    """The median of the accepted newcomers; inf if there were none."""
    late_welcome: float
    """Their 90th percentile."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """One attack; memory in bytes.

    `busy`: the share of the time in which the server ran on a core. `stretch`: how many times slower it was
    because other programs used the cores; 1 if it never waited for one.
    """

    attack: str
    quiet: Pace
    during: Pace
    lost: int
    came: int
    let_in: int
    met: int
    memory_before: int
    memory_most: int
    memory_after: int
    harmed: dict[str, int]
    done: dict[str, int]
    busy: float
    stretch: float

    @property
    def can_tell(self) -> bool:
        """Whether the server had enough of a core for its delays to be judged."""
        return self.stretch <= STRETCH_MAX

    def wrongs(self) -> list[str]:
        """The violations, as text; empty if there are none, as far as they can be judged."""
        return self.harm() + self.kept() + (self.late() if self.can_tell else [])

    def untold(self) -> list[str]:
        """Delays beyond the limit on a machine that is too busy to judge them."""
        return [] if self.can_tell else self.late()

    def harm(self) -> list[str]:
        """Violations that a busy machine cannot cause."""
        wrong = [f"a partner of the attack was {what} {times} times" for what, times in self.harmed.items()]
        if self.lost:
            wrong.append(f"{self.lost} people lost their call")
        if not sum(self.done.values()):
            wrong.append("the attack did nothing")
        return wrong

    def kept(self) -> list[str]:
        """The memory that was not freed. After a first attack the allocator may keep some for the next."""
        kept = self.memory_after - self.memory_before
        return [f"the server kept {kept / 2**20:.0f} MiB"] if kept > KEPT_MAX_BYTES else []

    def late(self) -> list[str]:
        """Delays beyond the limit, which a busy machine may also cause."""
        limit_ms = self.stretch * (WORSE_FACTOR * self.quiet.late + WORSE_MS)
        welcome_ms = self.stretch * max(WELCOME_MAX_MS, WORSE_FACTOR * self.quiet.welcome)
        wrong = []
        if self.during.late > limit_ms:
            wrong.append(f"the 99th of the delays was {self.during.late:.1f} ms, the limit {limit_ms:.1f}")
        if self.let_in < LET_IN_SHARE * (self.came - 2):
            wrong.append(f"of {self.came} newcomers {self.let_in} were let in")
        if self.during.welcome > welcome_ms:
            wrong.append(f"newcomers waited {self.during.welcome:.0f} ms for their welcome")
        return wrong


HEADINGS = (
    f"{'':14} {'quiet, ms':>14} {'during, ms':>15} {'calls':>5} {'newcomers':>15} {'welcome, ms':>17}"
    f" {'memory, MiB':>20}",
    f"{'attack':14} {'median  99th':>14} {'median   99th':>15} {'lost':>5} {'came let in met':>15}"
    f" {'quiet during 9/10':>17} {'before   most  after':>20}",
)


def row(noticed: Noticed) -> str:
    """One line of the table under `HEADINGS`."""
    quiet, during = noticed.quiet, noticed.during
    memory = (noticed.memory_before, noticed.memory_most, noticed.memory_after)
    return " ".join(
        (
            f"{noticed.attack:14} {quiet.median:8.1f} {quiet.late:5.1f} {during.median:8.1f}",
            f"{during.late:6.1f} {noticed.lost:5d} {noticed.came:4d} {noticed.let_in:6d} {noticed.met:3d}",
            f"{quiet.welcome:5.0f} {during.welcome:6.0f} {during.late_welcome:4.0f}",
            *(f"{size / 2**20:6.0f}" for size in memory),
        )
    )
