"""A real PgBouncer in front of a PostgreSQL of the tests, on a separate Unix socket.

It refuses to run as root, so root runs it as the account of the PostgreSQL behind it. All calls block, so
call them in a thread.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from studymatch.postgres.programs import account_for
from tests.support.database import open_folder

LIMIT_S = 60.0
"""The time limit of every start and stop."""

PORT = 6432
"""Only a part of the socket's name."""

NEEDS_PGBOUNCER = "needs PgBouncer (Debian, Ubuntu: apt-get install pgbouncer)"


class PgBouncer:
    """PgBouncer in front of the server of `conninfo`, with `settings` for its section ``[pgbouncer]``.

    It accepts every client, as the user of `conninfo`, for any of the server's databases.
    """

    def __init__(self, folder: Path, conninfo: str, **settings: object) -> None:
        self._folder = folder
        self._behind = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
        self._log = folder / "pgbouncer.log"
        self._account = account_for(Path(self._behind["host"]).stat().st_uid)
        self._process: subprocess.Popen[bytes] | None = None
        self._account.take(folder)
        (folder / "pgbouncer.ini").write_text(self._configuration(settings))

    def _configuration(self, settings: dict[str, object]) -> str:
        behind = {name: self._behind[name] for name in ("host", "port", "user")}
        own = {"unix_socket_dir": self._folder, "listen_port": PORT, "auth_type": "any"} | settings
        return "\n".join(
            [
                "[databases]",
                "* = " + " ".join(f"{name}={value}" for name, value in behind.items()),
                "[pgbouncer]",
                *(f"{name} = {value}" for name, value in own.items()),
                "",
            ]
        )

    @property
    def conninfo(self) -> str:
        """The connection string of the same database through PgBouncer."""
        return make_conninfo(host=str(self._folder), port=PORT, user="ada", dbname=self._behind["dbname"])

    def log(self) -> str:
        """Its log so far."""
        return self._log.read_text()

    def start(self) -> None:
        """Start it, and wait until it listens; PostgreSQL need not run."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [path_of_pgbouncer(), str(self._folder / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                **self._account.popen,
            )
        deadline = time.monotonic() + LIMIT_S
        while not (self._folder / f".s.PGSQL.{PORT}").exists():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it and all its connections at once."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(LIMIT_S)


def path_of_pgbouncer() -> str:
    """The path of the program, which may be in sbin. Without it the test is skipped, or in CI fails."""
    found = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(NEEDS_PGBOUNCER)
    return found


@contextmanager
def a_pgbouncer(conninfo: str, **settings: object) -> Iterator[PgBouncer]:
    """Run a PgBouncer in front of the database `conninfo` while the block is open."""
    with open_folder() as folder:
        bouncer = PgBouncer(folder, conninfo, **settings)
        bouncer.start()
        try:
            yield bouncer
        finally:
            bouncer.stop()
