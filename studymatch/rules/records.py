"""What is recorded of people and sessions, and how a run of records becomes rows: pure, and repeatable.

Records say what happened, in the order in which it happened, on trio's clock. `fold` brings a run of them
down to rows: one for each person and each session that occurs, however often it occurs. It decides nothing
that depends on what the database holds, so the same records can be folded again, in other portions, and
writing the rows again changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from msgspec import Struct

from studymatch.rules.lifecycle import SessionCause

DONE_BY_SOMEBODY = frozenset(
    {SessionCause.SKIPPED, SessionCause.ENDED, SessionCause.LOST, SessionCause.CONNECT_FAILED}
)
"""The causes for which a session's end is somebody's doing; migration 1 holds the same set."""


class PersonArrived(Struct, frozen=True, tag=True):
    """A person came. Only spill files of earlier versions hold it, since anybody can create any number of
    guests."""

    person: str
    name: str
    at: float


class SessionMatched(Struct, frozen=True, tag=True):
    """Two people were matched. `session` is an id that was made for this pairing; `at` is trio's clock, as in
    every record.

    Rows of people are made from the names, in the same transaction. In older spill files they are None.
    """

    session: str
    first: str
    second: str
    at: float
    first_name: str | None = None
    second_name: str | None = None


class SessionConnected(Struct, frozen=True, tag=True):
    """Media flows on both sides of a session."""

    session: str
    at: float


class SessionEnded(Struct, frozen=True, tag=True):
    """A session is over. `by` is the person who recorded it, and counts where the cause is their doing."""

    session: str
    cause: SessionCause
    by: str | None
    at: float


LedgerMessage: TypeAlias = PersonArrived | SessionMatched | SessionConnected | SessionEnded


@dataclass(frozen=True, slots=True)
class Node:
    """One life of a server process: `id` is a new UUID for each life.

    `home` is the UUID of its data folder, which all lives in that folder share, and `former` the id of an
    earlier life that has certainly ended, or None. `name` is for people and identifies nothing: cloned
    machines and containers share it.
    """

    id: str
    name: str
    home: str | None = None
    former: str | None = None


class Entry(Struct, frozen=True):
    """A record, and the id of the node that it happened on."""

    node: str
    record: LedgerMessage


@dataclass(slots=True)
class PersonRow:
    """What a run of records says of one person. `first_seen_at` is trio's clock."""

    id: str
    name: str
    first_seen_at: float


@dataclass(slots=True)
class SessionRow:
    """What a run of records says of one session. Times are trio's clock; None: the run does not say."""

    id: str
    node: str
    first: str | None = None
    second: str | None = None
    matched_at: float | None = None
    connected_at: float | None = None
    ended_at: float | None = None
    cause: str | None = None
    ended_by: str | None = None


@dataclass(slots=True)
class Rows:
    """What a run of records says, by id, in the order of first mention."""

    people: dict[str, PersonRow] = field(default_factory=dict)
    sessions: dict[str, SessionRow] = field(default_factory=dict)

    def add_person(self, person: str, name: str | None, at: float) -> None:
        """Add a row for a person, unless the record gives no name or the person has a row."""
        if name is not None:
            self.people.setdefault(person, PersonRow(person, name, at))


def fold(entries: Iterable[Entry]) -> Rows:
    """Bring records down to rows.

    What was said first stands: a second end, or a connection after the end, is not news. (So it is in the
    database too, which counts where the two are in different runs.)
    """
    rows = Rows()
    for entry in entries:
        match entry.record:
            case PersonArrived(person, name, at):
                rows.add_person(person, name, at)
            case SessionMatched(session, first, second, at, first_name, second_name):
                rows.add_person(first, first_name, at)
                rows.add_person(second, second_name, at)
                row = rows.sessions.setdefault(session, SessionRow(session, entry.node))
                if row.matched_at is None:
                    row.first, row.second, row.matched_at = first, second, at
            case SessionConnected(session, at):
                row = rows.sessions.setdefault(session, SessionRow(session, entry.node))
                if row.connected_at is None and row.ended_at is None:
                    row.connected_at = at
            case SessionEnded(session, cause, by, at):
                row = rows.sessions.setdefault(session, SessionRow(session, entry.node))
                if row.ended_at is None:
                    row.ended_at, row.cause = at, cause.value
                    row.ended_by = by if cause in DONE_BY_SOMEBODY else None
            case other:
                assert_never(other)
    return rows
