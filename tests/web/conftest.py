"""A real server for the tests of the edge, on a database of its own, and an echo for those of the wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypercorn.typing import ASGIFramework

from tests.support.database import bare_conninfo, conninfo, database, postgres_server
from tests.support.echo import DirectEcho, direct_app, echo_app
from tests.support.server import Server, data_folder, running_server

__all__ = ["bare_conninfo", "conninfo", "postgres_server"]


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
        running_server(
            folder, "--database-url", server_database, "--apart-s", "1", module=request.param
        ) as server,
    ):
        yield server


@pytest.fixture(params=["ordinary", "direct"])
def echo(request: pytest.FixtureRequest) -> ASGIFramework:
    """An app that echoes text messages on every path, on one of the two that frames may take."""
    return echo_app() if request.param == "ordinary" else direct_app(DirectEcho)
