"""The records of people and sessions, the rows that they become, and the SQL that writes these. Pure.

A record type is described here and nowhere else: its struct, and in the method `fold` which rows it changes,
and how. A row type has the SQL of its table beside it, and in the method `writes` the values for that.

Records are in the order in which things happened, with times of trio's clock. The function `fold` makes one
row for each person and each session in them. It never depends on the content of the database, so the same
records can be folded again, in other batches, and writing the rows again changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from studymatch.rules.lifecycle import SessionCause

DONE_BY_SOMEBODY = frozenset(
    {SessionCause.SKIPPED, SessionCause.ENDED, SessionCause.LOST, SessionCause.CONNECT_FAILED}
)
"""The causes for which `ended_by` is recorded; migration 1 has the same set."""

Age: TypeAlias = Callable[[float | None], float | None]
"""How many seconds before the transaction a time of trio's clock is; None for None. PostgreSQL subtracts them
from its own clock."""


class Write(NamedTuple):
    """A statement for many rows: `sql` has a parameter for each of `columns`, which are arrays of one length.

    Running it again changes nothing.
    """

    sql: str
    columns: list[list[object]]


def _write(sql: str, rows: Iterable[tuple[object, ...]]) -> Iterator[Write]:
    """The statement for rows of parameters; nothing if there are none."""
    if columns := [list(column) for column in zip(*rows, strict=True)]:
        yield Write(sql, columns)


# People


@dataclass(slots=True)
class PersonRow:
    """The row of one person. `first_seen_at` is trio's clock."""

    id: str
    name: str
    first_seen_at: float

    @staticmethod
    def writes(rows: Iterable[PersonRow], age: Age) -> Iterator[Write]:
        """The statements that write these rows, in order."""
        yield from _write(ADD_PEOPLE, ((row.id, row.name, age(row.first_seen_at)) for row in rows))


ADD_PEOPLE = """
insert into person (id, name, first_seen)
select id, name, now() - make_interval(secs => age)
from unnest(%s::uuid[], %s::text[], %s::float8[]) as said (id, name, age)
order by id
on conflict (id) do nothing
"""


class PersonArrived(Struct, frozen=True, tag=True):
    """A person came. Only backlog files of earlier versions contain it, since a client can create any number
    of guests."""

    person: str
    name: str
    at: float

    def fold(self, node: str, rows: Rows) -> None:
        """Add the person's row."""
        rows.add_person(self.person, self.name, self.at)


# Sessions


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

    @staticmethod
    def writes(rows: Iterable[SessionRow], age: Age) -> Iterator[Write]:
        """The statements that write these rows, in order.

        Ends are written before new sessions, so a person's seat is free when their next session takes it.
        """
        rows = list(rows)
        matches = [row for row in rows if row.matched_at is not None]
        yield from _write(
            UPDATE_OPEN,
            (
                (row.id, age(row.connected_at), age(row.ended_at), row.cause, row.ended_by)
                for row in rows
                if row.connected_at is not None or row.ended_at is not None
            ),
        )
        yield from _write(
            END_ELSEWHERE,
            (
                (person, row.node, age(row.matched_at))
                for row in matches
                if row.ended_at is None
                for person in (row.first, row.second)
            ),
        )
        yield from _write(
            ADD_SESSIONS,
            (
                (
                    *(row.id, row.first, row.second),
                    *(age(row.matched_at), age(row.connected_at), age(row.ended_at)),
                    *(row.cause, row.ended_by, row.node),
                )
                for row in matches
            ),
        )


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

    def fold(self, node: str, rows: Rows) -> None:
        """Add the rows of the two people, and begin the row of the session; its first match counts."""
        rows.add_person(self.first, self.first_name, self.at)
        rows.add_person(self.second, self.second_name, self.at)
        row = rows.session(self.session, node)
        if row.matched_at is None:
            row.first, row.second, row.matched_at = self.first, self.second, self.at


class SessionConnected(Struct, frozen=True, tag=True):
    """Media flows on both sides of a session."""

    session: str
    at: float

    def fold(self, node: str, rows: Rows) -> None:
        """Set the time of the connection; the first one counts, and none after the end."""
        row = rows.session(self.session, node)
        if row.connected_at is None and row.ended_at is None:
            row.connected_at = self.at


class SessionEnded(Struct, frozen=True, tag=True):
    """A session is over. `by` is the person who left first, stored for the causes in `DONE_BY_SOMEBODY`."""

    session: str
    cause: SessionCause
    by: str | None
    at: float

    def fold(self, node: str, rows: Rows) -> None:
        """End the row of the session; the first end counts."""
        row = rows.session(self.session, node)
        if row.ended_at is None:
            row.ended_at, row.cause = self.at, self.cause.value
            row.ended_by = self.by if self.cause in DONE_BY_SOMEBODY else None


# All of them

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
class Rows:
    """The rows by id, in the order in which the ids first occur."""

    people: dict[str, PersonRow] = field(default_factory=dict)
    sessions: dict[str, SessionRow] = field(default_factory=dict)

    def add_person(self, person: str, name: str | None, at: float) -> None:
        """Add a row for a person, unless the record gives no name or the person has a row."""
        if name is not None:
            self.people.setdefault(person, PersonRow(person, name, at))

    def session(self, session: str, node: str) -> SessionRow:
        """The row of a session; a new one of `node` if there is none."""
        return self.sessions.setdefault(session, SessionRow(session, node))

    def writes(self, age: Age) -> Iterator[Write]:
        """The statements that write all rows, in the order in which one transaction executes them.

        A table comes after those that its foreign keys name.
        """
        yield from PersonRow.writes(self.people.values(), age)
        yield from SessionRow.writes(self.sessions.values(), age)


def fold(entries: Iterable[Entry]) -> Rows:
    """Turn records into rows.

    The first record counts: a second end, or a connection after the end, is ignored. (The SQL does the same
    where the two records are in different batches.)
    """
    rows = Rows()
    for entry in entries:
        entry.record.fold(entry.node, rows)
    return rows
