"""The transcript of one page: every frame sent and received, every connection opened and closed.

This is the one format in which the simulator, the fleet and the crowd's test record what people saw. A
`Transcript` belongs to one page of one person: a new start begins a new one. The simulated person writes it,
and the checks of the promises read it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any

Frame = dict[str, Any]

_orders = count(1)


class What(StrEnum):
    """The kinds of entries."""

    OPENED = "opened"
    SAID = "said"
    HEARD = "heard"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event on the `link`-th connection.

    `frame` is the frame sent or received; `code` is the close code: 1006 if the connection broke, None if
    this side gave it up. `order` rises with each entry of the process.
    """

    at: float
    link: int
    what: What
    frame: Frame = field(default_factory=dict)
    code: int | None = None
    order: int = field(default_factory=lambda: next(_orders), compare=False)

    def __str__(self) -> str:
        told = f" {self.frame}" if self.frame else f" {self.code}" if self.what is What.CLOSED else ""
        return f"{self.at:.3f} #{self.link} {self.what}{told}"


@dataclass
class Transcript:
    """Everything that a page of `person` (an id) saw, in order. They always search with `criteria`."""

    person: str
    criteria: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    links: int = 0
    clock: Callable[[], float] = time.monotonic

    def opened(self) -> int:
        """Record a new connection; returns its number, counted from 1."""
        self.links += 1
        self._add(self.links, What.OPENED)
        return self.links

    def said(self, link: int, frame: Frame) -> None:
        """Record that `frame` is being sent; it may not arrive."""
        self._add(link, What.SAID, frame)

    def heard(self, link: int, frame: Frame) -> None:
        """Record that `frame` has been received."""
        self._add(link, What.HEARD, frame)

    def closed(self, link: int, code: int | None) -> None:
        """Record that the connection has ended, for any reason."""
        self._add(link, What.CLOSED, code=code)

    def _add(self, link: int, what: What, frame: Frame | None = None, code: int | None = None) -> None:
        self.entries.append(Entry(self.clock(), link, what, frame or {}, code))

    def frames(self, what: What, kind: str) -> Iterator[Entry]:
        """The frames of one type that were sent, or received."""
        return (entry for entry in self.entries if entry.what is what and entry.frame["type"] == kind)

    def story(self) -> str:
        """All entries, one line each."""
        return "\n".join([f"{self.person} {self.criteria}", *(f"  {entry}" for entry in self.entries)])
