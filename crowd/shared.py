"""Interfaces that a visitor uses: what the visitors of one process share, a connection, and the states.

`worker.Worker` implements `Shared`, and `connection.Connection` implements `Line`.
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
"""The states of the protocol, and three more: disconnected by choice, connection lost, browser hangs."""


class Shared(Protocol):
    """What all visitors of one process share."""

    plan: Plan
    loop: Loop
    dialect: Dialect
    measures: Measures
    pairs: Pairs
    unsteady: set[str]
    """People who were not connected all the time, for any reason. Their partners are excused from checks."""
    pressing: bool
    """Whether idle visitors press *Find Partner*."""
    closing: bool
    """Whether the run is ending: calls go on, and nobody presses anything more."""

    def arrived(self) -> None:
        """A visitor has connected and received their state for the first time."""

    def gave_up(self) -> None:
        """The server refuses a visitor for good."""

    def connect(self, owner: Owner, number: int, *, deflate: bool) -> Line:
        """Begin to connect person `number`, and report the events to `owner`."""


class Line(Protocol):
    """A connection, as its owner uses it; see `connection.Connection`."""

    def send(self, payload: bytes) -> None: ...
    def freeze(self) -> None: ...
    def drop(self, goodbye: int | None = None) -> None: ...
