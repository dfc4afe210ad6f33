"""The limit of file descriptors of this process, and how to raise it.

A server that runs out of descriptors cannot accept a connection, not even to refuse it; so it checks the
limit when it starts.
"""

from __future__ import annotations

import sys
from contextlib import suppress

RESERVED = 200
"""Descriptors reserved for other purposes than connections: database, listeners, logs, static files."""

MANY = 1_000_000
"""Used if the system sets no limit: Linux's default maximum for a process (fs.nr_open)."""

MOST_ON_MACOS = 10_240
"""What macOS always grants (OPEN_MAX)."""


def allow(needed: int | None = None) -> int | None:
    """Raise this process's limit of open files to `needed`, or as far as the system allows (None).

    Returns the resulting limit; None if the system has none (Windows).
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
            with suppress(ValueError, OSError):  # macOS has a limit that it does not report
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
                return limit
    return soft
