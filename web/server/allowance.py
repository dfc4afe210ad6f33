"""What one WebSocket may send: frames and bytes, counted before any of them is decoded.

Frames of every kind count, whole or partial, and so do their bytes, since neither number alone measures the
work that a client causes. Both draw on one bucket, which costs a connection two floats. The caller passes the
time; this module is pure.
"""

from __future__ import annotations

from math import inf

from web.server.limits import ServerLimits

FRAMES_A_TURN = 32
"""The weight of the frames of one client that are handled in a turn, which takes about 50 µs."""

OTHER_WEIGHT = 4
"""The weight of a frame that is not a whole text. Browsers send few of them, and each costs more."""

STRANGERS_WEIGHT = 16
"""The weight of such a frame before the user is known: the first frame of a browser is a text."""

NAP = 0.25
"""The part of a second's rate that must be available before a client that was too fast is read again. Reading
smaller pieces would cost more for each frame."""


class Allowance:
    """The budget of one connection.

    `over_since` is the time since which the client has exceeded it; inf if it has not, or if all that it had
    sent has been handled.
    """

    __slots__ = ("_frames", "_full_at", "_is_told", "_limits", "over_since")

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._frames = limits.frames
        self._full_at = -inf
        self.over_since = inf
        self._is_told = False

    def take_read(self, now: float, size: int) -> bool:
        """The most common case in one step: take one read of `size` bytes that is assumed to be one frame.

        Returns False, and takes nothing, if the client has exceeded its budget.
        """
        full_at = self._frames.take(self._full_at, now, 1.0 + size / self._limits.bytes_a_frame)
        if full_at is None or self.over_since != inf:
            return False
        self._full_at = full_at
        return True

    def charge(self, now: float, size: int) -> None:
        """Count `size` bytes that have been read already, even if they exceed the budget."""
        limits = self._limits
        if self._full_at <= now:
            self.over_since = inf
        self._full_at = max(self._full_at, now) + size / limits.bytes_a_frame / limits.frames.per_s

    def take(self, now: float, weight: float = 1.0) -> bool:
        """Take one more frame, or a part of one, of this weight. Returns whether it is within the budget."""
        full_at = self._frames.take(self._full_at, now, min(weight, self._frames.burst))
        if full_at is None:
            if self.over_since == inf:
                self.over_since = now
                self._is_told = False
            return False
        self._full_at = full_at
        return True

    def wait_s(self, now: float, weight: float = 1.0) -> float:
        """How many seconds from `now` to stop reading, if the next frame has this weight."""
        rate = self._frames
        return rate.wait_s(self._full_at, now, min(rate.burst, max(rate.per_s * NAP, weight)))

    @property
    def is_over(self) -> bool:
        """Whether the client has exceeded its budget, and some of what it sent still waits."""
        return self.over_since != inf

    def is_flood(self, now: float) -> bool:
        """Whether the client has exceeded its budget for `flood_limit_s`."""
        return now - self.over_since >= self._limits.flood_limit_s

    def is_to_be_told(self, now: float) -> bool:
        """Whether to tell the client now that it exceeds its budget. True once, and not at once.

        The delay spares clients on a slow network: what arrives in pieces is gathered in the meantime.
        """
        if self._is_told or now - self.over_since < self._limits.flood_limit_s / 4:
            return False
        self._is_told = True
        return True

    def worked_off(self) -> None:
        """Record that all data from the client have been handled."""
        self.over_since = inf
