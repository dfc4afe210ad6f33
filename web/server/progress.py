"""Limits how long a client may take to read the data that wait for it, by pauses and by average rate.

Otherwise a client that reads a byte now and then could make the server hold a megabyte without limit. Pure.
"""

from __future__ import annotations

from math import inf

from web.server.limits import ServerLimits


class Progress:
    """`deadline` is the time at which the client is too slow; inf while no data wait."""

    __slots__ = ("_limits", "deadline")

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self.deadline = inf

    def made(self, now: float, sent: int) -> None:
        """The client has read `sent` bytes, perhaps none, and data are left.

        Each byte extends the deadline by its time at `send_min_bytes_per_s`, up to `send_limit_s` from now.
        """
        limits = self._limits
        since = now if self.deadline == inf else self.deadline - limits.send_limit_s
        paid_until = min(now, since + sent / limits.send_min_bytes_per_s)
        self.deadline = max(since, paid_until) + limits.send_limit_s

    def done(self) -> None:
        """All data have been sent."""
        self.deadline = inf
