"""A private PostgreSQL in a data folder, started and stopped with this process.

Theory of operation
-------------------
The data folder holds all there is: ``pgdata`` (the cluster), ``run`` (the folder of the Unix socket, the
only way in), ``postgres.log``, and ``studymatch.lock``. Whoever holds the lock on that last file owns the
others. A lock dies with its process, so after a SIGKILL the next start gets it, and whatever server still
runs on ``pgdata`` is then nobody's: it is stopped, and another one started that is a child of this process.

Creating the cluster, and its programs where they have to be copied, happens beside the final place and ends
with a rename, so that a start that was interrupted leaves nothing that looks finished.

The server is in a session of its own: a Ctrl-C on the terminal reaches this process only, which stops the
server after everything that uses it. It may not outlive the block, whatever happens.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import psycopg
import trio
from psycopg.conninfo import make_conninfo

from actors import Intensity, Journal, serving
from studymatch.programs import (
    Account,
    EmbeddedPostgresError,
    Programs,
    account_for,
    choose,
    in_the_wheel,
    on_this_machine,
    reachable,
)

ROLE = "studymatch"
"""The name of the database and of its owner."""

PORT = 5432
"""Part of the socket's name only; nothing listens on TCP."""

SOCKET_PATH_MAX = 107 if sys.platform == "linux" else 103
"""Bytes of the path of a Unix socket: `sun_path` of sockaddr_un, less its final zero."""

START_LIMIT_S = 120.0
"""After a crash PostgreSQL replays its log before it lets anybody in."""

POLL_S = 0.02

ORPHANS_POLL_S = 0.25
"""How often to try again while the last processes of a killed server are ending."""

STOP_STEPS = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""How a server is stopped, and how long each step has: fast shutdown, immediate shutdown, by force."""

LOG_MAX_BYTES = 10_000_000
"""A log larger than this is set aside at the start; one former log is kept."""

INTENSITY = Intensity(restarts=3, period_s=30.0)
"""How often a server that stops by itself is started again."""

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
    "log_error_verbosity": "terse",  # no rows of people in the log
    "cluster_name": "studymatch",
}
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def default_data_dir() -> Path:
    """Where data are kept unless somebody says otherwise: a folder in which the server's account can work."""
    if os.geteuid() == 0:
        return Path("/var/lib/studymatch")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "studymatch"


def make_data_dir(folder: Path) -> Path:
    """Make `folder` and its parents; those of root may be entered by the account that PostgreSQL runs as,
    whatever the umask is. Returns it.
    """
    for path in [*reversed(folder.parents), folder]:
        if not path.exists():
            path.mkdir()
            if os.geteuid() == 0:
                path.chmod(0o755)
    return folder


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
    """A PostgreSQL of one's own for as long as the block is open; gives its connection string (key=value).

    A server that stops by itself is started again. `durable=False` gives up safety against a crash of the
    machine for speed, for tests.

    Leaving the block stops the server, which ends connections that are still open. That cannot be
    cancelled, and takes as long as `STOP_STEPS` says at most. Errors of the block come out in an exception
    group, as from a nursery.

    Raises:
        EmbeddedPostgresError: it cannot be had, and why.
        TooManyRestartsError: it stopped by itself again and again; this cancels the block.
    """
    journal = journal or Journal("postgres")
    with _sole_user(data_dir) as folder:
        await _stop_leftover(folder / "pgdata", journal)
        server = await trio.to_thread.run_sync(_prepare, folder, candidates, durable)
        try:
            await server.start()
            journal.info("started", version=server.programs.major, data=str(folder))
            async with serving(server.attend, journal, INTENSITY):
                yield server.conninfo
        finally:
            with trio.CancelScope(shield=True):
                await server.stop()


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
        return self._conninfo(ROLE)

    def _conninfo(self, database: str) -> str:
        return make_conninfo(host=str(self._sockets), port=PORT, user=ROLE, dbname=database)

    async def start(self) -> None:
        """Start the server and wait until it lets people in.

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
        """One attempt. Returns False if processes of a killed server are just about to end."""
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

    def _greet(self) -> bool:
        """Whether the server lets people in; makes the database, the first time."""
        try:
            with psycopg.connect(
                self._conninfo("postgres"), autocommit=True, connect_timeout=5
            ) as connection:
                there = connection.execute("select from pg_database where datname = %s", [ROLE]).fetchone()
                if there is None:
                    connection.execute(f"create database {ROLE}")
        except psycopg.OperationalError:
            return False
        return True

    async def attend(self) -> None:
        """Watch over the server, which must not stop by itself; run again, this starts it again."""
        if self._process is None:
            await self.start()
        assert self._process is not None
        status = await self._process.wait()
        self._process = None
        raise EmbeddedPostgresError(f"PostgreSQL stopped by itself, with status {status}; see {self._log}.")

    async def stop(self) -> None:
        """Stop the server, with less and less patience. Returns when it is gone."""
        process = self._process
        for how, limit_s in STOP_STEPS:
            if process is None or process.returncode is not None:
                break
            process.send_signal(how)
            with trio.move_on_after(limit_s):
                await process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)


@contextmanager
def _sole_user(data_dir: Path) -> Iterator[Path]:
    """Make the data folder if need be, and own it; gives its real path.

    Raises:
        EmbeddedPostgresError: another process owns it, or it cannot be made or written to.
    """
    with ExitStack() as stack:
        with _plainly(data_dir):
            data_dir = make_data_dir(data_dir.expanduser().absolute()).resolve()
            lock = stack.enter_context((data_dir / "studymatch.lock").open("a+"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise EmbeddedPostgresError(
                f"Another studymatch (process {lock.read().strip()}) runs on the data folder {data_dir}."
                " Stop it, or choose another folder with --data-dir."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield data_dir


@contextmanager
def _plainly(data_dir: Path) -> Iterator[None]:
    """Turn the system's refusals into something for people."""
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(
            f"The data folder {data_dir} cannot be used: {error}. Choose another with --data-dir, or give"
            " studymatch a PostgreSQL of yours with --database-url."
        ) from error


def _prepare(data_dir: Path, candidates: Callable[[], Sequence[Programs]], durable: bool) -> Server:
    """Everything but the server itself: account, programs, cluster, folder of the socket. Blocks."""
    with _plainly(data_dir):
        pgdata = data_dir / "pgdata"
        is_new = not pgdata.exists()
        account = account_for(None if is_new else pgdata.stat().st_uid)
        if barrier := account.barrier(data_dir):
            raise EmbeddedPostgresError(
                f"PostgreSQL refuses to run as root, so it runs as {account.name}, which may not enter"
                f" {barrier}. Choose a data folder elsewhere with --data-dir, or: chmod o+x {barrier}"
            )
        major = None if is_new else int((pgdata / "PG_VERSION").read_text())
        programs = reachable(choose(candidates(), major, pgdata), account, data_dir)
        if is_new:
            _make_cluster(programs, account, pgdata, durable)
        account.take_over(pgdata)
        sockets = _socket_folder(data_dir, account)
        return Server(programs, account, pgdata, sockets, SERVER_SETTINGS | ({} if durable else NOT_DURABLE))


def _make_cluster(programs: Programs, account: Account, pgdata: Path, durable: bool) -> None:
    for former in pgdata.parent.glob("pgdata-unfinished-*"):
        shutil.rmtree(former, ignore_errors=True)
    unfinished = Path(tempfile.mkdtemp(prefix="pgdata-unfinished-", dir=pgdata.parent))
    account.take_over(unfinished)
    command = [programs.initdb, "-D", str(unfinished), "--username", ROLE, "--auth", "trust"]
    command += ["--encoding", "UTF8", "--locale", "C", "--no-instructions"]
    # Whoever can reach the socket is let in ("trust"): its folder is open to the account and to root only.
    made = subprocess.run(
        command if durable else [*command, "--no-sync"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **_surroundings(account),
    )
    if made.returncode != 0:
        last = "\n".join(made.stdout.strip().splitlines()[-5:])
        raise EmbeddedPostgresError(
            f"PostgreSQL's initdb cannot make a cluster in {pgdata}. It says:\n{last}"
        )
    unfinished.rename(pgdata)


def _surroundings(account: Account) -> dict[str, Any]:
    """As whom, where and with which environment programs of PostgreSQL run: nothing of ours but the paths."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return {**account.popen, "cwd": "/", "env": kept | {"LC_ALL": "C"}}


def _socket_folder(data_dir: Path, account: Account) -> Path:
    """A new folder that only the account may enter, with a path that is short enough for a socket in it.

    It is ``run`` in the data folder, or else what the link ``run`` there points to. So what a killed process
    left is found and removed; PostgreSQL could take its lock on the socket for that of a living server.
    """
    folder = data_dir / "run"
    if folder.is_symlink():
        shutil.rmtree(folder.readlink(), ignore_errors=True)
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)
    if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_MAX:
        folder.mkdir(mode=0o700)
    else:
        short = Path(tempfile.mkdtemp(prefix="studymatch-", dir="/tmp"))
        folder.symlink_to(short)
        folder = short
    account.take_over(folder)
    return folder


def _open_log(path: Path) -> BinaryIO:
    """The log of the server, to append to; for nobody else to read."""
    if path.exists() and path.stat().st_size > LOG_MAX_BYTES:
        path.rename(path.with_suffix(".log.1"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


async def _stop_leftover(pgdata: Path, journal: Journal) -> None:
    """Stop the server of a process that was killed, if it still runs, and remove its pid file.

    PostgreSQL takes any living process of the account for its server if the number is the same, and then
    does not start; here the lock on the data folder and the command line say which is which.
    """
    pid_file = pgdata / "postmaster.pid"
    with _plainly(pgdata.parent):
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text().split()[0])
        for how, limit_s in STOP_STEPS:
            if not _serves(pid, pgdata):
                break
            journal.warning("stopping the server of a killed process", pid=pid, signal=how.name)
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            with trio.move_on_after(limit_s):
                while _serves(pid, pgdata):  # noqa: ASYNC110 (it is no child of ours, so nothing tells)
                    await trio.sleep(POLL_S)
        else:
            raise EmbeddedPostgresError(
                f"A PostgreSQL server (process {pid}) of a studymatch that was killed cannot be stopped."
            )
        pid_file.unlink(missing_ok=True)


def _serves(pid: int, pgdata: Path) -> bool:
    """Whether the process `pid` is a PostgreSQL server that runs on `pgdata`."""
    if Path("/proc/self/cmdline").exists():
        try:
            said = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return False
    else:
        command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
        said = subprocess.run(command, capture_output=True, text=True).stdout.replace("\n", " ")
    return f"postgres -D {pgdata} " in said
