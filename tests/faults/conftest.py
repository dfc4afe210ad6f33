"""Fixtures for tests of a real server with a real PostgreSQL that tests may break."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.postgres import Postgres, a_postgres


@pytest.fixture(scope="session")
def postgres_of_worker() -> Iterator[Postgres]:
    """One cluster for each worker of pytest."""
    with a_postgres() as postgres:
        yield postgres


@pytest.fixture
def postgres(postgres_of_worker: Postgres) -> Iterator[Postgres]:
    """The running cluster; it is repaired after the test."""
    try:
        yield postgres_of_worker
    finally:
        postgres_of_worker.recover()


@pytest.fixture
def database(postgres: Postgres) -> str:
    """A new, empty database; its connection string."""
    return postgres.new_database()
