"""How many people are here, and how many of them search: kept as it changes, so that asking costs nothing.

The hall owns one `Census`. Each actor tells it when its person comes, moves, or loses the connection. People
without a connection count for a short time, so that one that is back after a second changes no count.
The time is handed in, in seconds of trio's clock.
"""

from __future__ import annotations

from studymatch.rules.protocol import Presence


class Census:
    """The people who count, by their ids. `away_s`: for how long people without a connection count."""

    def __init__(self, away_s: float) -> None:
        self._away_s = away_s
        self._searches: dict[str, bool] = {}  # of each who counts, whether they search
        self._searching = 0
        self._away_since: dict[str, float] = {}  # of those who count and are away; the longest first

    def here(self, person: str, *, searching: bool) -> None:
        """Somebody has come, or is back."""
        self._away_since.pop(person, None)
        self._put(person, searching)

    def moved(self, person: str, *, searching: bool) -> None:
        """The state of somebody has changed. People who do not count any more are left out still."""
        if person in self._searches:
            self._put(person, searching)

    def away(self, person: str, now: float) -> None:
        """Somebody has no connection, or is restored and has none yet."""
        self._searches.setdefault(person, False)
        self._away_since[person] = now

    def gone(self, person: str) -> None:
        """Nothing is left of somebody."""
        self._away_since.pop(person, None)
        self._searching -= self._searches.pop(person, False)

    def count(self, now: float) -> Presence:
        """How many there are."""
        self._forget(now)
        return Presence(online=len(self._searches), searching=self._searching)

    def _put(self, person: str, searching: bool) -> None:
        self._searching += searching - self._searches.get(person, False)
        self._searches[person] = searching

    def _forget(self, now: float) -> None:
        """Leave out people who have been away for `away_s`."""
        while self._away_since:
            person, since = next(iter(self._away_since.items()))
            if now < since + self._away_s:
                return
            self.gone(person)
