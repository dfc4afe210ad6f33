"""How much of a core a process had, and for how long it waited for one, as Linux tells it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class CoreTime(NamedTuple):
    """Of the first thread of a process, since it began, in nanoseconds."""

    had: int
    waited: int

    def stretch_since(self, earlier: CoreTime) -> float:
        """How many times as long everything took as on a core of its own; 1 where nothing was done."""
        had = self.had - earlier.had
        return 1 + (self.waited - earlier.waited) / had if had else 1.0


def core_time(pid: int) -> CoreTime:
    """That of process `pid`; zeros where the system does not tell."""
    with suppress(OSError):
        had, waited, _ = (Path("/proc") / str(pid) / "schedstat").read_text().split()
        return CoreTime(int(had), int(waited))
    return CoreTime(0, 0)
