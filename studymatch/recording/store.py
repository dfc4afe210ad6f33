"""The store: the calls with which the ledger writes: records, leases, and the migrations (`schema`).

The SQL of the records is in `studymatch.rules.records`, that of the leases here. The store does not pause,
retry or keep records; the ledger does. Every statement can be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import trio

from studymatch.postgres.database import (
    Connection,
    Database,
    Limits,
    OnDatabase,
)
from studymatch.recording.schema import apply_pending, find_pending
from studymatch.rules.records import Entry, Node, Rows, fold

FORMER_SILENT_S = 12.0
"""Another node on the same data folder counts as ended if it has not renewed its lease for so many seconds. A
living one renews it every 5 s (`Pace.renew_every_s`); waiting for the end of the lease would take 30 s."""


class Store(OnDatabase):
    """The tables of studymatch in the database that `conninfo` (a URI or key=value pairs) names.

    A context manager, which can be entered and used while the database is unavailable. All methods run in
    worker threads, and two tasks may call them at once.

    Raises:
        DatabaseSettingError: `conninfo` cannot be understood.
    """

    def __init__(self, conninfo: str, *, limits: Limits | None = None) -> None:
        super().__init__(Database(conninfo, limits or Limits()))

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
    """Write folded records; `now` is trio's clock at the beginning of the transaction."""

    def age(at: float | None) -> float | None:
        return None if at is None else max(0.0, now - at)

    for write in rows.writes(age):
        connection.execute(write.sql.encode(), write.columns)


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
