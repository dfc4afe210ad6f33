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


ADD_PEOPLE = """
insert into person (id, name, first_seen)
select id, name, now() - make_interval(secs => age)
from unnest(%s::uuid[], %s::text[], %s::float8[]) as said (id, name, age)
order by id
on conflict (id) do nothing
"""

# Only open sessions change, so nothing is written twice. `greatest` ignores nulls: it keeps match, connection
# and end in order if two batches measured the database's clock a moment apart.
# "num_nulls(...) <> 0" means "is null", but PostgreSQL has no statistics for it. With "is null", if no
# session was open when it last analyzed the table, the planner would expect one open session and choose a
# plan that reads all open sessions for each row of the batch, here and below.
UPDATE_OPEN = """
update session set
    connected_at = case when connected_age is not null and connected_at is null
        then greatest(matched_at, now() - make_interval(secs => connected_age)) else connected_at end,
    ended_at = case when ended_age is not null then greatest(
        matched_at, connected_at, now() - make_interval(secs => connected_age),
        now() - make_interval(secs => ended_age)) end,
    cause = said.cause,
    ended_by = said.ended_by
from unnest(%s::uuid[], %s::float8[], %s::float8[], %s::text[], %s::uuid[])
    as said (id, connected_age, ended_age, cause, ended_by)
where session.id = said.id and num_nulls(session.ended_at) <> 0
"""

# A person who is matched here has left their session on another node, which may be dead or slow to record
# that. Without this statement the primary key of `seat` would refuse them until that node's lease expires.
END_ELSEWHERE = """
update session set
    ended_at = greatest(matched_at, connected_at, now() - make_interval(secs => said.age)),
    cause = 'lost',
    ended_by = said.person
from unnest(%s::uuid[], %s::uuid[], %s::float8[]) as said (person, node, age)
join seat on seat.person = said.person
where session.id = seat.session and num_nulls(session.ended_at) <> 0
    and session.node <> said.node and session.matched_at < now() - make_interval(secs => said.age)
"""

ADD_SESSIONS = """
insert into session (
    id, first_person, second_person, matched_at, connected_at, ended_at, cause, ended_by, node)
select id, first, second, matched,
    case when connected_age is not null then greatest(matched, connected) end,
    case when ended_age is not null then greatest(matched, connected, ended) end,
    cause, ended_by, node
from unnest(%s::uuid[], %s::uuid[], %s::uuid[], %s::float8[], %s::float8[], %s::float8[],
        %s::text[], %s::uuid[], %s::uuid[])
    as said (id, first, second, matched_age, connected_age, ended_age, cause, ended_by, node),
lateral (select
    now() - make_interval(secs => matched_age) as matched,
    now() - make_interval(secs => connected_age) as connected,
    now() - make_interval(secs => ended_age) as ended) as times
order by id
on conflict (id) do nothing
"""
