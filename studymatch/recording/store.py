"""The store: every SQL statement with which the ledger writes, and the calls of the migrations (`schema`).

It does not pause, retry or keep records; the ledger does. Every statement can be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

import trio

from studymatch.postgres.database import (
    Connection,
    Database,
    Limits,
)
from studymatch.recording.schema import apply_pending, find_pending
from studymatch.rules.records import Entry, Node, Rows, fold

FORMER_SILENT_S = 12.0
"""Another node on the same data folder counts as ended if it has not renewed its lease for so many seconds. A
living one renews it every 5 s (`Pace.renew_every_s`); waiting for the end of the lease would take 30 s."""


class Store:
    """The tables of studymatch in the database that `conninfo` (a URI or key=value pairs) names.

    A context manager, which can be entered and used while the database is unavailable. All methods run in
    worker threads, and two tasks may call them at once.

    Raises:
        DatabaseSettingError: `conninfo` cannot be understood.
    """

    def __init__(self, conninfo: str, *, limits: Limits | None = None) -> None:
        self._database = Database(conninfo, limits or Limits())

    async def __aenter__(self) -> Store:
        await self._database.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.__aexit__(kind, error, trace)

    async def migrate(self) -> list[str]:
        """Bring the tables up to date, and return the names of the migrations that were applied.

        Idempotent, and safe when several processes do it at once.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            DatabaseSettingError: it can, but not be used: too old, a newer schema, no permission.
        """
        return await self._database.transact_alone(
            lambda connection: apply_pending(connection, f"{self._database}")
        )

    async def pending(self) -> list[str]:
        """The names of the migrations that `migrate` would apply. Nothing is changed. Raises as `migrate`."""
        return await self._database.transact_alone(
            lambda connection: find_pending(connection, f"{self._database}")
        )

    async def write(self, batch: Sequence[Entry]) -> None:
        """Write records, in one transaction. The times in them are trio's clock; the rows get database time.

        Writing the same records again, in any batches, changes nothing. A cancelled write may still be
        committed.

        Raises:
            RecordRefusedError: a record in the batch breaks a rule of the schema. Nothing was written.
            DatabaseUnavailableError: the batch may or may not be written; write it again.
        """
        rows = fold(batch)
        now, asked = trio.current_time(), time.monotonic()

        def work(connection: Connection) -> None:
            # The transaction has just begun, and with it the database's `now()`.
            waited = time.monotonic() - asked  # for a thread, a connection, and a slow database
            _write(connection, rows, now + waited)

        await self._database.transact(work)

    async def renew_lease(self, node: Node, lease_s: float) -> None:
        """Renew the lease of `node` for `lease_s` seconds. The first call creates the node's row.

        Raises:
            DatabaseUnavailableError: it is unknown whether the lease was renewed.
        """
        await self._database.transact(
            lambda connection: connection.execute(RENEW_LEASE, (node.id, node.name, node.home, lease_s))
        )

    async def close_abandoned(self, node: Node) -> int:
        """End the open sessions that no living node will end, and return their number.

        These are the sessions of nodes whose lease has expired, of the node before `node` (`Node.former`),
        and of other nodes on its data folder that have not renewed their lease for `FORMER_SILENT_S`. The end
        of each is the last renewal of its node.

        Raises:
            DatabaseUnavailableError: it is unknown whether they were ended; call it again.
        """
        return await self._database.transact(
            lambda connection: (
                connection.execute(
                    CLOSE_ABANDONED, (node.id, node.former, node.home, FORMER_SILENT_S)
                ).rowcount
            )
        )


def _write(connection: Connection, rows: Rows, now: float) -> None:
    """Write folded records; `now` is trio's clock at the beginning of the transaction.

    Ends are written before new sessions, so a person's seat is free when their next session takes it.
    """

    def age(at: float | None) -> float | None:
        return None if at is None else max(0.0, now - at)

    people = rows.people.values()
    news = [row for row in rows.sessions.values() if row.connected_at is not None or row.ended_at is not None]
    matches = [row for row in rows.sessions.values() if row.matched_at is not None]
    opened = [(person, row) for row in matches if row.ended_at is None for person in (row.first, row.second)]
    if people:
        connection.execute(
            ADD_PEOPLE,
            ([p.id for p in people], [p.name for p in people], [age(p.first_seen_at) for p in people]),
        )
    if news:
        connection.execute(
            UPDATE_OPEN,
            (
                [row.id for row in news],
                [age(row.connected_at) for row in news],
                [age(row.ended_at) for row in news],
                [row.cause for row in news],
                [row.ended_by for row in news],
            ),
        )
    if opened:
        connection.execute(
            END_ELSEWHERE,
            (
                [person for person, _ in opened],
                [row.node for _, row in opened],
                [age(row.matched_at) for _, row in opened],
            ),
        )
    if matches:
        connection.execute(
            ADD_SESSIONS,
            (
                [row.id for row in matches],
                [row.first for row in matches],
                [row.second for row in matches],
                [age(row.matched_at) for row in matches],
                [age(row.connected_at) for row in matches],
                [age(row.ended_at) for row in matches],
                [row.cause for row in matches],
                [row.ended_by for row in matches],
                [row.node for row in matches],
            ),
        )


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

RENEW_LEASE = """
insert into node (id, name, home, renewed_at, lease_until)
values (%s, %s, %s, now(), now() + make_interval(secs => %s::float8))
on conflict (id) do update set
    name = excluded.name, home = excluded.home,
    renewed_at = excluded.renewed_at, lease_until = excluded.lease_until
"""

# The data folder may have been copied together with its machine, so another node with the same folder counts
# as ended only if it does not renew its lease. For unknown values (null) only the lease counts.
CLOSE_ABANDONED = """
update session set
    ended_at = greatest(matched_at, connected_at, (select renewed_at from node where node.id = session.node)),
    cause = 'node_lost'
where ended_at is null and session.node <> %s::uuid and not exists (
    select from node where node.id = session.node and node.lease_until >= now()
        and coalesce(node.id <> %s::uuid, true)
        and (coalesce(node.home <> %s::uuid, true) or node.renewed_at >= now() - make_interval(secs => %s)))
"""
