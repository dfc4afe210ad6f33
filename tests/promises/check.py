"""The base class of the checks, and the kinds of evidence that a check may need."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from tests.promises.evidence import Evidence


class Needs(Enum):
    """Evidence beyond the transcripts, which not every user of the checks has."""

    ROWS = "every row of the table session"
    CRITERIA = "the criteria, which a person never changes"
    PINGS = "answered pings, on a clock that does not jump"
    NUMBERED_WORDS = "signals and chats that contain their sender, session and number"
    CORRECT_PAGES = "pages that send no wrong frame, and come back only a while after they have gone"
    LASTING_ACTORS = "actors that end only with their page or with the server"


class Check:
    """Checks one property; its name is that of the class.

    `promise` is the number of the promise in docs/protocol.md; 0: the protocol itself. A user of the checks
    runs those whose `needs` it has, see `checks.py`.
    """

    promise = 0
    needs: frozenset[Needs] = frozenset()

    def look(self, evidence: Evidence) -> Iterator[str]:
        """The violations, one sentence each."""
        raise NotImplementedError
