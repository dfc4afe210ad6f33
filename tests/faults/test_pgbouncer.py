"""Servers behind a real PgBouncer with too few connections: no record is lost, no session state remains."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
import trio
from psycopg.conninfo import make_conninfo

from studymatch.postgres.database import DatabaseSettingError, RecordRefusedError
from studymatch.recording.queries import Queries
from studymatch.recording.store import Store
from studymatch.rules.records import Entry, PersonArrived
from tests.faults.fleet import running_fleet
from tests.faults.pgbouncer import PgBouncer, a_pgbouncer
from tests.faults.postgres import query
from tests.faults.server_under_test import a_server_under_test
from tests.faults.test_postgres import BUSY, PEOPLE, in_thread, matching_goes_on
from tests.support.rows import Story, seats, sessions

STORES = 6
"""Each store has two connections to PgBouncer, which has two to PostgreSQL for all of them."""


@pytest.fixture
def bouncer(database: str) -> Iterator[PgBouncer]:
    """A PgBouncer in transaction mode with very few connections."""
    with a_pgbouncer(database, pool_mode="transaction", default_pool_size=2) as bouncer:
        yield bouncer


async def test_a_server_records_every_session_also_across_a_restart(
    bouncer: PgBouncer, database: str
) -> None:
    """Neither the server nor PgBouncer logs a warning."""
    async with a_server_under_test(bouncer.conninfo) as tested:
        fleet = tested.fleet(7, BUSY)
        async with running_fleet(fleet, PEOPLE):
            await matching_goes_on(fleet, 30)
            await tested.stop()
            await tested.start()
            await matching_goes_on(fleet, 30)
            await tested.ready()
        await tested.audited(*fleet.transcripts)
        assert [
            line for line in tested.warnings() if "database" in line["event"] or "record" in line["event"]
        ] == []
    assert "WARNING" not in bouncer.log()
    assert "prepared statement" not in bouncer.log()


async def test_people_go_on_meeting_while_it_restarts(bouncer: PgBouncer) -> None:
    async with a_server_under_test(bouncer.conninfo) as tested:
        fleet = tested.fleet(8, BUSY)
        async with running_fleet(fleet, PEOPLE):
            for _ in range(2):
                await matching_goes_on(fleet, 4)
                await in_thread(bouncer.stop)
                await matching_goes_on(fleet, 4)
                await in_thread(bouncer.start)
            await tested.ready()
        await tested.audited(*fleet.transcripts)


async def test_many_stores_at_once_bring_tables_up_to_date_and_record(
    bouncer: PgBouncer, database: str
) -> None:
    stories: list[Story] = []

    async def work() -> None:
        story = Story()
        stories.append(story)
        async with Store(bouncer.conninfo) as store:
            await store.migrate()
            await store.write(story.entries(*story.people()))
            for _ in range(20):
                match = story.matched(story.ada, story.ben)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(store.renew_lease, story.node, 30.0)
                    nursery.start_soon(store.write, story.entries(match, story.connected(match)))
                await store.write(story.entries(story.ended(match)))
                await store.close_abandoned(story.node)

    async with trio.open_nursery() as nursery:
        for _ in range(STORES):
            nursery.start_soon(work)
    recorded = await in_thread(sessions, database)
    assert len(recorded) == 20 * STORES
    assert {row["cause"] for row in recorded.values()} == {"skipped"}
    assert await in_thread(seats, database) == {}
    assert "WARNING" not in bouncer.log()


LEFT = """
select pg_backend_pid() as backend,
    (select count(*) from pg_prepared_statements) as prepared,
    (select count(*) from pg_locks where locktype = 'advisory') as locks,
    (select count(*) from pg_class where relpersistence = 't') as temporary,
    (select json_object_agg(name, setting) from pg_settings
        where source = 'session' and name <> 'application_name') as set
"""
"""The state that the next client would find in a connection. PgBouncer sets `application_name`."""


async def test_nothing_stays_in_a_connection_for_the_next_one_who_has_it(database: str) -> None:
    """Nothing stays after a migration, a question, records, or a refused record."""
    story = Story()
    with a_pgbouncer(database, pool_mode="transaction", default_pool_size=1) as bouncer:
        look = partial(query, bouncer.conninfo, LEFT)
        [before] = await in_thread(look)

        async def nothing_stayed() -> None:
            assert await in_thread(look) == [before]

        async with Store(bouncer.conninfo) as store:
            await store.migrate()
            await nothing_stayed()
            async with Queries(bouncer.conninfo) as queries:  # reads only, and the store can write after it
                assert (await queries.people_named("Ada")).rows == ()
            await nothing_stayed()
            for _ in range(10):
                match = story.matched(story.ada, story.ben)
                await store.write(story.entries(*story.people(), match, story.ended(match)))
                await store.renew_lease(story.node, 30.0)
                await store.close_abandoned(story.node)
            await nothing_stayed()
            with pytest.raises(RecordRefusedError):
                await store.write([Entry(story.node.id, PersonArrived("nobody", "", 0.0))])
            await nothing_stayed()
    assert (before["prepared"], before["locks"], before["temporary"]) == (0, 0, 0)


WAYS: dict[str, tuple[str, dict[str, str], str | None]] = {
    "transactions": ("transaction", {}, None),
    "sessions": ("session", {}, None),
    "statements": ("statement", {}, "not allowed in statement pooling mode"),
    "options": ("transaction", {"options": "-c work_mem=4MB"}, "unsupported startup parameter: options"),
    "no database": ("transaction", {"dbname": "nowhere"}, 'database "nowhere" does not exist'),
    "its own console": ("transaction", {"dbname": "pgbouncer"}, "/bouncer"),
}
"""The mode, parameters of the connection string, and the reason for a refusal (None: it works)."""


@pytest.mark.parametrize(("mode", "asked", "refused"), WAYS.values(), ids=WAYS)
async def test_a_way_to_set_it_up_works_or_is_refused_in_words(
    database: str, mode: str, asked: dict[str, str], refused: str | None
) -> None:
    with a_pgbouncer(database, pool_mode=mode) as bouncer:
        async with Store(make_conninfo(bouncer.conninfo, **asked)) as store:
            if refused is None:
                await store.migrate()
                return
            with pytest.raises(DatabaseSettingError) as refusal:
                await store.migrate()
    assert refused in str(refusal.value)
    assert "\n" not in str(refusal.value)
