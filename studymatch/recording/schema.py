"""The tables of studymatch: numbered migrations, each applied once, in order.

A migration is a file `migrations/NNNN_what_it_does.sql`. A released migration never changes; a later one
changes the tables. All pending ones are applied in one transaction, under an advisory lock, so that several
processes can start at once. The table `schema_migration` has a row for each applied migration, with the
checksum of its file.

Migration 1 is the schema from before there were migrations. It can be run on a database of that time, and
changes no data in it. The table `schema_version` is of that time, too: it makes older programs refuse a newer
schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import NamedTuple

import psycopg

from studymatch.postgres.database import (
    Connection,
    DatabaseSettingError,
    DatabaseUnavailableError,
    first_line,
    milliseconds,
)

OLDEST_SERVER = 14
"""`create or replace trigger` came with PostgreSQL 14."""

MIGRATION_LOCK = 0x73747564796D6174
"""The key of the advisory lock for migrations: the bytes of "studymat"."""

MIGRATION_LIMIT_S = 300.0
"""The time limit of each statement of a migration: enough to build an index on millions of rows."""

FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class Migration(NamedTuple):
    """One step. `name` is that of its file without the ending, `script` the text of the file: SQL."""

    number: int
    name: str
    script: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the script in hex, which shows whether the file was changed after it was applied."""
        return sha256(self.script.encode()).hexdigest()


@cache
def all_migrations() -> tuple[Migration, ...]:
    """The migrations that this program knows, in order.

    Raises:
        ValueError: a file has a malformed name, or a number is missing or used twice.
    """
    folder = resources.files("studymatch.recording").joinpath("migrations")
    return in_order((file.name, file.read_text(encoding="utf-8")) for file in folder.iterdir())


def in_order(files: Iterable[tuple[str, str]]) -> tuple[Migration, ...]:
    """Migrations from the names and texts of files, numbered 1, 2, 3, …

    Raises:
        ValueError: as `all_migrations`.
    """
    found = []
    for name, script in sorted(files):
        match = FILE_NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"{name!r} is no name of a migration: expected 0002_what_it_does.sql")
        found.append(Migration(int(match[1]), name.removesuffix(".sql"), script))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations are numbered {numbers}: expected each number once, from 1 on")
    return tuple(found)


def apply_pending(
    connection: Connection, where: str, migrations: tuple[Migration, ...] | None = None
) -> list[str]:
    """Apply pending migrations in the open transaction of `connection`. Returns their names.

    `where` is the database in words. This waits for another process that does the same.

    Raises:
        DatabaseSettingError: the database is too old, has a newer schema, or does not permit it.
        DatabaseUnavailableError: it is a standby.
    """
    migrations = all_migrations() if migrations is None else migrations
    _check_server(connection, where)
    limit = milliseconds(MIGRATION_LIMIT_S)
    connection.execute(
        "select set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true)",
        [limit, limit],
    )
    connection.execute("select pg_advisory_xact_lock(%s)", [MIGRATION_LOCK])
    pending = _pending(connection, where, migrations)
    try:
        for migration in pending:
            _apply(connection, migration)
    except psycopg.ProgrammingError as error:
        raise DatabaseSettingError(
            f"The tables of studymatch cannot be made in the {where}: {first_line(error)}. Check that the"
            " user may create tables there, and that no other program's tables have the same names."
        ) from error
    return [migration.name for migration in pending]


def find_pending(connection: Connection, where: str) -> list[str]:
    """The names of the migrations that `apply_pending` would apply. Changes nothing and takes no lock.

    Raises:
        DatabaseSettingError, DatabaseUnavailableError: as `apply_pending`.
    """
    _check_server(connection, where)
    return [migration.name for migration in _pending(connection, where, all_migrations())]


def whole_script() -> str:
    """All migrations as one script, for `psql` on an empty database, or on one without `schema_migration`."""
    parts = [
        "-- All tables of studymatch, from nothing. Run it with psql -v ON_ERROR_STOP=1.",
        "begin;",
        f"select pg_advisory_xact_lock({MIGRATION_LOCK});",
        LOG_TABLE.strip(),
    ]
    for migration in all_migrations():
        parts += [
            f"-- {migration.name}",
            migration.script.strip(),
            "insert into schema_migration (number, name, checksum) values"
            f" ({migration.number}, '{migration.name}', '{migration.checksum}');",
            f"update schema_version set version = {migration.number};",
        ]
    return "\n\n".join([*parts, "commit;"]) + "\n"


def _apply(connection: Connection, migration: Migration) -> None:
    connection.execute(LOG_TABLE)
    connection.execute(migration.script.encode())
    connection.execute(
        "insert into schema_migration (number, name, checksum) values (%s, %s, %s)",
        (migration.number, migration.name, migration.checksum),
    )
    connection.execute("update schema_version set version = %s", (migration.number,))


def _pending(connection: Connection, where: str, migrations: tuple[Migration, ...]) -> list[Migration]:
    """The migrations that were not applied.

    Raises:
        DatabaseSettingError: the schema is newer than `migrations`, or one of them was changed since.
    """
    applied = _applied(connection)
    newest = max([*applied, _version(connection)])
    if newest > len(migrations):
        raise DatabaseSettingError(
            f"The tables in the {where} have another version ({newest}) than this studymatch knows"
            f" ({len(migrations)}). Run the newer studymatch, or use another database."
        )
    for migration in migrations:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise DatabaseSettingError(
                f"The migration {migration.name} was applied to the {where} in another form than this"
                " studymatch has it. Run the studymatch that applied it, or use another database."
            )
    return [migration for migration in migrations if migration.number not in applied]


def _applied(connection: Connection) -> dict[int, str]:
    """The checksum of each migration that was applied, by its number."""
    if not _exists(connection, "schema_migration"):
        return {}
    return dict(connection.execute("select number, checksum from schema_migration").fetchall())


def _version(connection: Connection) -> int:
    """The version that older programs read; 0: there are no tables yet."""
    if not _exists(connection, "schema_version"):
        return 0
    row = connection.execute("select version from schema_version").fetchone()
    return int(row[0]) if row else 0


def _exists(connection: Connection, table: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", (table,)).fetchone()
    return bool(row and row[0])


def _check_server(connection: Connection, where: str) -> None:
    """Check that the database that `where` describes can hold the tables; permissions are not checked."""
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


FACTS = """
select current_setting('server_encoding'), current_setting('transaction_read_only'), pg_is_in_recovery()
"""

LOG_TABLE = """
create table if not exists schema_migration (
    number integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
);
comment on table schema_migration is 'One row for each migration of studymatch that was applied.';
"""
