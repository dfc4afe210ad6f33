"""A real server for the tests of the edge: one for each worker, on a database of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.database import database, postgres_server
from tests.support.server import Server, data_folder, running_server

__all__ = ["postgres_server"]


@pytest.fixture(scope="session")
def server_database(postgres_server: str) -> Iterator[str]:
    """The database that `server` records in."""
    with database(postgres_server, "migrated") as conninfo:
        yield conninfo


@pytest.fixture(scope="session", params=["web.cli", "tests.support.ordinary"], ids=["direct", "ordinary"])
def server(request: pytest.FixtureRequest, server_database: str) -> Iterator[Server]:
    """One for each path that frames may take; what is tested with it holds for both."""
    with (
        data_folder() as folder,
        running_server(folder, "--database-url", server_database, module=request.param) as server,
    ):
        yield server
