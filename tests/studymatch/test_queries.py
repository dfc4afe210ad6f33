"""What an operator asks of the database, on a real PostgreSQL."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from studymatch.ids import new_id
from studymatch.postgres.database import (
    CONNECTIONS,
    Database,
    DatabaseSettingError,
    DatabaseUnavailableError,
    Limits,
    RecordRefusedError,
)
from studymatch.recording import queries as sql
from studymatch.recording.queries import (
    DAYS_MAX,
    PAGE_MAX,
    Day,
    Page,
    Queries,
    StoredPerson,
)
from studymatch.recording.store import Store
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import LedgerMessage, PersonArrived
from tests.support.database import QUICK
from tests.support.rows import Story, query, waiting_for_a_lock
from tests.support.waiting import eventually

NOBODY = UUID("00000000-0000-7000-8000-000000000000")

Question = Callable[[Queries], Awaitable[Any]]
QUESTIONS: dict[str, Question] = {
    "people": lambda queries: queries.people_named("Ada"),
    "sessions": lambda queries: queries.sessions_of(NOBODY),
    "open": lambda queries: queries.open_sessions(),
    "days": lambda queries: queries.days(),
}
each_question = pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)


@pytest.fixture
async def queries(conninfo: str) -> AsyncIterator[Queries]:
    async with Queries(conninfo, limits=QUICK) as queries:
        yield queries


# The answers


@each_question
async def test_an_empty_database_has_an_empty_answer(queries: Queries, ask: Question) -> None:
    assert await ask(queries) in (Page((), None), ())


async def test_people_are_found_by_their_exact_name(queries: Queries, store: Store, story: Story) -> None:
    other = PersonArrived(new_id(), "ada", trio.current_time())
    await store.write(story.entries(*story.people(), other))
    found = await queries.people_named("Ada")
    [person] = found.rows
    assert (person.id, person.name, found.before) == (UUID(story.ada), "Ada", None)
    assert timedelta() <= datetime.now(UTC) - person.first_seen < timedelta(minutes=5)
    assert (await queries.people_named("Ad%")).rows == ()


async def test_a_person_has_their_sessions_of_both_sides(
    queries: Queries, store: Store, story: Story
) -> None:
    first, second = story.matched(story.ada, story.ben, ago=90.0), story.matched(story.cem, story.ada, ago=30)
    other = story.matched(story.ben, story.cem, ago=60.0)
    records: list[LedgerMessage] = [first, story.connected(first, ago=80.0), story.ended(first, ago=70.0)]
    records += [other, story.ended(other, SessionCause.CONNECT_TIMEOUT, ago=50.0), second]
    await store.write(story.entries(*story.people(), *records))
    page = await queries.sessions_of(UUID(story.ada))
    assert [row.id for row in page.rows] == sorted((row.id for row in page.rows), reverse=True)
    found = {str(row.id): row for row in page.rows}
    assert set(found) == {first.session, second.session}
    former, latest = found[first.session], found[second.session]
    assert (str(former.id), str(former.first_person), str(former.second_person)) == (
        first.session,
        story.ada,
        story.ben,
    )
    assert former.connected_at is not None
    assert former.ended_at is not None
    assert timedelta(seconds=9) < former.connected_at - former.matched_at < timedelta(seconds=11)
    assert (former.cause, str(former.ended_by)) == ("skipped", story.ada)
    assert (str(latest.id), latest.connected_at, latest.ended_at, latest.cause, latest.ended_by) == (
        second.session,
        None,
        None,
        None,
        None,
    )


async def test_what_is_open_is_what_has_not_ended(queries: Queries, store: Store, story: Story) -> None:
    over, still = story.matched(story.ada, story.ben), story.matched(story.ada, story.cem)
    await store.write(story.entries(*story.people(), over, story.ended(over), still))
    [found] = (await queries.open_sessions()).rows
    assert (str(found.id), found.ended_at) == (still.session, None)


async def test_days_have_their_totals_in_utc_whatever_the_time_zone_of_the_session(
    conninfo: str, store: Store, story: Story
) -> None:
    past = """
        insert into session (id, first_person, second_person, matched_at, connected_at, ended_at, cause, node)
        select gen_random_uuid(), %s, %s, at, case when calls then at end, at + interval '90 s', 'restarting',
            gen_random_uuid()
        from (values (0, '00:00', true), (0, '00:00:01', false), (1, '23:59', true), (1, '12:00', true),
            (3, '23:59:59', true)) as said (ago, clock, calls),
        lateral (select (date_trunc('day', now() at time zone 'UTC') - make_interval(days => ago)
            + clock::interval) at time zone 'UTC' as at) as times
    """
    await store.write(story.entries(*story.people()))
    query(conninfo, past, story.ada, story.ben)
    [[today]] = [row.values() for row in query(conninfo, "select (now() at time zone 'UTC')::date")]
    elsewhere = make_conninfo(conninfo, options="-c timezone=Pacific/Apia")
    async with Queries(elsewhere, limits=QUICK) as queries:
        assert await queries.days(3) == (
            Day(today, 2, 1, 90.0),
            Day(today - timedelta(days=1), 2, 2, 180.0),
        )
        assert [day.sessions for day in await queries.days(4)] == [2, 2, 1]
        assert [day.sessions for day in await queries.days(1)] == [2]


# Bounds


async def test_pages_have_every_row_once_also_while_rows_are_added(
    queries: Queries, store: Store, story: Story
) -> None:
    people = [PersonArrived(new_id(), "Ada", trio.current_time()) for _ in range(5)]
    await store.write(story.entries(*people))
    newest_first = sorted((UUID(record.person) for record in people), reverse=True)
    seen: list[StoredPerson] = []
    page = await queries.people_named("Ada", limit=2)
    while True:
        seen += page.rows
        await store.write(story.entries(PersonArrived(new_id(), "Ada", trio.current_time())))
        if page.before is None:
            break
        assert len(page.rows) == 2
        page = await queries.people_named("Ada", before=page.before, limit=2)
    assert [person.id for person in seen] == newest_first


async def test_sessions_have_pages_too(queries: Queries, store: Store, story: Story) -> None:
    matches = [story.matched(story.ada, story.ben, ago=10.0 - number) for number in range(3)]
    records = [record for match in matches for record in (match, story.ended(match))]
    await store.write(story.entries(*story.people(), *records))
    ids = sorted((UUID(match.session) for match in matches), reverse=True)
    first = await queries.sessions_of(UUID(story.ben), limit=2)
    assert ([row.id for row in first.rows], first.before) == (ids[:2], ids[1])
    last = await queries.sessions_of(UUID(story.ben), limit=2, before=first.before)
    assert ([row.id for row in last.rows], last.before) == (ids[2:], None)
    one, other = story.matched(story.ada, story.ben), Story(node=story.node)
    more = other.matched(other.ada, other.ben)
    await store.write(story.entries(*other.people(), one, more))
    page = await queries.open_sessions(limit=1)
    assert page.before == page.rows[0].id == max(UUID(one.session), UUID(more.session))
    rest = await queries.open_sessions(limit=1, before=page.before)
    assert [row.id for row in rest.rows] == [min(UUID(one.session), UUID(more.session))]


@pytest.mark.parametrize("limit", [0, -1, PAGE_MAX + 1])
async def test_a_page_has_a_bound(queries: Queries, limit: int) -> None:
    for asked in (queries.people_named("Ada", limit=limit), queries.open_sessions(limit=limit)):
        with pytest.raises(ValueError, match=f"from 1 to {PAGE_MAX}, got {limit}"):
            await asked


async def test_days_have_a_bound(queries: Queries) -> None:
    for days in (0, DAYS_MAX + 1):
        with pytest.raises(ValueError, match=f"from 1 to {DAYS_MAX}, got {days}"):
            await queries.days(days)
    assert await queries.days(DAYS_MAX) == ()


# Nobody waits for another


async def test_readers_do_not_wait_for_a_ledger_that_waits(
    queries: Queries, store: Store, conninfo: str, story: Story
) -> None:
    """Its transaction is open and has locks, all its connections are in use, and more calls wait for one."""
    await store.write(story.entries(*story.people()))
    match = story.matched(story.ada, story.ben)
    with psycopg.connect(conninfo) as other:
        other.execute("lock table seat")  # where the triggers of a write must wait
        async with trio.open_nursery() as nursery:
            for _ in range(2 * CONNECTIONS):
                nursery.start_soon(_until_written, store, story.entries(match))
            await eventually(lambda: len(waiting_for_a_lock(conninfo)) == CONNECTIONS)
            assert len((await queries.people_named("Ada")).rows) == 1
            for ask in QUESTIONS.values():
                await ask(queries)
            assert (await queries.open_sessions()).rows == ()
            other.rollback()
    assert len((await queries.open_sessions()).rows) == 1


async def _until_written(store: Store, entries: list[Any]) -> None:
    while True:
        try:
            return await store.write(entries)
        except DatabaseUnavailableError:
            continue


async def test_the_ledger_does_not_wait_for_readers(store: Store, conninfo: str, story: Story) -> None:
    """Every connection of the readers is in a transaction that has read all tables, and stays there."""
    reads = 0
    async with Database(conninfo, Limits(statement_s=30.0), read_only=True) as readers:

        def read(connection: psycopg.Connection[Any]) -> None:
            nonlocal reads
            for table in ("person", "session", "seat"):
                connection.execute(f"select * from {table}".encode())
            reads += 1
            connection.execute("select pg_sleep(20)")

        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                for _ in range(2 * CONNECTIONS):
                    nursery.start_soon(readers.transact, read)
                await eventually(lambda: reads == CONNECTIONS)
                match = story.matched(story.ada, story.ben)
                with trio.fail_after(10):
                    await store.write(story.entries(*story.people(), match, story.connected(match)))
                    await store.renew_lease(story.node, 30.0)
                    assert await store.close_abandoned(Story().node) == 0
                    await store.write(story.entries(story.ended(match)))
                assert reads == CONNECTIONS
                scope.cancel()
        query(
            conninfo,
            "select pg_terminate_backend(pid) from pg_stat_activity where query ~ '^select pg_sleep'",
        )


async def test_a_cancelled_question_returns_at_once(queries: Queries, conninfo: str) -> None:
    with psycopg.connect(conninfo) as other:
        other.execute("lock table session")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(queries.open_sessions)
                await eventually(lambda: waiting_for_a_lock(conninfo))
                scope.cancel()
        assert scope.cancelled_caught
        assert len(waiting_for_a_lock(conninfo)) == 1
    assert await queries.open_sessions() == Page((), None)


# What goes wrong


async def test_nothing_can_be_written(conninfo: str, story: Story) -> None:
    async with Database(conninfo, QUICK, read_only=True) as readers:
        for transact in (readers.transact, readers.transact_alone):
            with pytest.raises(DatabaseUnavailableError, match="cannot execute DELETE in a read-only"):
                await transact(lambda connection: connection.execute("delete from session"))


@each_question
async def test_a_database_that_is_away_is_one_sentence_without_the_password(ask: Question) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        quick = Limits(acquire_s=0.2)
        async with Queries(f"postgresql://ada:secret@127.0.0.1:{port}/study", limits=quick) as queries:
            with pytest.raises(DatabaseUnavailableError) as failure:
                await ask(queries)
    said = str(failure.value)
    assert f"The database at 127.0.0.1, port {port}, database study, user ada cannot be reached" in said
    assert "\n" not in said
    assert "secret" not in said


@each_question
async def test_without_tables_the_remedy_is_named(bare_conninfo: str, ask: Question) -> None:
    async with Queries(bare_conninfo) as queries:
        with pytest.raises(
            DatabaseUnavailableError, match=r"not set up: .* Check it with `studymatch migrate`"
        ):
            await ask(queries)


@each_question
async def test_a_question_has_a_time_limit(conninfo: str, ask: Question) -> None:
    with psycopg.connect(conninfo) as other:
        other.execute("lock table person, session")
        async with Queries(conninfo, limits=Limits(statement_s=0.2)) as queries:
            with pytest.raises(DatabaseUnavailableError, match=r"too slow: .*statement timeout"):
                await ask(queries)


def test_an_address_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(DatabaseSettingError, match="Expected something like postgresql://"):
        Queries("postgres ada secret")


@pytest.mark.parametrize("name", ["A\0da", "\ud800"])
async def test_a_name_that_no_database_could_have_is_refused(queries: Queries, name: str) -> None:
    with pytest.raises(RecordRefusedError):
        await queries.people_named(name)


# Speed


def test_what_is_open_is_found_by_the_index_of_open_sessions_whatever_the_statistics_say(
    conninfo: str, story: Story
) -> None:
    some = """
        insert into session (id, first_person, second_person, matched_at, node)
        select gen_random_uuid(), one.id, other.id, now(), gen_random_uuid()
        from (select id, row_number() over (order by id) as n from person) as one
        join (select id, row_number() over (order by id) as n from person) as other on other.n = one.n + 1
        where one.n %% 2 = 1
    """
    query(
        conninfo, "insert into person select gen_random_uuid(), 'Dee', now() from generate_series(1, 40000)"
    )
    query(
        conninfo,
        "insert into session (id, first_person, second_person, matched_at, ended_at, cause, node)"
        " select gen_random_uuid(), one.id, other.id, now(), now(), 'restarting', gen_random_uuid()"
        " from (select id from person limit 1) as one, (select id from person offset 1) as other",
    )
    query(conninfo, some.replace("= 1\n", "= 1 and one.n < 5000\n"))
    query(conninfo, "analyze")
    query(conninfo, "update session set ended_at = now(), cause = 'restarting' where ended_at is null")
    lines = query(conninfo, f"explain {sql.OPEN_SESSIONS}", sql.AFTER_ALL, 51)
    text = "\n".join(row["QUERY PLAN"] for row in lines)
    assert "session_open_by_node" in text, text
    assert "session_pkey" not in text, text
