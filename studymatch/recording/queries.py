"""The queries with which operators read the database, on connections and threads of their own.

Nothing here waits for the ledger, and the ledger does not wait for anything here: PostgreSQL's readers take
no lock that a writer needs. Every transaction is read only, every result has a bound, and every statement a
time limit.

Rows come newest first. Ids of people and sessions begin with the time at which they were made
(`studymatch.ids`), so the order is that of the ids, and the next page begins below the last id of this one:
while rows are added, none is repeated, and none that was there is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from msgspec import Struct

from studymatch.postgres.database import Connection, Database, Limits, OnDatabase

PAGE = 50
PAGE_MAX = 1000
"""The default number of rows of a page, and the largest."""

DAYS_MAX = 366
"""The most days of `Queries.days`."""

READ_LIMITS = Limits(statement_s=30.0)
"""No index serves past sessions by person, people by name or sessions by day: PostgreSQL reads whole tables,
which takes seconds with millions of sessions."""

AFTER_ALL = UUID(int=2**128 - 1)
"""An id above every other one: where the first page begins."""

T = TypeVar("T")


class StoredPerson(Struct, frozen=True):
    """A person, as stored. `first_seen` is the time of their first match."""

    id: UUID
    name: str
    first_seen: datetime


class StoredSession(Struct, frozen=True):
    """A session, as stored. Without `connected_at` it did not become a call; without `ended_at` it is open.

    `cause` is why it ended, `ended_by` the person whose act that was, if it was somebody's.
    """

    id: UUID
    first_person: UUID
    second_person: UUID
    matched_at: datetime
    connected_at: datetime | None
    ended_at: datetime | None
    cause: str | None
    ended_by: UUID | None


class Day(Struct, frozen=True):
    """The sessions that were matched on one day, in UTC.

    `calls` is how many of them became calls, `call_s` the sum of the seconds of those calls that have ended.
    """

    day: date
    sessions: int
    calls: int
    call_s: float


class Page(Struct, Generic[T], frozen=True):
    """Some rows, newest first. `before` is where the next page begins; None: there are no more rows."""

    rows: tuple[T, ...]
    before: UUID | None


class Queries(OnDatabase):
    """Reads the tables of studymatch in the database that `conninfo` (a URI or key=value pairs) names.

    A context manager, which can be entered while the database is unavailable. All methods run in worker
    threads, and two tasks may call them at once. A cancelled call returns at once and leaves its thread
    behind, which ends within `Limits.statement_s`; nothing is changed either way.

    Raises:
        DatabaseSettingError: `conninfo` cannot be understood.

    Every method raises:
        DatabaseUnavailableError: the database cannot be reached, is too slow, or has no such tables.
        ValueError: a bound is not in its range.
    """

    def __init__(self, conninfo: str, *, limits: Limits = READ_LIMITS) -> None:
        super().__init__(Database(conninfo, limits, read_only=True))

    async def people_named(
        self, name: str, *, before: UUID | None = None, limit: int = PAGE
    ) -> Page[StoredPerson]:
        """Up to `limit` people with exactly this name, those below the id `before`.

        Raises:
            RecordRefusedError: the name is no text that PostgreSQL takes.
        """
        rows = await self._page(PEOPLE_NAMED, (name,), before, limit)
        return _page([StoredPerson(*row) for row in rows], limit)

    async def sessions_of(
        self, person: UUID, *, before: UUID | None = None, limit: int = PAGE
    ) -> Page[StoredSession]:
        """Up to `limit` sessions of a person, open and past, those below the id `before`.

        If nobody has this id, the page is empty.
        """
        rows = await self._page(SESSIONS_OF, (person,), before, limit)
        return _page([StoredSession(*row) for row in rows], limit)

    async def open_sessions(self, *, before: UUID | None = None, limit: int = PAGE) -> Page[StoredSession]:
        """Up to `limit` sessions that have not ended, of all servers, those below the id `before`."""
        rows = await self._page(OPEN_SESSIONS, (), before, limit)
        return _page([StoredSession(*row) for row in rows], limit)

    async def days(self, days: int = 30) -> tuple[Day, ...]:
        """The totals of the last `days` days in UTC, today included, the latest first.

        A day without a session is left out.
        """
        _check(days, DAYS_MAX)
        return tuple(Day(*row) for row in await self._fetch(DAYS, (days - 1, days)))

    async def _page(
        self, sql: str, parameters: tuple[object, ...], before: UUID | None, limit: int
    ) -> list[tuple[Any, ...]]:
        """The rows of a page, and one more if there is another page."""
        _check(limit, PAGE_MAX)
        return await self._fetch(sql, (*parameters, before or AFTER_ALL, limit + 1))

    async def _fetch(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        def work(connection: Connection) -> list[tuple[Any, ...]]:
            return connection.execute(sql.encode(), parameters).fetchall()

        return await self._database.transact(work)


P = TypeVar("P", StoredPerson, StoredSession)


def _page(found: list[P], limit: int) -> Page[P]:
    """A page of what was found with one row more than `limit`."""
    rows = tuple(found[:limit])
    return Page(rows, rows[-1].id if len(found) > limit else None)


def _check(number: int, most: int) -> None:
    if not 1 <= number <= most:
        raise ValueError(f"expected a number from 1 to {most}, got {number}")


PEOPLE_NAMED = """
select id, name, first_seen from person
where name = %s and id < %s order by id desc limit %s
"""

SESSIONS_OF = """
select id, first_person, second_person, matched_at, connected_at, ended_at, cause, ended_by from session
where %s in (first_person, second_person) and id < %s order by id desc limit %s
"""

# "materialized", so that the plan always begins with the partial index of open sessions. With statistics from
# a time when many were open, PostgreSQL would go through all sessions by id until it has found enough.
OPEN_SESSIONS = """
with still_open as materialized (
    select id, first_person, second_person, matched_at, connected_at, ended_at, cause, ended_by from session
    where ended_at is null)
select * from still_open where id < %s order by id desc limit %s
"""

DAYS = """
select (matched_at at time zone 'UTC')::date as day, count(*), count(connected_at),
    coalesce(sum(extract(epoch from ended_at - connected_at)), 0)::float8
from session
where matched_at >= (date_trunc('day', now() at time zone 'UTC') - make_interval(days => %s))
    at time zone 'UTC'
group by day order by day desc limit %s
"""
