"""Helpers for tests of the database: they make records, and read the rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg
import trio
from psycopg.rows import dict_row

from studymatch.ids import new_id
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import (
    Entry,
    LedgerMessage,
    Node,
    PersonArrived,
    SessionConnected,
    SessionEnded,
    SessionMatched,
)


@dataclass
class Story:
    """Makes the records of a few people on one node, at the current time of trio's clock."""

    node: Node = field(default_factory=lambda: Node(new_id(), "here"))
    ada: str = field(default_factory=new_id)
    ben: str = field(default_factory=new_id)
    cem: str = field(default_factory=new_id)

    def people(self) -> list[LedgerMessage]:
        now = trio.current_time()
        named = ((self.ada, "Ada"), (self.ben, "Ben"), (self.cem, "Cem"))
        return [PersonArrived(person, name, now) for person, name in named]

    def matched(self, first: str, second: str, ago: float = 0.0) -> SessionMatched:
        return SessionMatched(new_id(), first, second, trio.current_time() - ago)

    def connected(self, match: SessionMatched, ago: float = 0.0) -> SessionConnected:
        return SessionConnected(match.session, trio.current_time() - ago)

    def ended(
        self, match: SessionMatched, cause: SessionCause = SessionCause.SKIPPED, ago: float = 0.0
    ) -> SessionEnded:
        return SessionEnded(match.session, cause, match.first, trio.current_time() - ago)

    def entries(self, *records: LedgerMessage) -> list[Entry]:
        return [Entry(self.node.id, record) for record in records]


def query(conninfo: str, sql: str, *parameters: object) -> list[dict[str, Any]]:
    """Run a query and commit it; returns its rows as dicts."""
    with psycopg.connect(conninfo, row_factory=dict_row) as connection:
        cursor = connection.execute(sql.encode(), parameters)
        return cursor.fetchall() if cursor.description is not None else []


def sessions(conninfo: str) -> dict[str, dict[str, Any]]:
    """All sessions, by id."""
    rows = query(conninfo, "select *, id::text, ended_by::text from session order by session.id")
    return {row["id"]: row for row in rows}


def session(conninfo: str, match: SessionMatched) -> dict[str, Any]:
    """The row of one session."""
    return sessions(conninfo)[match.session]


def seats(conninfo: str) -> dict[str, str]:
    """The open session of each person."""
    rows = query(conninfo, "select person::text, session::text from seat")
    return {row["person"]: row["session"] for row in rows}


def waiting_for_a_lock(conninfo: str) -> list[dict[str, Any]]:
    """The connections to this database that wait for a lock of another connection."""
    return query(
        conninfo,
        "select pid from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
    )
