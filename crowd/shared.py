"""What surrounds a visitor: what all of one process have in common, the line to the server, and the states.

Protocols and names only; `worker` has the world, and `connection` the line.
"""

from __future__ import annotations

from typing import Protocol

from crowd.connection import Owner
from crowd.dialect import Dialect
from crowd.loop import Loop
from crowd.measures import Measures
from crowd.pairs import Pairs
from crowd.plan import Plan

OUTSIDE, LOST, IDLE, SEARCHING, CONNECTING, CONNECTED, ENDED, FROZEN = (
    "outside",
    "lost",
    "idle",
    "searching",
    "connecting",
    "connected",
    "ended",
    "frozen",
)


"""The states of the protocol, and three more: gone by their own doing, connection lost, browser hangs."""


class Shared(Protocol):
    """What the visitors of one process have in common."""

    plan: Plan
    loop: Loop
    dialect: Dialect
    measures: Measures
    pairs: Pairs
    unsteady: set[str]
    """Who was not there all the time, by their own doing or not: nothing is promised to their partners."""
    pressing: bool
    """Whether whoever is idle looks for a partner."""
    closing: bool
    """Whether calls go on to the end of the run, and nobody presses anything more."""

    def arrived(self) -> None:
        """Somebody is there for the first time: connected, and told where they are."""

    def gave_up(self) -> None:
        """Somebody will never be there: the server does not want them."""

    def connect(self, owner: Owner, number: int, *, deflate: bool) -> Line:
        """Begin to connect person `number`, who will be told how it goes."""


class Line(Protocol):
    """A connection, seen from whose it is: `connection.Connection` says what each does."""

    def send(self, payload: bytes) -> None: ...
    def freeze(self) -> None: ...
    def drop(self, goodbye: int | None = None) -> None: ...
