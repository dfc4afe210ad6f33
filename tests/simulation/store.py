"""The database of the simulation: stores rows as the real schema does, and fails as a real server does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import trio

from studymatch.postgres.database import DatabaseUnavailableError
from studymatch.rules.records import (
    DONE_BY_SOMEBODY,
    Entry,
    Node,
    SessionConnected,
    SessionEnded,
    SessionMatched,
)


@dataclass
class Row:
    """One session: the times of match, connection and end, the cause, and who ended it."""

    first: str
    second: str
    matched_at: float
    connected_at: float | None = None
    ended_at: float | None = None
    cause: str | None = None
    ended_by: str | None = None


@dataclass
class SimulatedStore:
    """Idempotent, like `Store.write`. The faults set `slow_s`, `down` and `fails_after_commit`.

    `acts` is called with the name of each point at which the ledger could crash.
    """

    acts: Callable[[str], None]
    rows: dict[str, Row] = field(default_factory=dict)
    slow_s: float = 0.0
    down: bool = False
    fails_after_commit: int = 0
    crashes: int = 0
    orphans: list[str] = field(default_factory=list)
    nameless: list[str] = field(default_factory=list)

    async def write(self, batch: Sequence[Entry]) -> None:
        self.acts("crashes before it writes")
        await self._answer()
        if self.crashes:
            self.crashes -= 1
            raise RuntimeError("planned: the ledger crashes")
        for entry in batch:
            self._keep(entry)
        self.acts("crashes when it has written")
        if self.fails_after_commit:
            self.fails_after_commit -= 1
            raise DatabaseUnavailableError("planned: the connection was lost after the commit")

    def _keep(self, entry: Entry) -> None:
        match entry.record:
            case SessionMatched(session, first_name=None) | SessionMatched(session, second_name=None):
                self.nameless.append(session)
            case SessionMatched(session, first, second, at):
                self.rows.setdefault(session, Row(first, second, at))
            case SessionConnected(session, at) if session not in self.rows:
                self.orphans.append(session)
            case SessionConnected(session, at):
                row = self.rows[session]
                if row.connected_at is None and row.ended_at is None:
                    row.connected_at = at
            case SessionEnded(session, cause, _, at) if session not in self.rows:
                self.orphans.append(session)
            case SessionEnded(session, cause, by, at):
                row = self.rows[session]
                if row.ended_at is None:
                    row.ended_at, row.cause = at, cause.value
                    row.ended_by = by if cause in DONE_BY_SOMEBODY else None

    async def renew_lease(self, node: Node, lease_s: float) -> None:
        self.acts("crashes before it renews its lease")
        await self._answer()

    async def close_abandoned(self, node: Node) -> int:
        await self._answer()
        return 0

    async def _answer(self) -> None:
        await trio.sleep(self.slow_s)
        if self.down:
            raise DatabaseUnavailableError("planned: the database is down")
