"""A private PostgreSQL in a data folder, started and stopped with this process.

Theory of operation
-------------------
The data folder contains everything: ``pgdata`` (the cluster), ``run`` (the folder of the Unix socket, the
only way to connect), ``postgres.log``, and ``studymatch.lock``. The process that holds the lock on that last
file owns the others. The system releases the lock when the process ends. So after a SIGKILL the next start
gets it, stops any server that still runs on ``pgdata``, and starts a new one as its own child.

This module creates the cluster, and a copy of the programs where one is needed, under a temporary name and
renames it at the end, so an interrupted start leaves nothing that looks complete.

The server has a session of its own: a Ctrl-C on the terminal reaches this process only, which stops the
server after everything that uses it. The server never outlives the block.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
import trio
from psycopg.conninfo import make_conninfo

from actors import Backoff, Journal, serving
from studymatch.postgres.folders import make_data_dir, place_for_postgres, socket_folder
from studymatch.postgres.leftover import PATIENCE, POLL_S, stop_leftover
from studymatch.postgres.programs import (
    Account,
    EmbeddedPostgresError,
    Programs,
    account_for,
    choose,
    in_the_wheel,
    on_this_machine,
    reachable,
    version_of,
)
from studymatch.state_files import (
    FolderInUseError,
    Tell,
    make_way,
    sole_user,
    sync_folder,
)

ROLE = "studymatch"
"""The name of the database and of its owner."""

PORT = 5432
"""Part of the socket's name only; nothing listens on TCP."""

SOCKET = f".s.PGSQL.{PORT}"

START_LIMIT_S = 120.0
"""After a crash PostgreSQL replays its log before it accepts connections."""

ORPHANS_POLL_S = 0.25
"""Seconds between attempts while the last processes of a killed server are ending."""

LOG_MAX_BYTES = 10_000_000
"""A larger log is renamed at the start; one old log is kept."""

BACKOFF = Backoff(first_s=0.5, most_s=30.0, sound_s=60.0)
"""The pauses before a server that stops by itself is started again, without a limit on attempts: matching
goes on without it, and records wait in the backlog."""

SERVER_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "20",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",  # keeps data of people out of the log
    "cluster_name": "studymatch",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def installations() -> list[Programs]:
    """All programs of PostgreSQL that can be found: those of the machine first, then those of the wheel."""
    return [*on_this_machine(), *in_the_wheel()]


@asynccontextmanager
async def embedded_postgres(
    data_dir: Path,
    *,
    journal: Journal | None = None,
    durable: bool = True,
    candidates: Callable[[], Sequence[Programs]] = installations,
) -> AsyncIterator[str]:
    """A private PostgreSQL for as long as the block is open; yields its connection string (key=value).

    A server that stops by itself is started again, after the pauses of `BACKOFF`. Neither the stop nor a
    failed restart ends the block. `durable=False` is faster, but loses data in a crash of the machine; for
    tests.

    Leaving the block stops the server, which ends open connections. That cannot be cancelled, and takes at
    most the time in `PATIENCE`. Errors of the block are raised in an exception group, as from a nursery.

    Raises:
        EmbeddedPostgresError: the first start failed; the text says why.
    """
    journal = journal or Journal("postgres")
    with _sole_user(data_dir, journal) as folder:
        with _plainly(folder):
            await stop_leftover(folder / "pgdata", journal)
        server = await trio.to_thread.run_sync(_prepare, folder, candidates, durable, _from_thread(journal))
        try:
            await server.start()
            journal.info("started", version=server.programs.major, data=str(folder))
            async with serving(server.attend, journal, BACKOFF):
                yield server.conninfo
        finally:
            with trio.CancelScope(shield=True):
                await server.stop()


def running_postgres(data_dir: Path) -> str:
    """The connection string of the private PostgreSQL that another process runs in `data_dir`.

    Nothing is started, made or changed.

    Raises:
        EmbeddedPostgresError: none runs there, or this user may not enter its folder.
    """
    with _plainly(data_dir):
        link = data_dir / "elsewhere"
        place = link.readlink() if link.is_symlink() else data_dir
        sockets = (place / "run").resolve()
        if not (sockets / SOCKET).exists():
            raise EmbeddedPostgresError(
                f"No private PostgreSQL runs in {data_dir}. Start studymatch with this data folder, or give"
                " the address of its database with --database-url."
            )
        return _conninfo(sockets, ROLE)


def _conninfo(sockets: Path, database: str) -> str:
    return make_conninfo(host=str(sockets), port=PORT, user=ROLE, dbname=database)


class Server:
    """One server process at a time, on the cluster in `pgdata`, reachable through a socket in `sockets`."""

    def __init__(
        self, programs: Programs, account: Account, pgdata: Path, sockets: Path, settings: dict[str, str]
    ) -> None:
        self.programs = programs
        self.pgdata = pgdata
        self._account = account
        self._sockets = sockets
        self._log = pgdata.parent / "postgres.log"
        self._settings = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process: trio.Process | None = None

    @property
    def conninfo(self) -> str:
        return _conninfo(self._sockets, ROLE)

    async def start(self) -> None:
        """Start the server and wait until it accepts connections.

        Raises:
            EmbeddedPostgresError: it does not start; with the last lines of its log.
        """
        with trio.move_on_after(START_LIMIT_S) as patience:
            while not await self._try_to_start():  # noqa: ASYNC110 (other processes have no event)
                await trio.sleep(ORPHANS_POLL_S)
        if patience.cancelled_caught:
            raise EmbeddedPostgresError(
                f"PostgreSQL did not come up within {START_LIMIT_S:g} s. Its log is {self._log}."
            )

    async def _try_to_start(self) -> bool:
        """One attempt. Returns False if processes of a killed server are still ending."""
        self._remove_broken_locks()
        with _open_log(self._log) as log:
            before = log.tell()
            self._process = await trio.lowlevel.open_process(
                [self.programs.postgres, "-D", str(self.pgdata), "-k", str(self._sockets), *self._settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **_surroundings(self._account),
            )
        while not await trio.to_thread.run_sync(self._greet, abandon_on_cancel=True):
            if self._process.returncode is not None:
                self._process = None
                said = self._log.read_bytes()[before:].decode(errors="replace").strip()
                if "still in use" in said:
                    return False
                last = "\n".join(said.splitlines()[-5:])
                raise EmbeddedPostgresError(f"PostgreSQL does not start. Its log ({self._log}) says:\n{last}")
            await trio.sleep(POLL_S)
        return True

    def _remove_broken_locks(self) -> None:
        """Remove the incomplete lock files of a server that was killed while it wrote them.

        PostgreSQL never starts with an empty one. A complete pid file stays: by it PostgreSQL sees whether
        processes of the killed server still use the data.
        """
        pid_file = self.pgdata / "postmaster.pid"
        if pid_file.is_file() and pid_file.stat().st_size == 0:
            pid_file.unlink()
        (self._sockets / f"{SOCKET}.lock").unlink(missing_ok=True)

    def _greet(self) -> bool:
        """Whether the server accepts connections; creates the database, the first time."""
        try:
            with psycopg.connect(
                _conninfo(self._sockets, "postgres"), autocommit=True, connect_timeout=5
            ) as connection:
                there = connection.execute("select from pg_database where datname = %s", [ROLE]).fetchone()
                if there is None:
                    connection.execute(f"create database {ROLE}")
        except psycopg.OperationalError:
            return False
        return True

    async def attend(self) -> None:
        """Wait for the server, and raise when it stops by itself. A further call first starts it again."""
        if self._process is None:
            await self.start()
        assert self._process is not None
        status = await self._process.wait()
        self._process = None
        raise EmbeddedPostgresError(f"PostgreSQL stopped by itself, with status {status}; see {self._log}.")

    async def stop(self) -> None:
        """Stop the server with the signals in `PATIENCE`. Returns when it has ended."""
        process = self._process
        for how, limit_s in PATIENCE:
            if process is None or process.returncode is not None:
                break
            process.send_signal(how)
            with trio.move_on_after(limit_s):
                await process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)


def _from_thread(journal: Journal) -> Tell:
    """`Journal.warning` for worker threads."""
    return lambda event, **fields: trio.from_thread.run_sync(partial(journal.warning, event, **fields))


@contextmanager
def _sole_user(data_dir: Path, journal: Journal) -> Iterator[Path]:
    """Create the data folder if it is missing, and lock it; yields its real path, or that of its substitute.

    Raises:
        EmbeddedPostgresError: another process owns it, or it cannot be created or written to.
    """
    with ExitStack() as stack:
        try:
            with _plainly(data_dir):
                data_dir = make_data_dir(data_dir.absolute()).resolve()
                stack.enter_context(sole_user(data_dir, journal.warning))
                place = place_for_postgres(data_dir, journal.warning)
                if place != data_dir:
                    stack.enter_context(sole_user(place, journal.warning))
        except FolderInUseError as error:
            raise EmbeddedPostgresError(
                f"{error} Stop it, or choose another folder with --data-dir."
            ) from None
        yield place


@contextmanager
def _plainly(data_dir: Path) -> Iterator[None]:
    """Turn errors of the system into errors for people."""
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(
            f"The data folder {data_dir} cannot be used: {error}. Choose another with --data-dir, or give"
            " studymatch a PostgreSQL of yours with --database-url."
        ) from error


def _prepare(
    data_dir: Path, candidates: Callable[[], Sequence[Programs]], durable: bool, tell: Tell
) -> Server:
    """Prepare account, programs, cluster and socket folder, and return the server. Blocks the thread."""
    with _plainly(data_dir):
        pgdata = data_dir / "pgdata"
        is_new = _is_to_be_made(pgdata)
        account = account_for(None if is_new else pgdata.stat().st_uid)
        if barrier := account.barrier(data_dir):
            raise EmbeddedPostgresError(
                f"PostgreSQL refuses to run as root, so it runs as {account.name}, which may not enter"
                f" {barrier}. Choose a data folder elsewhere with --data-dir, or: chmod o+x {barrier}"
            )
        major = None if is_new else version_of(pgdata, account, tell)
        programs = reachable(choose(candidates(), major, pgdata), account, data_dir)
        if is_new:
            _make_cluster(programs, account, pgdata, durable)
        account.take_over(pgdata)
        sockets = socket_folder(data_dir, SOCKET)
        account.take_over(sockets)
        for log in ("postgres.log", "postgres.log.1"):
            make_way(data_dir / log, tell)
        return Server(programs, account, pgdata, sockets, SERVER_SETTINGS | ({} if durable else NOT_DURABLE))


def _is_to_be_made(pgdata: Path) -> bool:
    """Whether there is no cluster yet.

    Raises:
        EmbeddedPostgresError: that cannot be determined, as when a disk is not mounted.
    """
    if pgdata.is_dir():
        return next(pgdata.iterdir(), None) is None
    if os.path.lexists(pgdata):
        raise EmbeddedPostgresError(
            f"{pgdata} is no folder, or leads to none. It holds the data of the private PostgreSQL: bring"
            " them back, or remove it to begin without them."
        )
    return True


def _make_cluster(programs: Programs, account: Account, pgdata: Path, durable: bool) -> None:
    if not account.is_known:
        raise EmbeddedPostgresError(
            f"PostgreSQL's initdb does not run as a user whom the system has no name for (id {os.geteuid()})."
            " Add the user to /etc/passwd, run studymatch as one who is there, or give it a PostgreSQL of"
            " yours with --database-url."
        )
    for former in pgdata.parent.glob("pgdata-unfinished-*"):
        shutil.rmtree(former, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="pgdata-unfinished-", dir=pgdata.parent))
    account.take_over(unfinished)
    command = [programs.initdb, "-D", str(unfinished), "--username", ROLE, "--auth", "trust"]
    command += ["--encoding", "UTF8", "--locale", "C", "--no-instructions"]
    # PostgreSQL trusts every client of the socket ("trust"): only the account and root can enter its folder.
    made = subprocess.run(
        command if durable else [*command, "--no-sync"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        **_surroundings(account),
    )
    if made.returncode != 0:
        last = "\n".join(made.stdout.strip().splitlines()[-5:])
        raise EmbeddedPostgresError(
            f"PostgreSQL's initdb cannot make a cluster in {pgdata}. It says:\n{last}"
        )
    unfinished.rename(pgdata)
    sync_folder(pgdata.parent)


def _surroundings(account: Account) -> dict[str, Any]:
    """The account, folder and environment for programs of PostgreSQL; of our environment only the paths."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**account.popen, "cwd": "/", "env": kept | {"LC_ALL": "C"}}


def _open_log(path: Path) -> BinaryIO:
    """Open the log of the server to append to. Only its owner can read it."""
    if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
        path.rename(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
