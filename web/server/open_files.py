"""How many files and sockets this process may open, and how to be allowed more.

A server that runs out of them can accept nobody, and has no way to say so; therefore it looks at the start.
"""

from __future__ import annotations

import sys
from contextlib import suppress

RESERVED = 200
"""Descriptors for everything that is no connection: database, listeners, logs, files being served."""

MANY = 1_000_000
"""Where the system sets no limit: a number that Linux lets a process have by default (fs.nr_open)."""

MOST_ON_MACOS = 10_240
"""What macOS always grants (OPEN_MAX)."""


def allow(needed: int | None = None) -> int | None:
    """Raise this process's limit of open files to `needed`, or as far as the system lets it (None).

    Returns the limit that holds then; None: the system sets none (Windows has no such thing).
    """
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    wanted = hard if needed is None else needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if wanted == resource.RLIM_INFINITY:
        wanted = MANY
    for limit in (wanted, min(wanted, MOST_ON_MACOS)):
        if soft < limit:
            with suppress(ValueError, OSError):  # macOS sets a limit that it does not tell
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                return limit
    return soft
