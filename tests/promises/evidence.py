"""The evidence for the checks: all transcripts, the rows of the database, and the server's settings.

This module only orders the data; it does not judge them. Times of transcripts may be of another clock than
those of rows; `Evidence.unix` converts the former to the latter.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tests.promises.transcript import Entry, Frame, Transcript, What

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

    @classmethod
    def of(cls, session: str, row: Any) -> Row:
        """The row of a session, from an object with the other columns as attributes."""
        return cls(
            id=session,
            first=row.first,
            second=row.second,
            matched_at=row.matched_at,
            connected_at=row.connected_at,
            ended_at=row.ended_at,
            cause=row.cause,
            ended_by=row.ended_by,
        )

    @property
    def people(self) -> tuple[str, str]:
        return self.first, self.second


@dataclass(frozen=True, slots=True)
class Rules:
    """The server's settings, and the tolerances for a busy machine, in seconds."""

    grace_s: float = 3.0
    apart_s: float = 2.0
    heartbeat_s: float = 2.0
    search_again_s: float = 0.2
    slack_s: float = 12.0
    """The tolerance for delays: longer than the longest stall of the proxy."""
    clocks_s: float = 1.0
    """The tolerance between times of different clocks, or before and after a commit."""
    unwritten_s: float = 5.0
    """Events in this time before a SIGKILL may be missing in the database."""

    @property
    def silence_s(self) -> float:
        """The silence after which a browser counts as away."""
        return 2.5 * self.heartbeat_s


@dataclass(frozen=True, slots=True)
class Telling:
    """`person` received `frame`, a state frame. `order` is that of its entry."""

    person: str
    at: float
    link: int
    frame: Frame
    order: int


@dataclass(frozen=True, slots=True)
class Searched:
    """One search that led to a match.

    `began`: when it began, in Unix time. `waited_s`: how long the person had waited at its end, together with
    the searches before it whose matches failed.
    """

    began: float
    waited_s: float


@dataclass
class Evidence:
    """All evidence.

    `kills`: the times of SIGKILLs to the server; `stops`: the times at which it ended and handed nothing
    over, but lost no record; `wall`: Unix time minus the time of transcripts.

    Only the simulator knows the last three. `taken`: the numbers of the words that the server accepted, in
    the order in which it did, by session and sender. `searches`: the search that led to a match, by person
    and session, for each match that the person's actor learned of. `arrived`: when each person got an actor
    that knows nothing of an earlier one. Without them, the checks derive all three from transcripts and rows.
    """

    transcripts: list[Transcript]
    rows: list[Row]
    rules: Rules = field(default_factory=Rules)
    kills: list[float] = field(default_factory=list)
    stops: list[float] = field(default_factory=list)
    wall: float = 0.0
    taken: dict[tuple[str, str], list[int]] | None = None
    searches: dict[tuple[str, str], Searched] | None = None
    arrived: dict[str, list[float]] | None = None

    def unix(self, at: float) -> float:
        """Convert a time of a transcript to Unix time."""
        return at + self.wall

    @cached_property
    def lives(self) -> dict[str, list[Transcript]]:
        """The transcripts of each person: one for each of their pages."""
        found = defaultdict(list)
        for transcript in self.transcripts:
            found[transcript.person].append(transcript)
        return dict(found)

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
        """The state frames about each session, by its id."""
        found = defaultdict(list)
        for transcript in self.transcripts:
            for telling in tellings(transcript):
                if telling.frame["session"] is not None:
                    found[telling.frame["session"]].append(telling)
        return found

    @cached_property
    def mentioned(self) -> dict[str, tuple[float, str]]:
        """When a person first received a frame about each session, and who."""
        found: dict[str, tuple[float, str]] = {}
        for transcript in self.transcripts:
            for entry in transcript.entries:
                session = entry.frame.get("session") if entry.what is What.HEARD else None
                if session is not None:
                    first = entry.at, transcript.person
                    found[session] = min(found.get(session, first), first)
        return found

    def learned(self, person: str, session: str) -> bool:
        """Whether a person's actor learned of a match. Without `searches`: whether their page was told."""
        if self.searches is not None:
            return (person, session) in self.searches
        return any(telling.person == person for telling in self.told.get(session, ()))

    def search_began(self, person: str, row: Row) -> float:
        """The Unix time at which a person began the search that led to a match, or a time before that.

        If the beginning is unknown, it is the end of the last session before `row` that they learned of.
        """
        if self.searches is not None and (person, row.id) in self.searches:
            return self.searches[person, row.id].began
        ends = [
            former.ended_at
            for former in self.rows_of[person]
            if former.matched_at < row.matched_at and self.learned(person, former.id)
        ]
        return max((end for end in ends if end is not None), default=0.0)

    def arrived_between(self, person: str, begin: float, end: float) -> bool:
        """Whether a person got an actor that knows nothing, between two times of a transcript."""
        if self.arrived is not None:
            slack_s = self.rules.clocks_s
            return any(begin - slack_s <= at <= end + slack_s for at in self.arrived.get(person, ()))
        return any(
            begin <= entry.at <= end + self.rules.slack_s and not entry.frame["resumed"]
            for transcript in self.lives.get(person, ())
            for entry in transcript.frames(What.HEARD, "welcome")
        )

    def was_cut_by_a_kill(self, session: str) -> bool:
        """Whether a kill so soon after a session's first frame may have lost its record."""
        first, _ = self.mentioned[session]
        return any(kill - self.rules.unwritten_s < first < kill + self.rules.slack_s for kill in self.kills)

    def forgot_between(self, begin: float, end: float) -> bool:
        """Whether the server ended between two times of a transcript, and handed nothing over."""
        return any(begin < at < end for at in (*self.kills, *self.stops))


def tellings(transcript: Transcript) -> Iterator[Telling]:
    """All state frames that a page received, in order."""
    for entry in transcript.frames(What.HEARD, "state"):
        yield Telling(transcript.person, entry.at, entry.link, entry.frame, entry.order)


def in_order(transcripts: list[Transcript]) -> list[Entry]:
    """The entries of several pages of one person, in order."""
    entries = [entry for transcript in transcripts for entry in transcript.entries]
    return sorted(entries, key=lambda entry: (entry.at, entry.order))


def answered_pings(transcript: Transcript) -> Iterator[tuple[float, Entry]]:
    """For each pong the time of its ping, and the pong. The server answered at that time or later."""
    pings: defaultdict[int, list[float]] = defaultdict(list)
    for entry in transcript.entries:
        match entry.what, entry.frame.get("type"):
            case What.SAID, "ping":
                pings[entry.link].append(entry.at)
            case What.HEARD, "pong" if pings[entry.link]:
                yield pings[entry.link].pop(0), entry


def payload_of(entry: Entry, what: What) -> Frame | None:
    """What a simulated person said, if the entry is a signal or chat of this direction.

    It has the sender (`by`), the session (`in`) and a number that rises in the session (`n`).
    """
    if entry.what is not what:
        return None
    match entry.frame["type"]:
        case "signal":
            data: Frame = entry.frame["data"]
            return data
        case "chat":
            text: Frame = json.loads(entry.frame["text"])
            return text
    return None


def fits(one: dict[str, str], other: dict[str, str]) -> bool:
    """Whether two criteria agree in all keys that both have."""
    return all(other.get(name, value) == value for name, value in one.items())


def gone_since(entries: list[Entry], at: float) -> float | None:
    """Since when a person has had no connection at the time `at`; None: they had one, or never had any."""
    is_open = 0
    since = None
    for entry in entries:
        if entry.at > at:
            break
        match entry.what:
            case What.OPENED:
                is_open += 1
            case What.CLOSED:
                is_open -= 1
                since = entry.at
    return None if is_open else since
