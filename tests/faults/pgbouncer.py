"""A real PgBouncer in front of a PostgreSQL of the tests, on a Unix socket of its own.

It refuses to run as root, so root runs it as the account of the PostgreSQL behind it. All calls block: call
them in a thread.
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
"""For every start and stop."""

PORT = 6432
"""Part of the socket's name only."""

NEEDS_PGBOUNCER = "needs PgBouncer (Debian, Ubuntu: apt-get install pgbouncer)"


class PgBouncer:
    """PgBouncer before the server of `conninfo`, with `settings` for its section of the same name.

    Everybody is let in, and is the user of `conninfo`. Any of the server's databases can be asked for.
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
        """The connection string of the same database, behind this."""
        return make_conninfo(host=str(self._folder), port=PORT, user="ada", dbname=self._behind["dbname"])

    def log(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    def start(self) -> None:
        """Start it, and wait until it listens; PostgreSQL may be away."""
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
        """End it and every connection through it at once."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(LIMIT_S)


def path_of_pgbouncer() -> str:
    """The program, which only root has on the path; without it the test is skipped, which in CI fails it."""
    found = shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(NEEDS_PGBOUNCER)
    return found


@contextmanager
def a_pgbouncer(conninfo: str, **settings: object) -> Iterator[PgBouncer]:
    """A PgBouncer that runs in front of the database `conninfo`, and is gone afterwards."""
    with open_folder() as folder:
        bouncer = PgBouncer(folder, conninfo, **settings)
        bouncer.start()
        try:
            yield bouncer
        finally:
            bouncer.stop()
