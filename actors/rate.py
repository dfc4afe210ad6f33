"""Rate limits: token buckets, for one key or for many.

A `Budget` belongs to one thing (a connection, a person), `Budgets` keeps a bucket for each key (an address).
Both use the generic cell rate algorithm, so a bucket is one float: the time at which it will be full again.
This module is pure: the caller passes the time, and nothing here waits or logs.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

KEYS_BEFORE_SWEEP = 1024
"""Below this many keys `Budgets` does not look for full buckets to forget."""

ROUNDING_S = 1e-6
"""The tolerance for float rounding: a burst of 200 allows 200, also when summed up from 1/30 s."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_s` a second in the long run, and `burst` at once.

    Raises:
        ValueError: one of the two is not a positive number.
    """

    per_s: float
    burst: float

    def __post_init__(self) -> None:
        if not (0 < self.per_s < inf and 0 < self.burst < inf):
            raise ValueError(f"a rate expects two positive numbers, got {self.per_s} and {self.burst}")

    def take(self, full_at: float, now: float, amount: float) -> float | None:
        """When a bucket that is full at `full_at` will be full after taking `amount`; None: not enough."""
        after = max(full_at, now) + amount / self.per_s
        return after if after - now <= self.burst / self.per_s + ROUNDING_S else None

    def wait_s(self, full_at: float, now: float, amount: float) -> float:
        """How many seconds from `now` until `amount` is there; inf if it is more than the bucket holds."""
        if amount > self.burst:
            return inf
        wait_s = max(full_at, now) + (amount - self.burst) / self.per_s - now
        return wait_s if wait_s > ROUNDING_S else 0.0


class Budget:
    """One bucket, full at the beginning. All times are seconds of one clock."""

    __slots__ = ("_full_at", "rate")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._full_at = -inf

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take `amount`, if that much is there; otherwise take nothing and return False."""
        full_at = self.rate.take(self._full_at, now, amount)
        if full_at is None:
            return False
        self._full_at = full_at
        return True

    def give(self, amount: float = 1.0) -> None:
        """Put `amount` back. A bucket never holds more than its burst."""
        self._full_at -= amount / self.rate.per_s

    def wait_s(self, now: float, amount: float = 1.0) -> float:
        """How many seconds from `now` until `amount` is there; inf if it is more than the bucket holds."""
        return self.rate.wait_s(self._full_at, now, amount)


class Budgets(Generic[K]):
    """A bucket for each key, all of the same rate; that of a new key is full.

    Full buckets are forgotten, so memory holds those used within the last `burst / per_s` seconds, or twice
    as many between two sweeps. To bound their number, ask one `Budget` for all keys together first.
    """

    __slots__ = ("_full_at", "_sweep_at", "rate")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._full_at: dict[K, float] = {}
        self._sweep_at = KEYS_BEFORE_SWEEP

    def __len__(self) -> int:
        """The number of buckets in memory."""
        return len(self._full_at)

    def __iter__(self) -> Iterator[K]:
        """The keys whose buckets are in memory."""
        return iter(self._full_at)

    def take(self, key: K, now: float, amount: float = 1.0) -> bool:
        """Take `amount` from the bucket of `key`, if that much is there; otherwise return False."""
        full_at = self.rate.take(self._full_at.get(key, -inf), now, amount)
        if full_at is None:
            return False
        self._full_at[key] = full_at
        if len(self._full_at) > self._sweep_at:
            self._sweep(now)
        return True

    def give(self, key: K, amount: float = 1.0) -> None:
        """Put `amount` back into the bucket of `key`."""
        if key in self._full_at:
            self._full_at[key] -= amount / self.rate.per_s

    def wait_s(self, key: K, now: float, amount: float = 1.0) -> float:
        """How many seconds from `now` until `key` has `amount`; inf if it is more than a bucket holds."""
        return self.rate.wait_s(self._full_at.get(key, -inf), now, amount)

    def _sweep(self, now: float) -> None:
        """Forget the full buckets. The next sweep comes when the number of buckets has doubled."""
        self._full_at = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        self._sweep_at = max(KEYS_BEFORE_SWEEP, 2 * len(self._full_at))
