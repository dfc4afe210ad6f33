"""The store and its tables, on a real PostgreSQL."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from studymatch.ids import new_id
from studymatch.postgres.database import (
    Database,
    DatabaseSettingError,
    DatabaseUnavailableError,
    Limits,
    RecordRefusedError,
)
from studymatch.recording.store import CLOSE_ABANDONED, FORMER_SILENT_S, Store
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import (
    END_ELSEWHERE,
    UPDATE_OPEN,
    Entry,
    LedgerMessage,
    Node,
    PersonArrived,
    SessionConnected,
    SessionEnded,
    SessionMatched,
)
from tests.support.database import QUICK, database
from tests.support.rows import Story, query, seats, session, sessions, waiting_for_a_lock
from tests.support.waiting import eventually

# The tables: what must not be possible is not possible, whoever writes

ADA, BEN, CEM, SOMEBODY = (f"00000000-0000-7000-8000-00000000000{n}" for n in range(4))
SESSION = {
    "id": "00000000-0000-7000-9000-000000000000",
    "first_person": ADA,
    "second_person": BEN,
    "matched_at": "2026-01-01 12:00:00Z",
    "connected_at": "2026-01-01 12:00:05Z",
    "ended_at": "2026-01-01 12:10:00Z",
    "cause": "skipped",
    "ended_by": ADA,
    "node": "00000000-0000-7000-a000-000000000000",
}
OPEN = {"ended_at": None, "cause": None, "ended_by": None}


def insert_people(conninfo: str) -> None:
    for person in (ADA, BEN, CEM):
        query(conninfo, "insert into person values (%s, 'Somebody', now())", person)


def insert_session(conninfo: str, **changes: str | None) -> None:
    row = SESSION | changes
    query(
        conninfo,
        f"insert into session ({', '.join(row)}) values ({', '.join(['%s'] * len(row))})",
        *row.values(),
    )


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"second_person": ADA}, "session_needs_two_people"),
        ({"connected_at": "2026-01-01 11:59:59Z"}, "session_connects_after_match"),
        ({"ended_at": "2026-01-01 11:59:59Z", "connected_at": None}, "session_ends_after_match"),
        ({"ended_at": "2026-01-01 12:00:04Z"}, "session_ends_after_connecting"),
        ({"cause": None, "ended_by": None}, "session_end_has_cause"),
        ({"ended_at": None, "ended_by": None}, "session_end_has_cause"),
        ({"cause": "partner_skipped", "ended_by": None}, "session_cause_is_known"),
        ({"ended_by": CEM}, "session_ender_took_part"),
        ({"cause": "connect_timeout"}, "session_ender_fits_cause"),
        ({"ended_at": None, "cause": None}, "session_ender_fits_cause"),
        ({"ended_by": None}, "session_ender_is_known"),
        ({"first_person": SOMEBODY, "ended_by": BEN}, "session_first_person_fkey"),
        ({"second_person": SOMEBODY}, "session_second_person_fkey"),
    ],
)
def test_an_impossible_session_is_refused(conninfo: str, changes: dict[str, str | None], rule: str) -> None:
    insert_people(conninfo)
    with pytest.raises(psycopg.IntegrityError) as refusal:
        insert_session(conninfo, **changes)
    assert refusal.value.diag.constraint_name == rule


def test_a_possible_session_is_taken(conninfo: str) -> None:
    """What the refusals above start from."""
    insert_people(conninfo)
    insert_session(conninfo)
    assert list(sessions(conninfo)) == [SESSION["id"]]


@pytest.mark.parametrize(
    "change",
    [
        "ended_at = now()",
        "cause = 'ended'",
        "ended_by = second_person",
        "ended_at = null, cause = null, ended_by = null",
        "connected_at = null",
    ],
)
def test_a_session_that_ended_cannot_end_again_or_change(conninfo: str, change: str) -> None:
    insert_people(conninfo)
    insert_session(conninfo)
    with pytest.raises(psycopg.IntegrityError, match="has ended, and a session ends once"):
        query(conninfo, f"update session set {change}")


@pytest.mark.parametrize(
    "change",
    [
        f"second_person = '{CEM}'",
        "first_person = second_person, second_person = first_person",
        "matched_at = matched_at - interval '1 s'",
        "connected_at = null",
        f"node = '{CEM}'",
        f"id = '{CEM}'",
    ],
)
def test_an_open_session_cannot_become_another(conninfo: str, change: str) -> None:
    insert_people(conninfo)
    insert_session(conninfo, **OPEN)
    with pytest.raises(psycopg.IntegrityError, match="cannot change"):
        query(conninfo, f"update session set {change}")


@pytest.mark.parametrize(("first", "second"), [(ADA, CEM), (CEM, ADA), (BEN, CEM), (CEM, BEN), (BEN, ADA)])
def test_nobody_is_in_two_open_sessions(conninfo: str, first: str, second: str) -> None:
    insert_people(conninfo)
    insert_session(conninfo, **OPEN)
    another = {"id": new_id(), "first_person": first, "second_person": second, "ended_by": first}
    insert_session(conninfo, **another)  # one that is over takes no seat
    with pytest.raises(psycopg.IntegrityError) as refusal:
        insert_session(conninfo, **another | OPEN | {"id": new_id()})
    assert refusal.value.diag.constraint_name == "seat_pkey"
    query(conninfo, "update session set ended_at = now(), cause = 'restarting' where ended_at is null")
    insert_session(conninfo, **another | OPEN | {"id": new_id()})


def test_a_seat_is_free_again_when_its_session_is_deleted(conninfo: str) -> None:
    insert_people(conninfo)
    insert_session(conninfo, **OPEN)
    assert seats(conninfo) == {ADA: SESSION["id"], BEN: SESSION["id"]}
    query(conninfo, "delete from session")
    assert seats(conninfo) == {}


@pytest.mark.parametrize("name", ["", "x" * 41])
def test_a_name_is_1_to_40_characters(conninfo: str, name: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        query(conninfo, "insert into person values (%s, %s, now())", new_id(), name)
    query(conninfo, "insert into person values (%s, %s, now())", new_id(), "👩‍🎓" + "é" * 37)


# Writing


async def test_a_match_brings_the_rows_of_its_people(store: Store, conninfo: str, story: Story) -> None:
    match = SessionMatched(new_id(), story.ada, story.ben, trio.current_time() - 60, "Ada", "Ben")
    await store.write(story.entries(match, story.ended(match, ago=30)))
    again = SessionMatched(new_id(), story.cem, story.ada, trio.current_time(), "Cem", "Another")
    await store.write(story.entries(again))
    rows = query(conninfo, "select id::text, name, first_seen < now() as earlier from person order by name")
    assert [(row["id"], row["name"]) for row in rows] == [
        (story.ada, "Ada"),
        (story.ben, "Ben"),
        (story.cem, "Cem"),
    ]
    assert (
        session(conninfo, match)["matched_at"]
        == query(conninfo, "select first_seen from person where name = 'Ada'")[0]["first_seen"]
    )


async def test_a_session_from_match_to_end(store: Store, conninfo: str, story: Story) -> None:
    match = story.matched(story.ada, story.ben, ago=100.0)
    await store.write(story.entries(*story.people(), match))
    row = session(conninfo, match)
    assert (str(row["first_person"]), str(row["second_person"])) == (story.ada, story.ben)
    assert (row["connected_at"], row["ended_at"], row["cause"]) == (None, None, None)
    assert str(row["node"]) == story.node.id
    assert seats(conninfo) == {story.ada: match.session, story.ben: match.session}

    await store.write(story.entries(story.connected(match, ago=50.0)))
    assert session(conninfo, match)["connected_at"] > row["matched_at"]
    assert session(conninfo, match)["ended_at"] is None

    await store.write(story.entries(story.ended(match)))
    row = session(conninfo, match)
    assert (row["cause"], row["ended_by"]) == ("skipped", story.ada)
    assert row["ended_at"] > row["connected_at"] > row["matched_at"]
    assert seats(conninfo) == {}


async def test_ages_become_times_of_the_database(store: Store, conninfo: str, story: Story) -> None:
    match = story.matched(story.ada, story.ben, ago=3600.0)
    connected = SessionConnected(match.session, match.at + 2.5)
    ended = SessionEnded(match.session, SessionCause.ENDED, story.ben, match.at + 600.0)
    await store.write(story.entries(*story.people(), match, connected, ended))
    row = session(conninfo, match)
    assert row["connected_at"] - row["matched_at"] == timedelta(seconds=2.5)
    assert row["ended_at"] - row["matched_at"] == timedelta(seconds=600)
    [lag] = query(conninfo, "select now() - matched_at - interval '1 hour' as lag from session")
    assert timedelta() <= lag["lag"] < timedelta(minutes=5)


@pytest.mark.parametrize("together", [True, False])
async def test_clocks_that_disagree_do_not_break_the_order(
    store: Store, conninfo: str, story: Story, together: bool
) -> None:
    match = story.matched(story.ada, story.ben)
    connected, ended = story.connected(match, ago=10.0), story.ended(match, ago=20.0)
    await store.write(story.entries(*story.people()))
    if together:
        await store.write(story.entries(match, connected, ended))
    else:
        for record in (match, connected, ended):
            await store.write(story.entries(record))
    row = session(conninfo, match)
    assert row["matched_at"] == row["connected_at"] == row["ended_at"]


async def test_people_go_from_session_to_session_within_one_batch(
    store: Store, conninfo: str, story: Story
) -> None:
    """A seat that becomes free and is taken again in the same batch, by way of a session that came before."""
    before = story.matched(story.ada, story.ben)
    await store.write(story.entries(*story.people(), before))
    middle, after = story.matched(story.ada, story.cem), story.matched(story.ben, story.ada)
    await store.write(
        story.entries(story.ended(before), middle, story.ended(middle, SessionCause.ENDED), after)
    )
    causes = [session(conninfo, match)["cause"] for match in (before, middle, after)]
    assert causes == ["skipped", "ended", None]
    assert seats(conninfo) == {story.ada: after.session, story.ben: after.session}


async def test_a_refused_batch_leaves_nothing_behind(store: Store, conninfo: str, story: Story) -> None:
    match = story.matched(story.ada, story.ben)
    await store.write(story.entries(*story.people(), match))
    with pytest.raises(RecordRefusedError, match="session_needs_two_people"):
        await store.write(story.entries(story.ended(match), story.matched(story.cem, story.cem)))
    with pytest.raises(RecordRefusedError, match="seat_pkey"):
        await store.write(story.entries(story.connected(match), story.matched(story.cem, story.ben)))
    assert session(conninfo, match)["connected_at"] is None
    assert session(conninfo, match)["ended_at"] is None
    assert len(sessions(conninfo)) == 1


@pytest.mark.parametrize(
    ("name", "person"), [("A\0da", None), ("\ud800", None), ("", None), ("Ada", "not a uuid")]
)
async def test_what_no_database_could_take_is_refused(
    store: Store, story: Story, name: str, person: str | None
) -> None:
    with pytest.raises(RecordRefusedError):
        await store.write(story.entries(PersonArrived(person or story.ada, name, trio.current_time())))


def everything(conninfo: str) -> list[list[dict[str, Any]]]:
    return [query(conninfo, f"select * from {table} order by 1") for table in ("person", "session", "seat")]


async def test_writing_again_changes_nothing(store: Store, conninfo: str, story: Story) -> None:
    first, second = story.matched(story.ada, story.ben), story.matched(story.ben, story.cem)
    history = story.entries(
        *story.people(), first, story.connected(first), story.ended(first), second, story.connected(second)
    )
    await store.write(history)
    before = everything(conninfo)
    await store.write(history)
    for entry in history:
        await store.write([entry])
    assert everything(conninfo) == before


async def test_what_was_committed_without_an_answer_can_be_written_again_with_more(
    store: Store, conninfo: str, story: Story
) -> None:
    first, second = story.matched(story.ada, story.ben), story.matched(story.ada, story.cem)
    history = story.entries(*story.people(), first, story.connected(first), story.ended(first), second)
    await store.write(history[:4])  # the match is there, its end is not
    await store.write(history)
    row = session(conninfo, first)
    assert (row["cause"], row["connected_at"] is None) == ("skipped", False)
    assert seats(conninfo) == {story.ada: second.session, story.cem: second.session}


Cut = tuple[int, bool]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[str, int, int]], list[Cut]]:
    """What five people do, as far as rules allow, and how it is cut in batches: their length, and whether
    each is committed without an answer, so that it is written again together with what follows.
    """
    steps: list[tuple[str, int, int]] = []
    open_sessions: dict[int, tuple[int, int]] = {}
    free, made = set(range(5)), 0
    for _ in range(draw(st.integers(1, 25))):
        choices = [("matched", -1)] if len(free) > 1 else []
        choices += [(what, number) for number in open_sessions for what in ("connected", "ended", "ended")]
        what, number = draw(st.sampled_from(choices))
        if what == "matched":
            first, second = draw(st.permutations(sorted(free)))[:2]
            free -= {first, second}
            open_sessions[made] = (first, second)
            steps.append((what, first, second))
            made += 1
            continue
        if what == "ended":
            free |= set(open_sessions.pop(number))
        steps.append((what, number, draw(st.sampled_from([0, 1]))))
    cuts = draw(st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=20))
    return steps, cuts


def as_records(steps: list[tuple[str, int, int]], people: list[str]) -> list[LedgerMessage]:
    matches: list[SessionMatched] = []
    records: list[LedgerMessage] = []
    for at, (what, one, other) in enumerate(steps, start=-100):
        match what:
            case "matched":
                matches.append(SessionMatched(new_id(), people[one], people[other], float(at)))
                records.append(matches[-1])
            case "connected":
                records.append(SessionConnected(matches[one].session, float(at)))
            case _:
                by = [matches[one].first, matches[one].second][other]
                records.append(SessionEnded(matches[one].session, SessionCause.SKIPPED, by, float(at)))
    return records


def expected(records: list[LedgerMessage]) -> dict[str, list[object]]:
    """A simple model of the table: people, and who ended it, whether it was connected."""
    rows: dict[str, list[object]] = {}
    for record in records:
        match record:
            case SessionMatched(name, first, second):
                rows[name] = [first, second, False, None]
            case SessionConnected(name):
                rows[name][2] = True
            case SessionEnded(name, _, by):
                rows[name][3] = by
            case _:
                raise AssertionError(record)
    return rows


@pytest.fixture(scope="module")
def shared_conninfo(postgres_server: str) -> Iterator[str]:
    """A database that examples of one test share; they know each other's people by no name."""
    with database(postgres_server, "migrated") as conninfo:
        yield conninfo


@settings(max_examples=40)
@given(histories())
def test_any_history_in_any_portions_becomes_the_same_rows(
    shared_conninfo: str, made: tuple[list[tuple[str, int, int]], list[Cut]]
) -> None:
    steps, cuts = made

    async def write(conninfo: str, records: list[LedgerMessage], node: str) -> None:
        entries = [Entry(node, record) for record in records]
        begin = end = turn = 0
        async with Store(conninfo) as store:
            while begin < len(entries):
                length, unanswered = cuts[turn % len(cuts)]
                end = min(len(entries), end + length)
                await store.write(entries[begin:end])
                if not unanswered or end == len(entries):
                    begin = end
                turn += 1

    people = [new_id() for _ in range(5)]
    records = as_records(steps, people)
    node = new_id()
    query(shared_conninfo, "insert into person select unnest(%s::uuid[]), 'Somebody', now()", people)
    trio.run(write, shared_conninfo, records, node)
    rows = query(
        shared_conninfo,
        "select id::text, first_person::text, second_person::text, connected_at is not null as connected,"
        " ended_by::text, matched_at from session where node = %s order by matched_at",
        node,
    )
    assert {row["id"]: list(row.values())[1:5] for row in rows} == expected(records)
    open_now = {
        p for first, second, _, by in expected(records).values() if by is None for p in (first, second)
    }
    assert set(seats(shared_conninfo)) & set(people) == open_now


# Nodes and leases


async def test_a_lease_lasts_as_long_as_it_was_renewed_for(store: Store, conninfo: str) -> None:
    node = Node(new_id(), "here")
    await store.renew_lease(node, 30.0)
    await store.renew_lease(node, 45.5)
    [row] = query(conninfo, "select name, lease_until - renewed_at as lease from node where id = %s", node.id)
    assert row == {"name": "here", "lease": timedelta(seconds=45.5)}


async def test_sessions_without_a_lease_are_closed_at_the_time_of_the_last_sign_of_life(
    store: Store, conninfo: str
) -> None:
    """Only those of a node whose lease ran out, and of a former life on one's own data folder.

    Two servers with the same name (cloned machines, containers) ended each other's sessions; and a folder
    may have been cloned, too.
    """
    home = new_id()
    before, former = Story(node=Node(new_id(), "here", home)), Story(node=Node(new_id(), "here", home))
    me = Story(node=Node(new_id(), "here", home, before.node.id))
    clone = Story(node=Node(new_id(), "on a copy of the machine", home))
    dead, unknown = Story(node=Node(new_id(), "dead")), Story(node=Node(new_id(), "never claimed"))
    namesake, slow = Story(node=Node(new_id(), "here", new_id())), Story(node=Node(new_id(), "here"))
    living = (me, clone, namesake, slow)
    matches = {}
    for story in (*living, before, former, dead, unknown):
        matches[story.node.id] = story.matched(story.ada, story.ben, ago=60.0)
        over = story.matched(story.ada, story.cem, ago=90.0)
        await store.write(
            story.entries(*story.people(), over, story.ended(over, ago=80.0), matches[story.node.id])
        )
    for story in (*living, before, former):
        await store.renew_lease(story.node, 60.0)
    await store.renew_lease(dead.node, 1.0)
    query(
        conninfo,
        "update node set renewed_at = now() - make_interval(secs => %s) where id = any(%s)",
        FORMER_SILENT_S + 1,
        [former.node.id, namesake.node.id, slow.node.id],
    )
    query(
        conninfo,
        "update node set renewed_at = now() - interval '40 s', lease_until = now() - interval '9 s'"
        " where id = any(%s)",
        [dead.node.id, me.node.id],
    )

    assert await store.close_abandoned(me.node) == 4
    rows = {node: session(conninfo, match) for node, match in matches.items()}
    assert {node for node, row in rows.items() if row["cause"] == "node_lost"} == {
        before.node.id,
        former.node.id,
        dead.node.id,
        unknown.node.id,
    }
    [seen] = query(conninfo, "select renewed_at from node where id = %s", dead.node.id)
    assert rows[dead.node.id]["ended_at"] == seen["renewed_at"]
    assert rows[unknown.node.id]["ended_at"] == rows[unknown.node.id]["matched_at"]
    assert {rows[story.node.id]["ended_at"] for story in living} == {None}
    assert await store.close_abandoned(me.node) == 0


async def test_who_is_matched_here_has_left_their_session_on_another_node(
    store: Store, conninfo: str
) -> None:
    """As after the death of a node, whose people come here long before its lease runs out."""
    there = Story()
    here = Story(ada=there.ada, ben=there.ben, cem=there.cem)
    before, after = there.matched(there.ada, there.ben, ago=60.0), here.matched(here.cem, here.ada)
    await store.write(there.entries(*there.people(), before))
    await store.write(here.entries(after))
    row = session(conninfo, before)
    assert (row["cause"], row["ended_by"]) == ("lost", there.ada)
    assert seats(conninfo) == {here.cem: after.session, here.ada: after.session}
    await store.write(there.entries(there.ended(before)))  # comes late, and changes nothing
    assert session(conninfo, before) == row


async def test_an_old_match_does_not_end_a_newer_session_elsewhere(store: Store, conninfo: str) -> None:
    there = Story()
    here = Story(ada=there.ada, ben=there.ben, cem=there.cem)
    newer = there.matched(there.ada, there.ben)
    await store.write(there.entries(*there.people(), newer))
    with pytest.raises(RecordRefusedError, match="seat_pkey"):
        await store.write(here.entries(here.matched(here.cem, here.ada, ago=60.0)))
    assert session(conninfo, newer)["ended_at"] is None


# What goes wrong


@pytest.mark.parametrize(
    "conninfo",
    [
        "postgresql://ada:sec/ret@db.example/study",
        "postgresql://ada:sec@ret@db.example/study",
        "postgresql://ada:sec#ret@db.example:54x/study",
        "postgresql://ada:secret@db.example:1234?nonsense=secret",
        "postgres ada secret",
        "host=db.example password='secret",
    ],
)
def test_an_address_that_makes_no_sense_is_refused_without_showing_it(conninfo: str) -> None:
    with pytest.raises(DatabaseSettingError) as refusal:
        Store(conninfo)
    assert "Expected something like postgresql://user:password@host:5432/database" in str(refusal.value)
    assert "sec" not in str(refusal.value)
    assert refusal.value.__suppress_context__ or refusal.value.__context__ is None


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port on which nobody listens: it is bound, and that is all."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def test_a_database_that_cannot_be_reached_says_where_and_what_to_check(free_port: int) -> None:
    async with Store(f"postgresql://ada:secret@127.0.0.1:{free_port}/study", limits=QUICK) as store:
        for call in (store.migrate(), store.renew_lease(Node(new_id(), "here"), 30.0)):
            with pytest.raises(DatabaseUnavailableError) as failure:
                await call
            said = str(failure.value)
            assert f"The database at 127.0.0.1, port {free_port}, database study, user ada cannot be" in said
            assert "Connection refused" in said
            assert "Check that PostgreSQL runs there" in said
            assert "secret" not in said


async def test_no_line_is_written_for_each_attempt_to_connect(
    free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[logging.LogRecord] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record)

    monkeypatch.setattr(logging.getLogger(), "handlers", [Lines()])
    async with Store(f"postgresql://127.0.0.1:{free_port}/study", limits=QUICK) as store:
        with pytest.raises(DatabaseUnavailableError):
            await store.renew_lease(Node(new_id(), "here"), 30.0)
    assert written == []


async def test_a_database_that_does_not_exist_is_named(conninfo: str) -> None:
    with pytest.raises(DatabaseSettingError, match='database "nowhere" does not exist'):
        await Store(make_conninfo(conninfo, dbname="nowhere")).migrate()


async def test_without_tables_the_remedy_is_named(bare_conninfo: str) -> None:
    async with Store(bare_conninfo) as store:
        with pytest.raises(
            DatabaseUnavailableError, match=r"not set up: .* Check it with `studymatch migrate`"
        ):
            await store.renew_lease(Node(new_id(), "here"), 30.0)


async def test_a_lock_that_somebody_holds_is_waited_for_a_while(
    store: Store, conninfo: str, story: Story
) -> None:
    with psycopg.connect(conninfo) as other:
        other.execute("lock table session")
        with pytest.raises(DatabaseUnavailableError, match=r"too slow: .*lock timeout"):
            await store.write(story.entries(*story.people(), story.matched(story.ada, story.ben)))
        await store.renew_lease(story.node, 30.0)  # is not held up by what the other cannot do
    assert query(conninfo, "select id from person") == []


async def test_a_connection_that_was_killed_is_replaced(store: Store, conninfo: str, story: Story) -> None:
    await store.write(story.entries(*story.people()))
    query(
        conninfo,
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()",
    )
    match = story.matched(story.ada, story.ben)
    with pytest.raises(DatabaseUnavailableError):
        await store.write(story.entries(match))
    await store.write(story.entries(match))
    assert list(sessions(conninfo)) == [match.session]


async def test_a_cancelled_write_returns_at_once_and_can_be_repeated(
    store: Store, conninfo: str, story: Story
) -> None:
    entries = story.entries(*story.people(), story.matched(story.ada, story.ben))
    with psycopg.connect(conninfo) as other:
        other.execute("lock table session")
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.write, entries)
                await eventually(lambda: waiting_for_a_lock(conninfo))
                scope.cancel()
        assert scope.cancelled_caught
        [held] = query(
            conninfo, "select count(*) from pg_locks where relation = 'session'::regclass and granted"
        )
        assert held["count"] > 0, "the lock was still held when the cancelled write returned"
    await store.write(entries)
    assert len(sessions(conninfo)) == 1


async def test_every_connection_has_its_limits(conninfo: str) -> None:
    limits = Limits(statement_s=7.0, lock_s=3.0, network_s=11.0, connect_s=4.0)
    async with Database(conninfo, limits) as db:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        shown = await db.transact(lambda c: [c.execute(f"show {name}").fetchone() for name in names])
        given = await db.transact(lambda c: c.info.get_parameters())
    assert shown == [("7s",), ("3s",), ("7s",)]
    assert given["tcp_user_timeout"] == "11000"
    assert given["connect_timeout"] == "4"
    assert given["application_name"] == "studymatch"


async def test_what_the_address_says_itself_is_kept(conninfo: str) -> None:
    own = make_conninfo(conninfo, application_name="another", connect_timeout=9)
    async with Database(own, Limits()) as db:
        given = await db.transact(lambda c: c.info.get_parameters())
    assert (given["application_name"], given["connect_timeout"]) == ("another", "9")


# Speed


def test_no_statement_reads_all_past_sessions(conninfo: str) -> None:
    """With many sessions in the past, the plan of every statement goes by an index of the session table."""
    insert_people(conninfo)
    past = """
        insert into session (id, first_person, second_person, matched_at, ended_at, cause, node)
        select gen_random_uuid(), %s, %s, now(), now(), 'restarting', gen_random_uuid()
        from generate_series(1, 20000)
    """
    with psycopg.connect(conninfo) as connection:
        connection.execute(past, [ADA, BEN])
        connection.execute("analyze")
        one, none = [ADA], [None]
        statements: list[tuple[str, list[object]]] = [
            (UPDATE_OPEN, [one, [1.0], none, none, none]),
            (END_ELSEWHERE, [one, one, [1.0]]),
            (CLOSE_ABANDONED, [ADA, BEN, CEM, FORMER_SILENT_S]),
            ("delete from seat where session = %s", [ADA]),
        ]
        for statement, parameters in statements:
            plan = connection.execute(f"explain {statement}".encode(), parameters).fetchall()
            text = "\n".join(line for (line,) in plan)
            assert "Seq Scan on session" not in text, text
            assert " on session" in text or " on seat" in text, text


def test_a_batch_goes_by_keys_though_nothing_was_open_when_the_tables_were_analyzed(conninfo: str) -> None:
    """Who takes all that is open for one row reads all of it, over again for each person of a batch."""
    insert_people(conninfo)
    query(conninfo, "insert into person select gen_random_uuid(), 'Dee', now() from generate_series(1, 4000)")
    query(conninfo, "analyze")
    opened = """
        insert into session (id, first_person, second_person, matched_at, node)
        select gen_random_uuid(), one.id, other.id, now(), gen_random_uuid()
        from (select id, row_number() over (order by id) as n from person) as one
        join (select id, row_number() over (order by id) as n from person) as other on other.n = one.n + 1
        where one.n %% 2 = 1
    """
    query(conninfo, opened)
    some, none = [ADA, BEN, CEM], [None] * 3
    statements: list[tuple[str, list[object]]] = [
        (UPDATE_OPEN, [some, [1.0] * 3, none, none, none]),
        (END_ELSEWHERE, [some, some, [1.0] * 3]),
    ]
    for statement, parameters in statements:
        text = "\n".join(row["QUERY PLAN"] for row in query(conninfo, f"explain {statement}", *parameters))
        assert "session_pkey" in text, text
        assert "session_open_by_node" not in text, text
