"""How long a process ran on a core, and how long it waited for one, from /proc."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class CoreTime(NamedTuple):
    """The times of the first thread of a process since its start, in nanoseconds."""

    had: int
    waited: int

    def stretch_since(self, earlier: CoreTime) -> float:
        """How many times slower it was than on a dedicated core; 1 if it did nothing."""
        had = self.had - earlier.had
        return 1 + (self.waited - earlier.waited) / had if had else 1.0


def core_time(pid: int) -> CoreTime:
    """The times of process `pid`; zeros if the system does not provide them."""
    with suppress(OSError):
        had, waited, _ = (Path("/proc") / str(pid) / "schedstat").read_text().split()
        return CoreTime(int(had), int(waited))
    return CoreTime(0, 0)
