"""The budget for frames that a page sends in answer to its partner. They do not count against its own rate.

A page answers what its partner sends, and begins each call with a dozen signals. If those frames counted
against the page's own rate, a partner who stays within all limits could make the server close the page's
connection. So each signal or text of the partner, and each match, adds to the number of answers allowed.
Answers have a rate of their own, because two pages that answer each other's answers would speed up without
limit. Answers beyond that rate are refused, and the connection stays open. This module is pure.
"""

from __future__ import annotations

from actors import Budget, Rate

A_WORD, A_MATCH = 2, 60
"""Answers allowed for one signal or text, and for a match: offer or answer, candidates, and one restart."""

DUE_MAX = 1000
"""The most answers allowed at a time: two bursts of the partner, and the beginning of a call."""


class Answers:
    """The answers of one person in their present session, at most at `rate`."""

    __slots__ = ("_budget", "_rate", "due")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._budget = Budget(rate)
        self.due = 0

    def matched(self) -> None:
        """A session begins: reset the count, and allow the first answers."""
        self._budget = Budget(self._rate)
        self.due = A_MATCH

    def heard(self) -> None:
        """The partner sent a signal or text."""
        self.due = min(self.due + A_WORD, DUE_MAX)

    def take(self, now: float) -> bool:
        """Count one answer. Returns whether it is within the rate."""
        self.due -= 1
        return self._budget.take(now)
