"""The store: every SQL statement of the product, for the ledger and for `studymatch migrate`.

Nothing here waits, retries or remembers: that is the ledger's. Every statement can be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib import resources
from types import TracebackType

import psycopg
import trio

from studymatch.postgres.database import (
    Connection,
    Database,
    DatabaseSettingError,
    DatabaseUnavailableError,
    Limits,
    first_line,
    milliseconds,
)
from studymatch.rules.records import Entry, Node, Rows, fold

SCHEMA_VERSION = 1
"""The version that `schema.sql` writes down."""

OLDEST_SERVER = 14
"""`create or replace trigger` came with PostgreSQL 14."""

MIGRATION_LOCK = 0x73747564796D6174
"""The key of the advisory lock under which the schema is deployed: the bytes of "studymat"."""

MIGRATION_LIMIT_S = 300.0
"""For each statement of a deployment: long enough to build an index on millions of rows."""


FORMER_SILENT_S = 12.0
"""An earlier life in the same data folder counts as over if it has not renewed its lease for so long. A
living one renews it every 5 s (`Pace.renew_every_s`); waiting for the end of the lease would take 30 s."""


class Store:
    """The tables of `schema.sql` in the database that `conninfo` (a URI or key=value pairs) names.

    A context manager, which can be entered and used while the database is away. All methods run in worker
    threads, and may be called by two tasks at once.

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

    async def migrate(self) -> None:
        """Bring the schema up to date. Idempotent, and safe when several processes do it at once.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            DatabaseSettingError: it can, but not be used: too old, a newer schema, no permission.
        """
        script = resources.files("studymatch.recording").joinpath("schema.sql").read_text(encoding="utf-8")
        await self._database.transact_alone(lambda connection: self._deploy(connection, script))

    async def write(self, batch: Sequence[Entry]) -> None:
        """Write records, in one transaction. The times in them are trio's clock; the rows get database time.

        Writing the same records again, in whatever portions, changes nothing. Cancelling does not take back
        what is on its way.

        Raises:
            RecordRefusedError: something in the batch breaks a rule of the schema. Nothing was written.
            DatabaseUnavailableError: nothing is known of the batch; write it again.
        """
        rows = fold(batch)
        now, asked = trio.current_time(), time.monotonic()

        def work(connection: Connection) -> None:
            # The transaction has just begun, and with it the database's `now()`.
            waited = time.monotonic() - asked  # for a thread, a connection, and a database that was silent
            _write(connection, rows, now + waited)

        await self._database.transact(work)

    async def renew_lease(self, node: Node, lease_s: float) -> None:
        """Say that `node` lives, and will be heard of again within `lease_s`. The first renewal claims it.

        Raises:
            DatabaseUnavailableError: it was not renewed, as far as is known.
        """
        await self._database.transact(
            lambda connection: connection.execute(RENEW_LEASE, (node.id, node.name, node.home, lease_s))
        )

    async def close_abandoned(self, node: Node) -> int:
        """End the open sessions that no living node will end, and return their number.

        These are the sessions of nodes whose lease ran out, of the former life of `node`, and of other lives
        in its data folder that have not renewed their lease for `FORMER_SILENT_S`. Each ends at its node's
        last sign of life.

        Raises:
            DatabaseUnavailableError: nothing is known of it; do it again.
        """
        return await self._database.transact(
            lambda connection: (
                connection.execute(
                    CLOSE_ABANDONED, (node.id, node.former, node.home, FORMER_SILENT_S)
                ).rowcount
            )
        )

    def _deploy(self, connection: Connection, script: str) -> None:
        where = self._database
        _check(connection, f"{where}")
        limit = milliseconds(MIGRATION_LIMIT_S)
        connection.execute(
            "select set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)",
            [limit, limit],
        )
        connection.execute("select pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
        try:
            connection.execute(script.encode())
        except psycopg.ProgrammingError as error:
            raise DatabaseSettingError(
                f"The tables of studymatch cannot be made in the {where}: {first_line(error)}. Check that the"
                " user may create tables there, and that no other program's tables have the same names."
            ) from error
        row = connection.execute("select version from schema_version").fetchone()
        if row != (SCHEMA_VERSION,):
            raise DatabaseSettingError(
                f"The tables in the {where} have another version ({row and row[0]}) than this studymatch"
                f" knows ({SCHEMA_VERSION}). Run the newer studymatch, or use another database."
            )


def _check(connection: Connection, where: str) -> None:
    """Check that the tables can be in the database that `where` describes, but for the user's permissions."""
    if connection.info.server_version < OLDEST_SERVER * 10_000:
        raise DatabaseSettingError(
            f"studymatch needs PostgreSQL {OLDEST_SERVER} or later; the {where} runs"
            f" {connection.info.parameter_status('server_version')}."
        )
    [encoding, is_read_only, is_standby] = connection.execute(FACTS).fetchone() or ("unknown", "off", False)
    if encoding != "UTF8":
        raise DatabaseSettingError(
            f"The {where} has the encoding {encoding}; expected UTF8, in which every name can be written."
            " Make one with: create database studymatch encoding 'UTF8' template template0."
        )
    if is_standby:
        raise DatabaseUnavailableError(
            f"The {where} is a standby, in which nobody can write. Give the address of the primary, or those"
            " of all servers and target_session_attrs=read-write."
        )
    if is_read_only != "off":
        raise DatabaseSettingError(
            f"The {where} lets this user only read. Set default_transaction_read_only to off, for the user"
            " and the database."
        )


def _write(connection: Connection, rows: Rows, now: float) -> None:
    """Write folded records; `now` is trio's clock at the beginning of the transaction.

    What is over is ended before anything new is opened, so a seat is free when the next session takes it.
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


FACTS = """
select current_setting('server_encoding'), current_setting('transaction_read_only'), pg_is_in_recovery()
"""

ADD_PEOPLE = """
insert into person (id, name, first_seen)
select id, name, now() - make_interval(secs => age)
from unnest(%s::uuid[], %s::text[], %s::float8[]) as said (id, name, age)
order by id
on conflict (id) do nothing
"""

# Only what is open changes, so nothing is written twice. `greatest` ignores nulls: it keeps match, connection
# and end in order where two batches measured the database's clock a moment apart.
# "num_nulls(...) <> 0" is "is null" in words that PostgreSQL keeps no statistics of. If nothing was open when
# it last analyzed the table, it would take all that is open for one row, and read all of it, here and below
# over again for each row of the batch.
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

# Who is matched here has left the session that they were in on another node, which may be dead or slow to
# say so; without this the rule of one seat would refuse them until that node's lease runs out.
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

# The data folder may have been copied with the machine that it is on, so another life with the same one
# counts as over only when it does not renew its lease. Where nothing is known (null) the lease alone counts.
CLOSE_ABANDONED = """
update session set
    ended_at = greatest(matched_at, connected_at, (select renewed_at from node where node.id = session.node)),
    cause = 'node_lost'
where ended_at is null and session.node <> %s::uuid and not exists (
    select from node where node.id = session.node and node.lease_until >= now()
        and coalesce(node.id <> %s::uuid, true)
        and (coalesce(node.home <> %s::uuid, true) or node.renewed_at >= now() - make_interval(secs => %s)))
"""
