"""Counts the people who are here, and those who search. Reading the counts takes constant time.

The hall owns one `Census`. Each actor reports when its person comes, changes state, or loses the connection.
People without a connection count for a short time, so a short interruption changes no count. The caller
passes the time in seconds of trio's clock.
"""

from __future__ import annotations

from studymatch.rules.protocol import Presence


class Census:
    """The people who count, by their ids. `away_s`: for how long people without a connection count."""

    def __init__(self, away_s: float) -> None:
        self._away_s = away_s
        self._searches: dict[str, bool] = {}  # for each person who counts: whether they search
        self._searching = 0
        self._away_since: dict[str, float] = {}  # for those who count and are away; the longest first

    def here(self, person: str, *, searching: bool) -> None:
        """A person has come, or is back."""
        self._away_since.pop(person, None)
        self._put(person, searching)

    def moved(self, person: str, *, searching: bool) -> None:
        """The state of a person has changed. Ignored if they do not count any more."""
        if person in self._searches:
            self._put(person, searching)

    def away(self, person: str, now: float) -> None:
        """A person has lost their connection, or is restored and has none yet."""
        self._searches.setdefault(person, False)
        self._away_since[person] = now

    def gone(self, person: str) -> None:
        """The actor of a person has ended."""
        self._away_since.pop(person, None)
        self._searching -= self._searches.pop(person, False)

    def count(self, now: float) -> Presence:
        """The counts at the time `now`."""
        self._forget(now)
        return Presence(online=len(self._searches), searching=self._searching)

    def _put(self, person: str, searching: bool) -> None:
        self._searching += searching - self._searches.get(person, False)
        self._searches[person] = searching

    def _forget(self, now: float) -> None:
        """Remove people who have been away for `away_s`."""
        while self._away_since:
            person, since = next(iter(self._away_since.items()))
            if now < since + self._away_s:
                return
            self.gone(person)
