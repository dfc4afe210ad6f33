"""A real, private PostgreSQL for tests: one server for each worker of pytest, one database for each test.

The server is the embedded one of the product, without durability when the machine crashes. Import the
fixtures into a conftest.py to use them; most tests need `conninfo`.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from queue import SimpleQueue

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from studymatch.postgres.database import Limits
from studymatch.postgres.private import embedded_postgres
from studymatch.recording.store import Store

LIMIT_S = 120.0
"""The time limit of starting and stopping the server."""

QUICK = Limits(acquire_s=2.0, lock_s=0.5, statement_s=2.0)
"""Limits of a database for tests in which it is slow, locked or away."""


@contextmanager
def open_folder() -> Iterator[Path]:
    """A new folder that PostgreSQL's account can enter; only the owner can enter `tmp_path`."""
    folder = Path(tempfile.mkdtemp(prefix="studymatch-test-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


class ServerThread:
    """The embedded server for synchronous blocks: a separate thread runs it with trio."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._started: SimpleQueue[str | BaseException] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="postgres")
        self._stop: Callable[[], None] = lambda: None

    def _run(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as error:
            self._started.put(error)

    async def _serve(self) -> None:
        stop, token = trio.Event(), trio.lowlevel.current_trio_token()
        self._stop = lambda: token.run_sync_soon(stop.set)
        async with embedded_postgres(self._data_dir, durable=False) as conninfo:
            self._started.put(conninfo)
            await stop.wait()

    def __enter__(self) -> str:
        self._thread.start()
        started = self._started.get(timeout=LIMIT_S)
        if isinstance(started, BaseException):
            raise started
        return started

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive(), "the PostgreSQL for tests did not stop"
        if not self._started.empty():
            raise RuntimeError("the PostgreSQL for tests broke down") from _error(self._started.get())


def _error(what: str | BaseException) -> BaseException | None:
    return what if isinstance(what, BaseException) else None


def on(conninfo: str, database: str) -> str:
    """The connection string of another database on the same server."""
    return make_conninfo(conninfo, dbname=database)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The connection string of the server; its database ``migrated`` is the template of the others."""
    with open_folder() as folder, ServerThread(folder) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("create database migrated")

        async def migrate() -> None:
            await Store(on(conninfo, "migrated")).migrate()

        trio.run(migrate)
        yield conninfo


_numbers = count(1)


@contextmanager
def database(server: str, template: str) -> Iterator[str]:
    """A new database on `server`, a copy of `template`; yields its connection string."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}")
        try:
            yield on(server, name)
        finally:
            connection.execute(f"drop database {name} with (force)")


@pytest.fixture
def conninfo(postgres_server: str) -> Iterator[str]:
    """A database with the tables of studymatch, empty, for one test."""
    with database(postgres_server, "migrated") as conninfo:
        yield conninfo


@pytest.fixture
def bare_conninfo(postgres_server: str) -> Iterator[str]:
    """A database without any table, for one test."""
    with database(postgres_server, "template0") as conninfo:
        yield conninfo


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder for a separate embedded server; it does not exist yet."""
    with open_folder() as folder:
        yield folder / "data"


@pytest.fixture(scope="session")
def used_dir() -> Iterator[Path]:
    """A data folder with a cluster, which tests use one after another.

    It saves the second that PostgreSQL takes to create a cluster. The next start has to recover from whatever
    state a test leaves.
    """
    with open_folder() as folder:
        with ServerThread(folder / "data"):
            pass
        yield folder / "data"
