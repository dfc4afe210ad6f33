"""Which seeds are played: for one commit the same on every machine, for another commit others."""

from __future__ import annotations

FIXED = 200
"""The number of seeds, from 0 on, that every test run plays."""

SPACE = 10**9
"""The number of seeds that a commit's are chosen from; small enough to type."""


def first_of(commit: str) -> int:
    """The first seed of a commit, from its hash in hexadecimal; never one of the fixed seeds."""
    return FIXED + int(commit, 16) % SPACE
