"""Migrations, on a real PostgreSQL: from nothing, from databases of earlier programs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from studymatch.postgres.database import DatabaseSettingError
from studymatch.recording import schema
from studymatch.recording.schema import all_migrations, apply_pending, in_order, whole_script
from studymatch.recording.store import Store
from tests.support.rows import query, waiting_for_a_lock
from tests.support.waiting import eventually

DUMPS = sorted((Path(__file__).parent / "dumps").glob("*.sql"))
"""Of databases that earlier programs made: `pg_dump --inserts`, without what only psql understands."""

TABLES = {"person": "id", "node": "id", "session": "id", "seat": "person"}
"""The tables with data, and by what their rows are ordered."""

CHECKSUMS = {
    1: "80e85e0ce3a6bef68dd28feae2298db9ed8a25fe4d387badc48ef0e2ee59af86",
}
"""Of the migrations that were released, and therefore never change. A new one is added here."""


CATALOG = """
select relname::text as name, relkind::text as kind from pg_class where relnamespace = 'public'::regnamespace
union all select conname, 'constraint' from pg_constraint where connamespace = 'public'::regnamespace
union all select tgname, 'trigger' from pg_trigger where not tgisinternal
union all select proname, 'function' from pg_proc where pronamespace = 'public'::regnamespace
order by kind, name
"""


def catalog(conninfo: str) -> list[dict[str, object]]:
    """All that there is besides data."""
    return query(conninfo, CATALOG)


def rows_of(conninfo: str) -> dict[str, list[dict[str, object]]]:
    return {
        table: query(conninfo, f"select to_jsonb(each) - 'home' as row from {table} as each order by {by}")
        for table, by in TABLES.items()
    }


def dropped_into(conninfo: str, dump: Path) -> None:
    """Restore a dump."""
    with psycopg.connect(conninfo) as connection:
        connection.execute(dump.read_text(encoding="utf-8").encode())


def with_second(script: str) -> tuple[schema.Migration, ...]:
    return (*all_migrations(), schema.Migration(2, "0002_more", script))


# What is applied, once


async def test_from_nothing_each_migration_is_applied_once(bare_conninfo: str) -> None:
    store = Store(bare_conninfo)
    names = [migration.name for migration in all_migrations()]
    assert await store.pending() == names
    assert catalog(bare_conninfo) == [], "looking changes nothing"
    assert await store.migrate() == names
    assert await store.pending() == []
    assert await store.migrate() == []
    applied = query(bare_conninfo, "select number, name, checksum from schema_migration order by number")
    assert [(row["number"], row["name"], row["checksum"]) for row in applied] == [
        (migration.number, migration.name, migration.checksum) for migration in all_migrations()
    ]


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
async def test_a_database_of_an_earlier_program_is_taken_over_with_its_data(
    bare_conninfo: str, conninfo: str, dump: Path
) -> None:
    dropped_into(bare_conninfo, dump)
    before = rows_of(bare_conninfo)
    assert all(before.values()), "there is something in each table"
    store = Store(bare_conninfo)
    assert await store.pending() == [migration.name for migration in all_migrations()]
    assert rows_of(bare_conninfo) == before
    await store.migrate()
    assert rows_of(bare_conninfo) == before
    assert catalog(bare_conninfo) == catalog(conninfo), "it is like one that was made from nothing"
    assert await store.pending() == []


async def test_a_second_migration_is_applied_to_a_database_with_the_first(conninfo: str) -> None:
    """And from then on programs without it refuse, those of before numbered migrations too."""
    second = with_second("create table more (id integer primary key)")
    with psycopg.connect(conninfo) as connection:
        assert apply_pending(connection, "database", second) == ["0002_more"]
    with psycopg.connect(conninfo) as connection:
        assert apply_pending(connection, "database", second) == []
    assert query(conninfo, "select version from schema_version") == [{"version": 2}]
    for call in (Store(conninfo).migrate, Store(conninfo).pending):
        with pytest.raises(DatabaseSettingError, match=r"another version \(2\) than this studymatch knows"):
            await call()


async def test_a_migration_that_fails_leaves_nothing_behind(bare_conninfo: str) -> None:
    broken = with_second("create table more (id integer primary key); create table session ()")
    with (
        psycopg.connect(bare_conninfo) as connection,
        pytest.raises(DatabaseSettingError, match=r'relation "session" already exists'),
    ):
        apply_pending(connection, "database", broken)
    assert catalog(bare_conninfo) == []


async def test_a_migration_that_was_changed_after_it_was_applied_is_refused(conninfo: str) -> None:
    query(conninfo, "update schema_migration set checksum = 'another'")
    with pytest.raises(DatabaseSettingError, match=r"0001_\w+ was applied .* in another form"):
        await Store(conninfo).migrate()


def test_what_was_released_never_changes() -> None:
    assert {migration.number: migration.checksum for migration in all_migrations()} == CHECKSUMS


@pytest.mark.parametrize(
    ("names", "complaint"),
    [
        (["0001_a.sql", "0003_c.sql"], r"numbered \[1, 3\]"),
        (["0001_a.sql", "0001_b.sql"], r"numbered \[1, 1\]"),
        (["0002_b.sql"], r"numbered \[2\]"),
        (["0001_a.sql", "2_b.sql"], "'2_b.sql' is no name of a migration"),
        (["0001_a.sql", "readme.md"], "'readme.md' is no name of a migration"),
    ],
)
def test_files_that_are_no_row_of_migrations_are_refused(names: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        in_order((name, "") for name in names)


async def test_the_printed_script_makes_the_same_as_the_migrations(bare_conninfo: str, conninfo: str) -> None:
    with psycopg.connect(bare_conninfo, autocommit=True) as connection:
        connection.execute(whole_script().encode())
    assert catalog(bare_conninfo) == catalog(conninfo)
    assert await Store(bare_conninfo).pending() == []


# Processes that migrate at once, and what is refused


async def test_processes_that_deploy_at_once_do_not_get_in_each_others_way(bare_conninfo: str) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(Store(bare_conninfo).migrate)
    assert query(bare_conninfo, "select version from schema_version") == [{"version": 1}]


async def test_deploying_waits_for_another_deployment(bare_conninfo: str) -> None:
    with psycopg.connect(bare_conninfo) as other:
        other.execute("select pg_advisory_xact_lock(%s)", [schema.MIGRATION_LOCK])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Store(bare_conninfo).migrate)
            await eventually(lambda: waiting_for_a_lock(bare_conninfo))
            assert query(bare_conninfo, "select tablename from pg_tables where tablename = 'session'") == []
            other.commit()
    assert query(bare_conninfo, "select from session") == []


async def test_tables_of_a_newer_version_are_left_alone(conninfo: str) -> None:
    query(conninfo, "update schema_version set version = 2")
    with pytest.raises(DatabaseSettingError, match=r"another version \(2\) than this studymatch knows \(1\)"):
        await Store(conninfo).migrate()
    assert query(conninfo, "select version from schema_version") == [{"version": 2}]


async def test_a_server_that_is_too_old_is_refused(
    bare_conninfo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "OLDEST_SERVER", 99)
    with pytest.raises(DatabaseSettingError, match=r"needs PostgreSQL 99 or later; the database at .* runs"):
        await Store(bare_conninfo).migrate()


async def test_a_user_who_may_not_make_tables_is_told_so(bare_conninfo: str) -> None:
    query(bare_conninfo, "drop role if exists reader")
    query(bare_conninfo, "create role reader login")
    query(bare_conninfo, "revoke create on schema public from public")
    with pytest.raises(DatabaseSettingError, match=r"permission denied .* Check that the user may create"):
        await Store(make_conninfo(bare_conninfo, user="reader")).migrate()
