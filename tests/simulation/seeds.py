"""Which seeds are played: the same for one commit on every machine, others for the next."""

from __future__ import annotations

FIXED = 200
"""The seeds from 0 on that every test run plays."""

SPACE = 10**9
"""The seeds that a commit may draw: few enough digits to be typed."""


def first_of(commit: str) -> int:
    """The first of the seeds that belong to a commit, by its hash in hexadecimal; none of the fixed ones."""
    return FIXED + int(commit, 16) % SPACE
