"""Counts the matches that people leave before they become calls, and makes those people wait longer.

A match that ends before media flow has wasted a partner's time, however it ended: a skip, an end, a failure,
a page that was closed or reloaded, a cancel at the moment of the match. All of these break the link between
two doors, so `studymatch.pairing` counts them there: once, for the person who broke it, never for the other,
and not at all if the other was away or did not answer. A burst is free. Beyond it each further match doubles
the wait, up to a limit. The count falls with time, and with each match that becomes a call. A new guest has
no count yet, so addresses are counted too; that count delays only people who have not been in a call. The
counts of people, not those of addresses, survive a restart. The caller passes the time; memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest
from math import ceil, log2

from msgspec import Struct

from actors import Budgets, Rate
from studymatch.settings import LimitSettings

CALL_FORGIVES = 2.0
"""Matches by which a call lowers the count of an address, for each of its two people."""

TINY = 1e-6
"""Tolerance for sums of floats."""

SAVED_MAX = 10_000
"""The most debts that are saved over a restart: those with the longest waits."""


class Debt(Struct, frozen=True):
    """The count of one person: `left` matches left recently, and another `wait_s` seconds to wait for
    them."""

    person: str
    left: float
    wait_s: float


class Debts:
    """By key, how many matches were left recently, and how long the key has to wait because of them.

    `free` of them cost nothing, and the count falls by `per_s` a second. The first one beyond that costs a
    wait of `first_s` seconds, each further one twice as many, at most `most_s`.
    """

    def __init__(self, free: float, per_s: float, first_s: float, most_s: float) -> None:
        self._free = free
        self._first_s = first_s
        self._most_s = most_s
        levels = 1 + max(0, ceil(log2(most_s / first_s)))
        self._left: Budgets[str] = Budgets(Rate(per_s, free + levels))
        self._waits: Budgets[str] = Budgets(Rate(1.0, most_s))  # tokens: seconds that need no waiting

    def add(self, key: str, now: float) -> None:
        """Count one more match that was left."""
        self._left.take(key, now)
        rate = self._left.rate
        level = ceil(self._left.wait_s(key, now, rate.burst) * rate.per_s - self._free - TINY)
        if level > 0:
            wait_s = min(self._most_s, self._first_s * 2 ** (level - 1))
            self._waits.take(key, now, max(0.0, wait_s - self.wait_s(key, now)))

    def saved(self, now: float) -> list[Debt]:
        """The counts above zero at `now`, of at most `SAVED_MAX` keys."""
        burst, per_s = self._left.rate.burst, self._left.rate.per_s
        all_of_them = (
            Debt(key, self._left.wait_s(key, now, burst) * per_s, self.wait_s(key, now)) for key in self._left
        )
        open_ones = (debt for debt in all_of_them if debt.left > 0)
        return nlargest(SAVED_MAX, open_ones, key=lambda debt: (debt.wait_s, debt.left))

    def restore(self, debt: Debt, now: float) -> None:
        """Restore a saved count, within the limits of the buckets."""
        self._left.take(debt.person, now, min(max(0.0, debt.left), self._left.rate.burst))
        self._waits.take(debt.person, now, min(max(0.0, debt.wait_s), self._most_s))

    def forgive(self, key: str, amount: float) -> None:
        """Lower the count by `amount`. A wait that has begun does not change."""
        self._left.give(key, amount)

    def wait_s(self, key: str, now: float) -> float:
        """How many seconds from `now` the key has to wait."""
        return self._waits.wait_s(key, now, self._most_s)


class Patience:
    """Counts the matches that were left, by person and by address.

    It follows each match from when it is made (`matched`) until it becomes a call (`came_about`) or ends
    (`over`).
    """

    def __init__(self, settings: LimitSettings) -> None:
        first_s, most_s = settings.skip_wait_s, settings.skip_wait_max_s
        self._by_person = Debts(settings.skips_burst, settings.skips_per_s, first_s, most_s)
        self._by_address = Debts(settings.address_skips_burst, settings.address_skips_per_s, first_s, most_s)
        self._pardons: Budgets[str] = Budgets(
            Rate(CALL_FORGIVES * settings.address_skips_per_s, settings.address_skips_burst)
        )
        self._open: dict[str, tuple[str, str]] = {}
        self._addresses: dict[str, str | None] = {}
        self._proven: set[str] = set()

    def here(self, person: str, address: str | None) -> None:
        """The person is connected from `address`."""
        self._addresses[person] = address

    def gone(self, person: str) -> None:
        """The person has left. Their count and their wait stay."""
        self._addresses.pop(person, None)
        self._proven.discard(person)

    def address_of(self, person: str) -> str | None:
        """The address of the person; None: it is unknown, or not counted."""
        return self._addresses.get(person)

    def matched(self, session: str, first: str, second: str) -> None:
        """Two people were matched."""
        self._open[session] = (first, second)

    def came_about(self, session: str, now: float) -> None:
        """A match has become a call."""
        for person in self._open.pop(session, ()):
            if person not in self._addresses:
                continue
            self._proven.add(person)
            self._by_person.forgive(person, 1.0)
            address = self._addresses[person]
            if address is not None and self._pardons.take(address, now):
                self._by_address.forgive(address, CALL_FORGIVES)

    def over(self, session: str, by: tuple[str, ...], now: float) -> None:
        """A session is over. If it did not become a call, it counts against the people in `by`."""
        if self._open.pop(session, None) is None:
            return
        for person in by:
            self._by_person.add(person, now)
            address = self._addresses.get(person)
            if address is not None:
                self._by_address.add(address, now)

    def debts(self, now: float) -> tuple[Debt, ...]:
        """The counts of people, to `restore` after a restart."""
        return tuple(self._by_person.saved(now))

    def restore(self, debts: Iterable[Debt], now: float) -> None:
        """Restore counts saved before a restart. Call it before any other method."""
        for debt in debts:
            self._by_person.restore(debt, now)

    def wait_s(self, person: str, now: float) -> float:
        """How long the person has to wait because of the matches that they left."""
        return self._by_person.wait_s(person, now)

    def network_wait_s(self, person: str, now: float) -> float:
        """How long the person has to wait because of their address; 0 if they have been in a call."""
        address = self._addresses.get(person)
        if address is None or person in self._proven:
            return 0.0
        return self._by_address.wait_s(address, now)
