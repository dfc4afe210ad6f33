"""`studymatch show`: what it prints, and what it refuses."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import trio
from click.testing import CliRunner, Result

from studymatch.recording.store import Store
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import Entry
from tests.support.person import call
from tests.support.rows import Story, query, waiting_for_a_lock
from tests.support.server import data_folder, present, running_server
from tests.support.waiting import eventually
from web.cli import main


def shown(*words: str) -> tuple[list[list[str]], str]:
    """The rows that `studymatch show` prints, in words and without the titles, and what else it says."""
    result = CliRunner().invoke(main, ("show", *words))
    assert result.exit_code == 0, result.output
    _, *lines = result.stdout.splitlines()
    return [line.split() for line in lines], result.stderr


def refused(*words: str) -> str:
    result: Result = CliRunner().invoke(main, ("show", *words))
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("studymatch: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def write(conninfo: str, entries: list[Entry]) -> None:
    async def work() -> None:
        async with Store(conninfo) as store:
            await store.write(entries)

    trio.run(work)


def test_every_question_has_its_table(conninfo: str) -> None:
    there = ("--database-url", conninfo)

    async def story_of() -> tuple[Story, list[Entry], str, str]:
        story = Story()
        over, still = story.matched(story.ben, story.ada), story.matched(story.ada, story.cem)
        records = [*story.people(), over, story.connected(over)]
        records += [story.ended(over, SessionCause.ENDED), still]
        return story, story.entries(*records), over.session, still.session

    story, entries, over, still = trio.run(story_of)
    write(conninfo, entries)
    for change in (
        "alter table session disable trigger session_stands",
        "update session set matched_at = '2026-01-02 03:04:05+02', connected_at = '2026-01-02 03:04:06+02',"
        " ended_at = '2026-01-02 04:34:06+02' where ended_at is not null",
        "update session set matched_at = '2026-01-02 03:04:05Z' where ended_at is null",
        "update person set first_seen = '2026-01-01 00:00:00Z'",
    ):
        query(conninfo, change)
    assert shown("people", " Ada ", *there) == ([[story.ada, "2026-01-01T00:00:00Z", "Ada"]], "")
    rows, _ = shown("sessions", story.ada, *there)
    times = ["2026-01-02T01:04:05Z", "2026-01-02T01:04:06Z", "2026-01-02T02:34:06Z"]
    assert sorted(rows) == sorted(
        [
            [over, story.ben, *times, "ended", "partner"],
            [still, story.cem, "2026-01-02T03:04:05Z", "-", "-", "-", "-"],
        ]
    )
    assert shown("sessions", story.ben, *there)[0] == [[over, story.ada, *times, "ended", "they"]]
    assert shown("open", *there)[0] == [[still, story.ada, story.cem, "2026-01-02T03:04:05Z", "-"]]
    query(conninfo, "update session set matched_at = now() where ended_at is null")
    query(
        conninfo,
        "update session set matched_at = now(), connected_at = now(), ended_at = now() + interval '90 min'"
        " where ended_at is not null",
    )
    [day] = shown("days", "--days", "1", *there)[0]
    assert day[1:] == ["2", "1", "1.5"]


def test_a_page_says_how_to_go_on(conninfo: str) -> None:
    there = ("--database-url", conninfo)
    query(conninfo, "insert into person select gen_random_uuid(), 'Ada', now() from generate_series(1, 3)")
    first, said = shown("people", "Ada", "--limit", "2", *there)
    last_id = first[-1][0]
    assert said == f"There are more rows: repeat the command with --before {last_id}\n"
    rest, said = shown("people", "Ada", "--limit", "2", "--before", last_id, *there)
    assert (len(first), len(rest), said) == (2, 1, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("people", "Missing argument 'NAME'"),
        ("people Ada hunter2", "people expects NAME, options and their values only, got 1 more"),
        ("people \u200b", "nobody can have this name: Please enter a name."),
        (f"people {'hunter2' * 99}", "nobody can have this name: Please choose a name of at most 40"),
        ("sessions hunter2", "'PERSON' expects an id"),
        ("open --before hunter2", "'--before' expects an id"),
        ("open --limit 0", "'--limit': 0 is not in the range"),
        ("open --limit 1001", "'--limit': 1001 is not in the range"),
        ("days --days 367", "'--days': 367 is not in the range"),
        ("open hunter2", "open expects options and their values only, got 1 more"),
        ("open --database-url nonsense", "--database-url expects something like postgresql://"),
        ("closed", "No such command 'closed'"),
    ],
)
def test_a_command_line_that_cannot_be_read_is_one_line(words: str, expected: str) -> None:
    said = refused(*words.split(" "))
    assert expected in said
    assert "hunter2" not in said


def test_a_database_that_is_away_is_one_line_without_the_password() -> None:
    said = refused("open", "--database-url", "postgresql://ada:hunter2@127.0.0.1:1/study")
    assert "127.0.0.1, port 1, database study, user ada cannot be reached" in said
    assert "hunter2" not in said


def test_without_a_private_database_none_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "nothing"
    assert f"No private PostgreSQL runs in {folder}/postgres." in refused("open", "--data-dir", str(folder))
    assert not folder.exists()


def test_an_interrupt_ends_the_question(conninfo: str) -> None:
    command = [sys.executable, "-m", "web.cli", "show", "open", "--database-url", conninfo]
    with psycopg.connect(conninfo) as other:
        other.execute("lock table session")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            trio.run(eventually, lambda: waiting_for_a_lock(conninfo) or process.poll() is not None)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=40) == ("", "")
    assert process.returncode == 130


async def test_the_private_database_of_a_running_server_is_asked() -> None:
    with data_folder() as folder, running_server(folder) as server:
        async with present(server, "Ada") as ada, present(server, "Ben") as ben:
            await call(ada, ben)

            def show() -> str:
                command = [sys.executable, "-m", "web.cli", "show", "open", "--data-dir", str(folder)]
                return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

            session = ada.state["session"]
            assert await eventually(lambda: session in show())
