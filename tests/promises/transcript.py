"""The transcript of one person: every frame sent and received, every connection opened and closed.

A `Transcript` belongs to one person, which to the server is one browser tab; a new start begins a new one.
The simulated person (`tests.faults.fleet`) writes it, and the auditor reads it. Times are `time.monotonic`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Frame = dict[str, Any]


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
    this side gave it up.
    """

    at: float
    link: int
    what: What
    frame: Frame = field(default_factory=dict)
    code: int | None = None

    def __str__(self) -> str:
        told = f" {self.frame}" if self.frame else f" {self.code}" if self.what is What.CLOSED else ""
        return f"{self.at:.3f} #{self.link} {self.what}{told}"


@dataclass
class Transcript:
    """Everything that `person` (an id) saw, in order. They always search with `criteria`."""

    person: str
    criteria: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    links: int = 0

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
        self.entries.append(Entry(time.monotonic(), link, what, frame or {}, code))

    def frames(self, what: What, kind: str) -> Iterator[Entry]:
        """The frames of one type that were sent, or received."""
        return (entry for entry in self.entries if entry.what is what and entry.frame["type"] == kind)

    def story(self) -> str:
        """All entries, one line each."""
        return "\n".join([f"{self.person} {self.criteria}", *(f"  {entry}" for entry in self.entries)])
