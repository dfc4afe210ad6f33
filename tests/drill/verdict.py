"""What an attack did to the people beside it, and whether that is within the limits. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

WORSE_FACTOR, WORSE_MS = 2.0, 10.0
"""The 99th of the delays may be this many times the quiet one, and so many milliseconds more."""

STRETCH_MAX = 3.0
"""Of a server that shared its core with other programs: with less of it nothing can be said of delays."""

WELCOME_MAX_MS = 1000.0
"""Within which half of the newcomers are welcomed, or twice the quiet time if that is more."""

KEPT_MAX_BYTES = 16 * 2**20
"""How much more memory the server may hold after an attack than before it: what allocators keep of a rush. A
leak of a person a connection passes it within seconds, each time."""

LET_IN_SHARE = 0.9
"""Of the newcomers during an attack; one or two may be on their way when it ends."""


class Pace(NamedTuple):
    """How long things take, in milliseconds: a word to the partner, and a newcomer's way to the welcome."""

    median: float
    late: float
    """The 99th of a hundred words."""
    welcome: float
    """Of half of the newcomers who were let in; inf if nobody was."""
    late_welcome: float
    """Of nine in ten of them."""


@dataclass(frozen=True, slots=True)
class Noticed:
    """One attack; memory in bytes.

    `busy`: for what share of the time a core worked for the server. `stretch`: how many times as long it took
    for all that it did, because other programs had the cores; 1 if it never waited for one.
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
        """Whether the server had so much of a core that its delays are its own."""
        return self.stretch <= STRETCH_MAX

    def wrongs(self) -> list[str]:
        """What must not be, in words; empty if all is well, as far as it can be told."""
        return self.harm() + self.kept() + (self.late() if self.can_tell else [])

    def untold(self) -> list[str]:
        """What came too late where the machine is too busy to tell whose fault that is."""
        return [] if self.can_tell else self.late()

    def harm(self) -> list[str]:
        """What no machine does by being busy."""
        wrong = [f"a partner of the attack was {what} {times} times" for what, times in self.harmed.items()]
        if self.lost:
            wrong.append(f"{self.lost} people lost their call")
        if not sum(self.done.values()):
            wrong.append("the attack did nothing")
        return wrong

    def kept(self) -> list[str]:
        """The memory that did not come back. The first of such attacks may leave pieces for the next one."""
        kept = self.memory_after - self.memory_before
        return [f"the server kept {kept / 2**20:.0f} MiB"] if kept > KEPT_MAX_BYTES else []

    def late(self) -> list[str]:
        """What came too late, as it also may on a machine that is busy with other things."""
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
