"""The records of people and sessions, and `fold`, which turns a sequence of records into rows. Pure.

Records are in the order in which things happened, with times of trio's clock. `fold` makes one row for each
person and each session in them. It never depends on the content of the database, so the same records can be
folded again, in other batches, and writing the rows again changes nothing.
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
"""The causes for which `ended_by` is recorded; migration 1 has the same set."""


class PersonArrived(Struct, frozen=True, tag=True):
    """A person came. Only backlog files of earlier versions contain it, since a client can create any number
    of guests."""

    person: str
    name: str
    at: float


class SessionMatched(Struct, frozen=True, tag=True):
    """Two people were matched. `session` is a new id for this pairing; `at` is trio's clock, as in every
    record.

    The rows of the two people are made from the names, in the same transaction. In older backlog files the
    names are None.
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
    """A session is over. `by` is the person who left first, stored for the causes in `DONE_BY_SOMEBODY`."""

    session: str
    cause: SessionCause
    by: str | None
    at: float


LedgerMessage: TypeAlias = PersonArrived | SessionMatched | SessionConnected | SessionEnded


@dataclass(frozen=True, slots=True)
class Node:
    """One server process, or several in a row that hand over to each other at a restart. `id` is its UUID.

    `home` is the UUID of the data folder. `former` is the id of an earlier node on that folder that has
    certainly ended, or None. `name` is for people and identifies nothing: cloned machines and containers
    share it.
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
    """The row of one person. `first_seen_at` is trio's clock."""

    id: str
    name: str
    first_seen_at: float


@dataclass(slots=True)
class SessionRow:
    """The row of one session. Times are trio's clock; None: no record in the sequence gives the value."""

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
    """The rows by id, in the order in which the ids first occur."""

    people: dict[str, PersonRow] = field(default_factory=dict)
    sessions: dict[str, SessionRow] = field(default_factory=dict)

    def add_person(self, person: str, name: str | None, at: float) -> None:
        """Add a row for a person, unless the record gives no name or the person has a row."""
        if name is not None:
            self.people.setdefault(person, PersonRow(person, name, at))


def fold(entries: Iterable[Entry]) -> Rows:
    """Turn records into rows.

    The first record counts: a second end, or a connection after the end, is ignored. (The SQL does the same
    where the two records are in different batches.)
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
