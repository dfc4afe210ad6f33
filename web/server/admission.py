"""Limits connections and requests, by address and in total, before the app sees them.

A client is counted under a key (`web.server.addresses.budget_key`); a client without a key has no limits.
Each address has a small budget of requests, and beyond it all addresses share one budget. So no client can
use up what new clients from other addresses need. The caller passes the time; this module is pure.
"""

from __future__ import annotations

from collections import Counter

from actors import Budget, Budgets
from web.server.limits import ServerLimits


class Admission:
    """The budgets of one server. Times are trio's clock, in seconds."""

    def __init__(self, limits: ServerLimits) -> None:
        self._max = limits.address_connections_max
        self._connections: Budgets[str] = Budgets(limits.address_connections)
        self._open: Counter[str] = Counter()
        self._share: Budgets[str] = Budgets(limits.address_requests)
        self._beyond = Budget(limits.requests)

    def __len__(self) -> int:
        """The number of open connections of clients with a key."""
        return self._open.total()

    def connects(self, key: str | None, now: float) -> bool:
        """Count an accepted connection. Returns whether it may stay; if so, call `disconnects` at its end."""
        if key is None:
            return True
        if self._open[key] >= self._max or not self._connections.take(key, now):
            return False
        self._open[key] += 1
        return True

    def disconnects(self, key: str | None) -> None:
        """Record that an admitted connection has ended."""
        if key is None:
            return
        self._open[key] -= 1
        if not self._open[key]:
            del self._open[key]

    def requests_s(self, key: str | None, now: float) -> float:
        """Count a request. Returns 0.0 if it is granted, else how many seconds the client should wait."""
        if key is None or self._share.take(key, now) or self._beyond.take(now):
            return 0.0
        return min(self._share.wait_s(key, now), self._beyond.wait_s(now))
