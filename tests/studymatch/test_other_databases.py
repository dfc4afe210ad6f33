"""Databases of other people: encodings, roles, what is set for them; and records that none can take."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from studymatch.postgres.database import (
    Database,
    DatabaseSettingError,
    DatabaseUnavailableError,
    Limits,
    RecordRefusedError,
)
from studymatch.recording.store import Store
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import Entry, LedgerMessage, PersonArrived, SessionEnded, SessionMatched
from tests.support.database import on
from tests.support.rows import Story, session

ID, OTHER, THIRD = (f"00000000-0000-7000-8000-00000000000{n}" for n in range(3))


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def foreign(request: pytest.FixtureRequest, postgres_server: str) -> Iterator[str]:
    """A database with another encoding."""
    name, how = f"foreign_{request.param.lower()}", "lc_collate 'C' lc_ctype 'C' template template0"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"create database {name} encoding '{request.param}' {how}")
        yield on(postgres_server, name)
        connection.execute(f"drop database {name} with (force)")


async def test_an_encoding_that_cannot_hold_every_name_is_refused(foreign: str) -> None:
    async with Store(foreign) as store:
        with pytest.raises(DatabaseSettingError, match="expected UTF8"):
            await store.migrate()


async def test_the_environment_does_not_change_what_names_are_written_in(
    conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    async with Store(conninfo) as store:
        await store.write([Entry(ID, PersonArrived(OTHER, "さくら", 0.0))])


async def test_the_address_does_not_change_what_names_are_written_in(conninfo: str) -> None:
    async with Store(make_conninfo(conninfo, client_encoding="LATIN1")) as store:
        await store.write([Entry(ID, PersonArrived(OTHER, "さくら", 0.0))])


@pytest.fixture
def as_ada(bare_conninfo: str) -> Iterator[Callable[[str], str]]:
    """Has the administrator say something, and gives how Ada, who owns nothing, gets into the database.

    The statements may name {database}; nothing of the role stays afterwards.
    """

    def by_administrator(statements: str) -> None:
        with psycopg.connect(bare_conninfo, autocommit=True) as connection:
            connection.execute("set default_transaction_read_only = off")
            connection.execute(statements.replace("{database}", connection.info.dbname).encode())

    def prepare(statements: str) -> str:
        by_administrator(f"create role ada login; {statements}")
        return make_conninfo(bare_conninfo, user="ada")

    yield prepare
    by_administrator("drop owned by ada cascade; drop role ada")


OWNER = "alter schema public owner to ada;"
"""What most people have: a database whose tables they may make."""

FINE = {
    "an ordinary one": "",
    "encoding of the role": "alter role ada set client_encoding = 'LATIN1'",
    "encoding of the database": "alter database {database} set client_encoding = 'LATIN1'",
    "a schema of the role's own": "create schema ada authorization ada;"
    " alter role ada set search_path = ada, pg_catalog",
    "one connection": "alter role ada connection limit 1",
    "serializable": "alter role ada set default_transaction_isolation = 'serializable'",
    "little patience": "alter role ada set statement_timeout = '1s'; alter role ada set lock_timeout = 1",
    "dates": "alter role ada set datestyle = 'German, DMY'; alter role ada set timezone = 'Asia/Kathmandu'",
    "intervals": "alter role ada set intervalstyle = 'sql_standard'",
    "old strings": "alter role ada set standard_conforming_strings = off",
    "old arrays": "alter role ada set array_nulls = off",
    "few digits": "alter role ada set extra_float_digits = -15",
    "no plans": "alter role ada set plan_cache_mode = 'force_generic_plan'",
    "row security": "alter role ada set row_security = off",
}
"""What administrators set, and studymatch works with."""


@pytest.mark.parametrize("statements", FINE.values(), ids=FINE)
async def test_what_others_set_for_their_databases_and_roles_makes_no_difference(
    as_ada: Callable[[str], str], bare_conninfo: str, statements: str
) -> None:
    story, administrators = Story(), make_conninfo(bare_conninfo, options="-c search_path=ada,public")
    async with Store(as_ada(OWNER + statements)) as store:
        await store.migrate()
        await store.renew_lease(story.node, 30.0)
        await store.write([Entry(ID, PersonArrived(ID, "さくら", 0.0)), *story.entries(*story.people())])
        for _ in range(5):
            match = story.matched(story.ada, story.ben, ago=5.0)
            records = story.entries(match, story.connected(match, ago=4.0))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.write, records)
                nursery.start_soon(store.renew_lease, story.node, 30.0)
            assert session(administrators, match)["ended_at"] is None
            await store.write(story.entries(story.ended(match)))
            row = session(administrators, match)
            assert row["cause"] == "skipped"
            assert 0.9 < (row["connected_at"] - row["matched_at"]).total_seconds() < 1.1
        assert await store.close_abandoned(story.node) == 0


REFUSED = {
    "no right to make tables": ("", "permission denied for schema public. Check that the user may create"),
    "no schema": (
        f"{OWNER} alter role ada set search_path = nowhere",
        "no schema has been selected to create in. Check that the user may create",
    ),
    "read-only role": (
        f"{OWNER} alter role ada set default_transaction_read_only = on",
        "lets this user only read. Set default_transaction_read_only to off",
    ),
    "read-only database": (
        f"{OWNER} alter database {{database}} set default_transaction_read_only = on",
        "lets this user only read. Set default_transaction_read_only to off",
    ),
    "no right to connect": (
        f"{OWNER} revoke connect on database {{database}} from public",
        "permission denied for database",
    ),
    "no login": (f"{OWNER} alter role ada nologin", "is not permitted to log in"),
    "tables of somebody else": (
        "create table session (id integer); grant all on schema public to ada",
        "Check that the user may create tables there, and that no other program's tables have the same names",
    ),
}
"""What studymatch cannot work with, and what it says then."""


@pytest.mark.parametrize(("statements", "expected"), REFUSED.values(), ids=REFUSED)
async def test_what_can_not_be_worked_with_is_refused_in_words(
    as_ada: Callable[[str], str], statements: str, expected: str
) -> None:
    async with Store(as_ada(statements)) as store:
        with pytest.raises(DatabaseSettingError) as refusal:
            await store.migrate()
    assert expected in str(refusal.value)
    assert "\n" not in str(refusal.value)


async def test_a_database_without_a_free_connection_is_away_and_not_refused(
    as_ada: Callable[[str], str],
) -> None:
    """One becomes free later."""
    conninfo = as_ada(f"{OWNER} alter role ada connection limit 1")
    async with Store(conninfo) as store:
        with psycopg.connect(conninfo), pytest.raises(DatabaseUnavailableError, match="too many connections"):
            await store.migrate()


async def test_nothing_is_kept_in_a_connection_that_a_pooler_gives_to_others(conninfo: str) -> None:
    """No prepared statements, and no limits that outlive the transaction: PgBouncer shares connections."""
    seen = []

    def work(connection: psycopg.Connection[tuple[str, ...]]) -> None:
        for _ in range(20):
            connection.execute("select %s::int", [1])
        seen.append(connection.execute("select count(*) from pg_prepared_statements").fetchone())
        seen.append(connection.execute("show statement_timeout").fetchone())

    async with Database(conninfo, Limits(statement_s=7.0)) as database:
        await database.transact(work)
        assert seen == [(0,), ("7s",)]
        with database._pool.connection() as connection:
            assert connection.execute("show statement_timeout").fetchone() == ("0",)


@pytest.mark.parametrize(
    "record",
    [
        PersonArrived("ada", "Ada", 0.0),
        PersonArrived(ID, "A\x00da", 0.0),
        PersonArrived(ID, "\ud800", 0.0),
        PersonArrived(ID, "", 0.0),
        PersonArrived(ID, "x" * 41, 0.0),
        PersonArrived(ID, "Ada", -1e300),
        PersonArrived(ID, "Ada", float("-inf")),
        PersonArrived(ID, "Ada", float("nan")),
        PersonArrived(ID, {"a": "name"}, 0.0),  # type: ignore[arg-type]
        PersonArrived(frozenset(), "Ada", 0.0),  # type: ignore[arg-type]
        SessionMatched("no session", OTHER, THIRD, 0.0),
        SessionMatched(ID, OTHER, OTHER, 0.0, "Ada", "Ada"),
        SessionMatched(ID, OTHER, "", 0.0),
        SessionEnded("ada", SessionCause.ENDED, None, 0.0),
        SessionEnded(ID, SessionCause.ENDED, "ben", 0.0),
    ],
    ids=ascii,
)
async def test_what_can_never_be_written_is_refused_for_good(conninfo: str, record: LedgerMessage) -> None:
    """Refused, and not taken for a database that is away: the ledger sets such a record aside."""
    async with Store(conninfo) as store:
        try:
            await store.write([Entry(ID, record)])
        except RecordRefusedError:
            return
        assert isinstance(record, PersonArrived | SessionEnded), (
            "only nonsense in a time or about nobody passes"
        )
        await store.write([Entry(ID, record)])
