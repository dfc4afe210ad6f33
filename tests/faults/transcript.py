"""What one person saw of the server: every frame said and heard, every connection opened and closed.

A `Transcript` belongs to one person, which to the server is one browser tab: whoever starts afresh begins a
new one. It is written by whoever plays that person (`tests.faults.fleet`) and read by the auditor, who knows
nothing else of them. Times are `time.monotonic`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Frame = dict[str, Any]


class What(StrEnum):
    """What can be written down."""

    OPENED = "opened"
    SAID = "said"
    HEARD = "heard"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened on the `link`-th connection.

    `frame` is what was said or heard; `code` is how a connection closed: 1006 if it broke, None if this side
    gave it up.
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
    """Everything that `person` (the id) saw, in order. `criteria` are what they search for, always."""

    person: str
    criteria: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    links: int = 0

    def opened(self) -> int:
        """A connection is open, nothing said yet; gives its number, from 1."""
        self.links += 1
        self._add(self.links, What.OPENED)
        return self.links

    def said(self, link: int, frame: Frame) -> None:
        """`frame` is being sent; whether it arrives is another question."""
        self._add(link, What.SAID, frame)

    def heard(self, link: int, frame: Frame) -> None:
        """`frame` has come."""
        self._add(link, What.HEARD, frame)

    def closed(self, link: int, code: int | None) -> None:
        """The connection is over, for whatever reason."""
        self._add(link, What.CLOSED, code=code)

    def _add(self, link: int, what: What, frame: Frame | None = None, code: int | None = None) -> None:
        self.entries.append(Entry(time.monotonic(), link, what, frame or {}, code))

    def frames(self, what: What, kind: str) -> Iterator[Entry]:
        """The frames of one type that were said, or heard."""
        return (entry for entry in self.entries if entry.what is what and entry.frame["type"] == kind)

    def story(self) -> str:
        """Everything, a line each."""
        return "\n".join([f"{self.person} {self.criteria}", *(f"  {entry}" for entry in self.entries)])
