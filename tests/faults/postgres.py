"""A PostgreSQL for tests that can be stopped, frozen, killed and restarted while it is used.

Unlike the one for other tests it keeps committed transactions when its processes are killed (but perhaps not
when the machine crashes). All calls block, so call them in a thread.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from studymatch.postgres.private import ROLE, installations
from studymatch.postgres.programs import account_for, choose, reachable
from tests.support.database import ServerThread, open_folder

LIMIT_S = 60.0
"""The time limit of every start and stop."""

_numbers = count(1)


class Postgres:
    """The server on the cluster in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._pgdata = folder / "data" / "pgdata"
        self._standby = self._pgdata / "standby.signal"
        self._sockets = folder / "sockets"
        self._log = folder / "log"
        self._account = account_for(self._pgdata.stat().st_uid)
        major = int((self._pgdata / "PG_VERSION").read_text())
        programs = choose(installations(), major, self._pgdata)
        self._programs = reachable(programs, self._account, folder / "data")
        self._process: subprocess.Popen[bytes] | None = None
        self._is_frozen = False
        self._sockets.mkdir(mode=0o700)
        self._account.take_over(self._sockets)

    def conninfo(self, database: str = "postgres") -> str:
        """The connection string of one of its databases."""
        return make_conninfo(host=str(self._sockets), port=5432, user=ROLE, dbname=database)

    def new_database(self) -> str:
        """Create an empty database; returns its connection string."""
        name = f"faults_{next(_numbers)}"
        query(self.conninfo(), f"create database {name}")
        return self.conninfo(name)

    def start(self) -> None:
        """Start it, unless it runs, and wait until it accepts connections."""
        deadline = time.monotonic() + LIMIT_S
        while not self._greets():
            if self._process is None or self._process.poll() is not None:
                self._launch()  # repeated while the last processes of a killed one still run
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.05)

    def _launch(self) -> None:
        settings = {"listen_addresses": "", "port": "5432", "max_connections": "60", "fsync": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs.postgres, "-D", str(self._pgdata), "-k", str(self._sockets), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                **self._account.popen,
            )

    def _greets(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(self.conninfo(), connect_timeout=5).close()
            return True
        return False

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT rolls back open transactions, SIGQUIT drops everything as a crash does."""
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(LIMIT_S)

    def freeze(self) -> None:
        """Suspend all its processes with SIGSTOP: connections stay open, but nothing answers."""
        self._is_frozen = True
        self._signal_family(signal.SIGSTOP)

    def thaw(self) -> None:
        """Resume all its processes."""
        self._is_frozen = False
        self._signal_family(signal.SIGCONT)

    def become_standby(self) -> None:
        """Restart it as a standby, which accepts connections but no writes."""
        self.stop()
        self._standby.touch()
        self.start()

    def recover(self) -> None:
        """Restore the initial state, whatever was done."""
        if self._is_frozen:
            self.thaw()
        if self._standby.exists():
            self.stop()
            self._standby.unlink()
        self.start()
        self.wait_for_standby(False)

    def wait_for_standby(self, on: bool) -> None:
        """With `on`, make every commit, once on disk, wait for a standby that does not exist."""
        how = "alter system set synchronous_standby_names = 'nobody'" if on else "alter system reset all"
        query(self.conninfo(), how)
        query(self.conninfo(), "select pg_reload_conf()")

    def _signal_family(self, what: signal.Signals) -> None:
        for pid in self._family():
            with suppress(ProcessLookupError):  # it has ended, and its parent has reaped it
                os.kill(pid, what)

    def _family(self) -> list[int]:
        """The ids of its processes, the postmaster first."""
        assert self._process is not None
        children = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [self._process.pid, *(pid for pid in children if _parent(pid) == self._process.pid)]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


@contextmanager
def a_postgres() -> Iterator[Postgres]:
    """Create and run a cluster while the block is open, and delete it afterwards."""
    with open_folder() as folder:
        with ServerThread(folder / "data"):
            pass
        postgres = Postgres(folder)
        try:
            postgres.start()
            yield postgres
        finally:
            if postgres._is_frozen:
                postgres.thaw()
            if postgres._process is not None and postgres._process.poll() is None:
                postgres.stop(signal.SIGQUIT)


def query(conninfo: str, sql: str, *parameters: object) -> list[dict[str, Any]]:
    """Run one statement in a transaction of its own; returns its rows."""
    with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as connection:
        cursor = connection.execute(sql.encode(), parameters)
        return cursor.fetchall() if cursor.description is not None else []


WRITERS = (
    "select pid, wait_event, state from pg_stat_activity"
    " where application_name = 'studymatch' and datname = current_database()"
)
"""The connections of the server under test."""


def writers_waiting_for(conninfo: str, event: str) -> list[int]:
    """The backends of the server under test that wait for `event`."""
    return [row["pid"] for row in query(conninfo, WRITERS) if row["wait_event"] == event]


def terminate_writers(conninfo: str) -> int:
    """End the connections of the server under test, as an administrator does; returns their number."""
    return len(query(conninfo, f"select pg_terminate_backend(pid) from ({WRITERS}) as writers"))


def kill_writers(conninfo: str) -> int:
    """Kill the backends of the server under test with SIGKILL: PostgreSQL then recovers as after a crash."""
    pids = [row["pid"] for row in query(conninfo, WRITERS)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return len(pids)
