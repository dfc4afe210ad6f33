"""The evidence for the auditor: all transcripts, the rows of the database, and the server's settings.

This module only orders the data; it does not judge them. Times of transcripts are `time.monotonic`, those of
rows are Unix time; `Evidence.unix` converts the former to the latter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from tests.faults.transcript import Entry, Frame, Transcript, What

IN_SESSION = ("connecting", "connected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table ``session``."""

    id: str
    first: str
    second: str
    matched_at: float
    connected_at: float | None
    ended_at: float | None
    cause: str | None
    ended_by: str | None

    @property
    def people(self) -> tuple[str, str]:
        return self.first, self.second


@dataclass(frozen=True, slots=True)
class Rules:
    """With which settings the server ran, and how much a busy machine is forgiven. Seconds."""

    grace_s: float = 3.0
    apart_s: float = 2.0
    heartbeat_s: float = 2.0
    slack_s: float = 12.0
    """Longer than the longest stall of the proxy: what takes that much longer than it should is wrong."""
    clocks_s: float = 1.0
    """By how much two times may differ that were taken by different clocks, or a commit apart."""
    unwritten_s: float = 5.0
    """How long before a SIGKILL something may have happened that was not yet written down."""

    @property
    def silence_s(self) -> float:
        """After how much silence a browser counts as away."""
        return 2.5 * self.heartbeat_s


@dataclass(frozen=True, slots=True)
class Telling:
    """`person` was told `frame`, a snapshot."""

    person: str
    at: float
    link: int
    frame: Frame


@dataclass
class Evidence:
    """Everything there is. `kills`: when the server was killed by force; `wall`: Unix time less monotonic."""

    transcripts: list[Transcript]
    rows: list[Row]
    rules: Rules = field(default_factory=Rules)
    kills: list[float] = field(default_factory=list)
    wall: float = 0.0

    def unix(self, at: float) -> float:
        """A time of a transcript as a time of a row."""
        return at + self.wall

    @cached_property
    def of_person(self) -> dict[str, Transcript]:
        """The transcripts, by the person's id."""
        return {transcript.person: transcript for transcript in self.transcripts}

    @cached_property
    def row(self) -> dict[str, Row]:
        """The rows, by the session's id."""
        return {row.id: row for row in self.rows}

    @cached_property
    def rows_of(self) -> dict[str, list[Row]]:
        """The rows of each person, oldest first."""
        found = defaultdict(list)
        for row in sorted(self.rows, key=lambda row: row.matched_at):
            for person in row.people:
                found[person].append(row)
        return found

    @cached_property
    def told(self) -> dict[str, list[Telling]]:
        """What everybody was told of each session, by its id."""
        found = defaultdict(list)
        for transcript in self.transcripts:
            for telling in tellings(transcript):
                if telling.frame["session"] is not None:
                    found[telling.frame["session"]].append(telling)
        return found

    def was_cut_by_a_kill(self, session: str) -> bool:
        """Whether the server was killed so soon after somebody heard of it that it may be unknown."""
        first = min(telling.at for telling in self.told[session])
        return any(kill - self.rules.unwritten_s < first < kill + self.rules.slack_s for kill in self.kills)

    def killed_between(self, begin: float, end: float) -> bool:
        """Whether the server was killed between two times of a transcript."""
        return any(begin < kill < end for kill in self.kills)


def tellings(transcript: Transcript) -> Iterator[Telling]:
    """All snapshots that a person was told, in order."""
    for entry in transcript.frames(What.HEARD, "state"):
        yield Telling(transcript.person, entry.at, entry.link, entry.frame)


def answered_pings(transcript: Transcript) -> Iterator[tuple[float, Entry]]:
    """For each pong when its ping was said, and the pong: the server answered at that time or later."""
    pings: defaultdict[int, list[float]] = defaultdict(list)
    for entry in transcript.entries:
        match entry.what, entry.frame.get("type"):
            case What.SAID, "ping":
                pings[entry.link].append(entry.at)
            case What.HEARD, "pong" if pings[entry.link]:
                yield pings[entry.link].pop(0), entry


def fits(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two criteria agree where both say something."""
    return all(other.get(name, value) == value for name, value in one.items())


def gone_since(transcript: Transcript, at: float) -> float | None:
    """Since when a person had no connection at all at the time `at`; None: they had one, or never had."""
    is_open: set[int] = set()
    since = None
    for entry in transcript.entries:
        if entry.at > at:
            break
        match entry.what:
            case What.OPENED:
                is_open.add(entry.link)
            case What.CLOSED:
                is_open.discard(entry.link)
                since = entry.at
    return None if is_open else since
