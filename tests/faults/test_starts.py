"""A server that is started while its database is down starts, matches, and records later."""

from __future__ import annotations

from functools import partial

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from studymatch.recording.schema import all_migrations
from studymatch.recording.store import Store
from tests.faults.postgres import Postgres, query
from tests.support.person import call
from tests.support.processes import refusal
from tests.support.server import Server, data_folder, present, running_server
from tests.support.waiting import eventually

LIMIT_S = 90.0

in_thread = trio.to_thread.run_sync


async def a_call(server: Server) -> str:
    """Two people meet, and one of them ends the call; returns the session."""
    async with present(server, "Ada") as ada, present(server, "Ben") as ben:
        await call(ada, ben)
        session = str(ada.state["session"])
        await ada.about("end")
        await ada.until("state", state="idle")
    return session


def unready(server: Server) -> str | None:
    status, _, body = server.get("/readyz")
    return body if status == 503 else None


def is_ready(server: Server) -> bool:
    return server.get("/readyz")[0] == 200


def cause(conninfo: str, session: str) -> str | None:
    try:
        [row] = query(conninfo, "select cause from session where id = %s", session)
    except (psycopg.Error, ValueError):
        return None
    return str(row["cause"])


@pytest.mark.parametrize("is_new", [True, False], ids=["without tables", "with tables"])
async def test_a_server_starts_without_its_database_and_records_when_it_is_there(
    postgres: Postgres, database: str, is_new: bool
) -> None:
    if not is_new:
        await Store(database).migrate()
    await in_thread(postgres.stop)
    with data_folder() as folder, running_server(folder, "--database-url", database) as server:
        session = await a_call(server)
        assert "has not been reached yet" in str(await in_thread(unready, server))
        [line] = [line for line in server.lines() if line["event"] == "starting without the database"]
        assert line["level"] == "warning"
        await in_thread(postgres.start)
        assert await eventually(partial(cause, database, session), limit_s=LIMIT_S) == "ended"
        assert await eventually(partial(is_ready, server), limit_s=LIMIT_S)


async def test_a_server_starts_while_its_database_hangs(postgres: Postgres, database: str) -> None:
    await in_thread(postgres.freeze)
    with data_folder() as folder, running_server(folder, "--database-url", database) as server:
        session = await a_call(server)
        await in_thread(postgres.thaw)
        assert await eventually(partial(cause, database, session), limit_s=LIMIT_S) == "ended"


async def test_what_is_wrong_with_a_database_that_comes_later_is_told_and_can_be_put_right(
    postgres: Postgres, database: str
) -> None:
    await Store(database).migrate()
    await in_thread(query, database, "update schema_version set version = version + 1")
    await in_thread(postgres.stop)
    with data_folder() as folder, running_server(folder, "--database-url", database) as server:
        session = await a_call(server)
        await in_thread(postgres.start)
        await eventually(lambda: "cannot be used as it is" in (unready(server) or ""), limit_s=LIMIT_S)
        await in_thread(query, database, f"update schema_version set version = {len(all_migrations())}")
        assert await eventually(partial(cause, database, session), limit_s=LIMIT_S) == "ended"


async def test_a_database_that_is_there_and_can_never_be_used_is_refused_at_the_start(
    postgres: Postgres, database: str
) -> None:
    await Store(database).migrate()
    query(database, "update schema_version set version = version + 1")
    assert "another version" in await in_thread(refused, database)
    assert "does not exist" in await in_thread(refused, make_conninfo(database, dbname="nowhere"))
    assert "does not exist" in await in_thread(refused, make_conninfo(database, user="nobody_known"))


async def test_a_standby_counts_as_away_and_may_become_the_primary(postgres: Postgres, database: str) -> None:
    await in_thread(postgres.become_standby)
    assert "is a standby" in await in_thread(refusal, "migrate", "--database-url", database)
    with data_folder() as folder, running_server(folder, "--database-url", database) as server:
        session = await a_call(server)
        [line] = [line for line in server.lines() if line["event"] == "starting without the database"]
        assert "target_session_attrs=read-write" in line["why"]
        await in_thread(postgres.recover)
        assert await eventually(partial(cause, database, session), limit_s=LIMIT_S) == "ended"


def refused(conninfo: str) -> str:
    """The message of a refused start."""
    with data_folder() as folder:
        return refusal("serve", "--port", "0", "--data-dir", str(folder), "--database-url", conninfo)
