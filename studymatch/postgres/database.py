"""One PostgreSQL database, used from trio: connections, worker threads, time limits, and readable errors.

psycopg does not support trio, so its synchronous connections run in trio's worker threads, under a limiter of
their own. A thread cannot be cancelled: a cancelled call leaves its thread behind, and `Limits` bounds how
long that thread goes on. Its transaction may or may not be committed, so everything run here must be
repeatable.

This module has no SQL of the product, it does not retry, and no error text contains the password.
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias, TypeVar

import psycopg
import trio
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool, PoolTimeout

from studymatch.postgres.conninfo import read_conninfo

T = TypeVar("T")
Connection: TypeAlias = "psycopg.Connection[TupleRow]"

CONNECTIONS = 2
"""For each `Database`. The ledger needs one for the batch that is being written, and one to renew the lease
meanwhile."""

TURNED_AWAY = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "does not exist",
    "is not permitted to log in",
    "permission denied for database",
    # PgBouncer:
    "no such database",
    "no such user",
    "unsupported startup parameter",
    "not allowed in statement pooling mode",
)
"""Messages of a server that is reachable and refuses these credentials. Before authentication psycopg gets no
error code, only the text. A text in another language is not recognised: the database counts as
unavailable."""

# While the database is unavailable, psycopg and its pool would log a line for each attempt. The errors that
# are raised here say the same.
logging.getLogger("psycopg").addHandler(logging.NullHandler())
logging.getLogger("psycopg").propagate = False


class StoreError(Exception):
    """Something is wrong with the database; the text is for people and says what to check."""


class DatabaseSettingError(StoreError):
    """The database cannot be used as it is configured: a retry cannot succeed."""


class DatabaseUnavailableError(StoreError):
    """The operation failed and may succeed later: the database is unreachable, slow or not set up."""


class RecordRefusedError(StoreError):
    """The database refuses this data, and always will; nothing of the transaction was written."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the database may keep a thread waiting."""

    connect_s: float = 5.0
    """To open one connection; libpq accepts whole seconds, two at least."""
    acquire_s: float = 5.0
    """To get a connection from the pool, opened if need be."""
    network_s: float = 10.0
    """Until bytes that were sent and are not acknowledged end the connection."""
    statement_s: float = 10.0
    """For one statement, and between two statements of a transaction."""
    lock_s: float = 5.0
    """To wait for a lock that another transaction holds."""


class Database:
    """The database that `conninfo` (a URI or key=value pairs) names.

    A context manager: the pool of connections lives as long as the block. The block can be entered and used
    while the database is unavailable. Each instance has connections and threads of its own, so two of them
    never wait for each other. With `read_only`, PostgreSQL refuses every change.

    Raises:
        DatabaseSettingError: `conninfo` cannot be understood.
    """

    def __init__(self, conninfo: str, limits: Limits, *, read_only: bool = False) -> None:
        self._limits = limits
        self._read_only = read_only
        self._params = _with_defaults(_parse(conninfo), limits)
        self._limiter = trio.CapacityLimiter(CONNECTIONS)
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            kwargs=self._params,
            min_size=0,
            max_size=CONNECTIONS,
            open=False,
            configure=self._set_up,
            timeout=limits.acquire_s,
            reconnect_timeout=limits.acquire_s,
            num_workers=CONNECTIONS,
            name="studymatch",
        )

    async def __aenter__(self) -> Database:
        self._pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._pool.close, self._limits.connect_s)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction of a connection of the pool, in a thread; returns what it returns.

        Cancelling leaves the thread behind; it may still commit.

        Raises:
            RecordRefusedError, DatabaseUnavailableError: nothing was written, or (if the connection was
                lost while committing) it is not known whether it was.
        """

        def run() -> T:
            with self._pool.connection() as connection:
                self._begin(connection)
                return work(connection)

        return await self._in_thread(run)

    async def transact_alone(self, work: Callable[[Connection], T]) -> T:
        """As `transact`, on a new connection, whose failure is reported at once with its cause.

        `work` sets its own limits on statements and locks.

        Raises:
            DatabaseSettingError: the server is reachable, and refuses this user or this database.
        """

        def run() -> T:
            try:
                with psycopg.connect(**self._params) as connection:
                    self._set_up(connection)
                    return work(connection)
            except psycopg.OperationalError as error:
                if any(words in str(error) for words in TURNED_AWAY):
                    raise DatabaseSettingError(str(self._explained(error))) from error
                raise

        return await self._in_thread(run)

    async def _in_thread(self, run: Callable[[], T]) -> T:
        def explain() -> T:
            try:
                return run()
            except PoolTimeout:
                raise self._why_no_connection() from None
            except (psycopg.Error, ValueError, OverflowError, struct.error) as error:
                raise self._explained(error) from error

        return await trio.to_thread.run_sync(explain, limiter=self._limiter, abandon_on_cancel=True)

    def _set_up(self, connection: Connection) -> None:
        """Let every transaction begin with READ ONLY, if it must not write.

        The setting default_transaction_read_only would be one of a session, which PgBouncer shares.
        """
        connection.read_only = self._read_only or None

    def _begin(self, connection: Connection) -> None:
        """Set the limits of this transaction, and `array_nulls`, so that null in an array is NULL.

        PgBouncer does not forward start-up options, and settings of a session would reach other clients.
        """
        limits = self._limits
        connection.execute(
            "select set_config('statement_timeout', %s, true), set_config('lock_timeout', %s, true),"
            " set_config('idle_in_transaction_session_timeout', %s, true),"
            " set_config('array_nulls', 'on', true)",
            [milliseconds(s) for s in (limits.statement_s, limits.lock_s, limits.statement_s)],
        )

    def __str__(self) -> str:
        """The database in words: host, port, name and user; never the password."""
        params = self._params
        host = params.get("host") or params.get("hostaddr") or "this machine"
        port = f", port {params['port']}" if params.get("port") else ""
        name = f", database {params['dbname']}" if params.get("dbname") else ""
        user = f", user {params['user']}" if params.get("user") else ""
        return f"database at {host}{port}{name}{user}"

    def _why_no_connection(self) -> StoreError:
        """Connect once more, outside the pool, because the pool does not report why it has no connection."""
        try:
            psycopg.connect(**self._params).close()
        except psycopg.Error as error:
            return self._explained(error)
        return DatabaseUnavailableError(f"No connection to the {self} was free in time.")

    def _explained(self, error: Exception) -> StoreError:
        """The error of this module for an error of psycopg, with a text that says what to check."""
        said = first_line(error)
        if password := self._params.get("password"):
            said = said.replace(str(password), "***")
        match error:
            case psycopg.IntegrityError() | psycopg.DataError() | psycopg.NotSupportedError():
                return RecordRefusedError(said)
            case psycopg.ProgrammingError(sqlstate=None) | ValueError() | OverflowError() | struct.error():
                return RecordRefusedError(said)  # psycopg cannot encode it, so it was never sent
            case psycopg.errors.QueryCanceled() | psycopg.errors.LockNotAvailable():
                return DatabaseUnavailableError(
                    f"The {self} is too slow: {said}. Check its load, and what holds locks in it."
                )
            case psycopg.OperationalError():
                return DatabaseUnavailableError(
                    f"The {self} cannot be reached: {said}. Check that PostgreSQL runs there, that this"
                    " machine may connect, and that database, user and password are right."
                )
            case _:
                return DatabaseUnavailableError(
                    f"The {self} is not set up: {said}. Check it with `studymatch migrate`."
                )


class OnDatabase:
    """A base for calls on one `Database`: a context manager that opens and closes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Self:
        await self._database.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._database.__aexit__(kind, error, trace)


def _parse(conninfo: str) -> dict[str, Any]:
    """The parts of a connection string. An error quotes none of them."""
    try:
        return read_conninfo(conninfo)
    except ValueError as error:
        raise DatabaseSettingError(f"The database address cannot be understood. Expected {error}.") from None


def _with_defaults(params: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """The parameters to connect with: those of the address, and defaults for the others.

    The address cannot change the encoding, because only UTF8 can encode every name.
    """
    return {
        "application_name": "studymatch",
        "connect_timeout": max(2, math.ceil(limits.connect_s)),
        "tcp_user_timeout": milliseconds(limits.network_s),
        # Nothing else detects a server machine that vanishes before it has answered.
        "keepalives_idle": math.ceil(limits.network_s),
        "keepalives_interval": max(1, math.ceil(limits.network_s / 3)),
        "keepalives_count": 3,
        # Behind PgBouncer the next transaction may use a server connection with other prepared statements.
        "prepare_threshold": None,
        **params,
        "client_encoding": "UTF8",
    }


def milliseconds(seconds: float) -> str:
    """A limit for PostgreSQL: whole milliseconds, and never zero, which would mean no limit."""
    return str(max(1, round(seconds * 1000)))


def first_line(error: BaseException) -> str:
    """The text of an error without the detail lines, which contain the values of the row."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary.rstrip(".")
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
