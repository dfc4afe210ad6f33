"""The process: starting, refusing to start, stopping, and what is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import trio
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from studymatch.recording.schema import all_migrations, whole_script
from tests.support.person import call
from tests.support.processes import group_of, living, refusal
from tests.support.server import STOP_LIMIT_S, data_folder, present, running_server
from tests.support.waiting import eventually
from web.cli import main


def test_a_port_in_use_is_refused_with_a_sentence() -> None:
    with socket.socket() as taken, data_folder() as folder:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refusal("serve", "--port", port, "--data-dir", str(folder))
    assert f"port {port}" in said
    assert "another program" in said


def test_a_database_that_cannot_be_reached_is_refused_with_a_sentence_without_the_password() -> None:
    """By `migrate`; a server starts without it (`tests/faults/test_starts.py`)."""
    with data_folder() as folder:
        url = "postgresql://ada:hunter2@127.0.0.1:1/study"
        said = refusal("migrate", "--database-url", url, "--data-dir", str(folder))
    assert "127.0.0.1" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--grace-s", "-1"], "--grace-s expects a number from 0 to 1000000000000, got -1.0"),
        (["--port", "70000"], "--port expects a whole number from 0 to 65535, got 70000"),
        (["--port", "eighty"], "--port expects a whole number from 0 to 65535, got 'eighty'"),
        (["--log-level", "chatty"], "--log-level expects one of debug, info, warning, error, got 'chatty'"),
        (["--secret", "short"], "--secret expects at least 16 characters, got 5"),
        (["--ice-server", "http://example"], "--ice-server expects stun:host:port"),
        (["--trusted-proxy", "nginx"], "--trusted-proxy expects an IP address or a network"),
        (["--database-url", "nonsense"], "--database-url expects something like postgresql://"),
    ],
)
def test_a_bad_setting_is_refused_with_what_was_expected_and_what_came(
    options: list[str], expected: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, ["serve", *options], env={"STUDYMATCH_DATA_DIR": str(tmp_path)})
    assert result.exit_code == 2
    assert expected in result.stderr
    assert "nonsense:" not in result.stderr


def test_help_explains_every_setting_with_its_environment_variable_and_default() -> None:
    text = CliRunner().invoke(main, ["serve", "--help"], terminal_width=200).output
    for name in ("host", "port", "database-url", "grace-s", "ice-server", "log-level", "connect-limit-s"):
        assert f"--{name}" in text
        assert f"STUDYMATCH_{name.upper().replace('-', '_')}" in text
    assert "default: 8000" in text
    assert "Seconds" in text


def test_settings_come_from_the_environment_too() -> None:
    with data_folder() as folder:
        said = subprocess.run(
            [sys.executable, "-m", "web.cli", "serve", "--port", "0", "--data-dir", str(folder)],
            env=os.environ | {"STUDYMATCH_SECRET": "short"},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert said.returncode == 2
    assert "--secret expects at least 16 characters" in said.stderr


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_stops_everything_and_leaves_no_process_behind(sign: signal.Signals) -> None:
    with data_folder() as folder, running_server(folder) as server:
        everybody = group_of(server.process)
        assert len(everybody) > 3, "the server and its PostgreSQL"
        assert server.stop(sign) == 0
        assert living(everybody) == set()
        assert not [line for line in server.lines() if line["level"] in ("warning", "error")]


async def test_a_restart_is_only_a_dropped_connection(server_database: str) -> None:
    with data_folder() as folder:
        options = ("--database-url", server_database)
        with running_server(folder, *options) as server:
            async with (
                present(server, "Ada") as ada,
                present(server, "Ben") as ben,
                present(server, "Carl") as carl,
            ):
                await call(ada, ben)
                session = ada.state["session"]
                await carl.say("search")
                await carl.until("state", state="searching")
                server.process.send_signal(signal.SIGTERM)
                assert [await client.code() for client in (ada, ben, carl)] == [4503] * 3
            assert await trio.to_thread.run_sync(server.process.wait, 30) == 0
        with running_server(folder, *options) as server:
            async with (
                present(server, page=ada.page) as ada,
                present(server, page=ben.page) as ben,
                present(server, page=carl.page) as carl,
            ):
                assert [client.frames[0]["resumed"] for client in (ada, ben, carl)] == [True] * 3
                assert (ada.state["state"], ben.state["state"]) == ("connected", "connected")
                assert carl.state["since_ms"] > 0
                assert ada.state["session"] == ben.state["session"] == session
                await ada.about("chat", text="still here")
                assert (await ben.until("chat"))["text"] == "still here"
                await ada.about("end")
                await ada.until("state", state="idle")
                found = await eventually(lambda: row(server_database, session))
        assert found == ("ended",)


def row(conninfo: str, session: str) -> tuple[str, ...] | None:
    with psycopg.connect(conninfo) as connection:
        query = (
            "select cause from session where id = %s and connected_at is not null and ended_at is not null"
        )
        return connection.execute(query, [session]).fetchone()


async def test_a_stalled_reader_does_not_keep_the_server_from_stopping() -> None:
    with data_folder() as folder, running_server(folder, "--stop-limit-s", "1") as server:
        async with present(server, "Ada") as ada, present(server, "Ben") as ben:
            await call(ada, ben)
            host, _, port = server.address.removeprefix("http://").partition(":")
            with socket.create_connection((host, int(port))) as stalled:
                stalled.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")  # and never the rest
                with trio.fail_after(STOP_LIMIT_S):
                    server.process.send_signal(signal.SIGTERM)
                    assert await trio.to_thread.run_sync(server.process.wait, STOP_LIMIT_S) == 0


@pytest.mark.parametrize("cloned", [False, True])
async def test_servers_that_share_a_database_leave_each_others_sessions_alone(
    server_database: str, cloned: bool
) -> None:
    """Those of a former life are ended; cloned machines and containers have the same name, and the same port.

    They ended each other's sessions. The data folder may be a clone, too, while the first server lives.
    """
    with data_folder() as one, running_server(one, "--database-url", server_database) as server:
        async with present(server, "Ada") as ada, present(server, "Ben") as ben:
            await call(ada, ben)
            session = ada.state["session"]
            await eventually(lambda: is_recorded(server_database, session))
            with data_folder() as two:
                if cloned:
                    shutil.copytree(one, two, dirs_exist_ok=True)
                port = server.address.rpartition(":")[2]
                options = ("--database-url", server_database, "--host", "127.0.0.2", "--port", port)
                with running_server(two, *options) as second:
                    await eventually(lambda: second.get("/readyz")[0] == 200)
                    await ada.about("end")
                    await ada.until("state", state="idle")
                    found = await eventually(lambda: row(server_database, session))
    assert found == ("ended",)


async def test_a_kill_is_put_right_at_the_next_start() -> None:
    with data_folder() as folder:
        with running_server(folder) as server:
            async with present(server, "Ada") as ada, present(server, "Ben") as ben:
                await call(ada, ben)
                session = ada.state["session"]
                await eventually(lambda: is_recorded(private(folder), session))
                everybody = group_of(server.process)
                server.process.kill()
                server.process.wait()
        with running_server(folder) as server:
            assert living(everybody) == set(), "the former PostgreSQL has been stopped"
            await eventually(lambda: server.get("/readyz")[0] == 200)
            assert await eventually(lambda: cause_of(folder, session)) == "node_lost"


def is_recorded(conninfo: str, session: str) -> bool:
    """Whether a session has a row."""
    with psycopg.connect(conninfo) as connection:
        return connection.execute("select from session where id = %s", [session]).fetchone() is not None


def private(folder: Path) -> str:
    """The connection string of the private PostgreSQL of a data folder."""
    return make_conninfo(host=str(folder / "postgres" / "run"), user="studymatch", dbname="studymatch")


def cause_of(folder: Path, session: str) -> str | None:
    """The cause of a session in the private PostgreSQL of a data folder."""
    with psycopg.connect(private(folder)) as connection:
        found = connection.execute("select cause from session where id = %s", [session]).fetchone()
    return found[0] if found else None


def migrate(*options: str) -> tuple[int, str]:
    """The exit code of `studymatch migrate` and what it prints."""
    with data_folder() as folder:
        command = [sys.executable, "-m", "web.cli", "migrate", "--data-dir", str(folder / "data"), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=STOP_LIMIT_S, check=False)
        assert done.stderr == ""
        assert not (folder / "data").exists(), "it needs no data folder"
    return done.returncode, done.stdout


def test_migrate_says_what_is_to_be_done_and_what_it_did(bare_conninfo: str) -> None:
    """`--check` first, which changes nothing; then once, and once more."""
    there = ("--database-url", bare_conninfo)
    names = [migration.name for migration in all_migrations()]
    todo = "".join(f"To be applied: {name}\n" for name in names)
    done = "".join(f"Applied: {name}\n" for name in names)
    for _ in range(2):
        assert migrate("--check", *there) == (1, todo)
    assert migrate(*there) == (0, f"{done}The tables are up to date.\n")
    for again in ((), ("--check",)):
        assert migrate(*again, *there) == (0, "The tables are up to date.\n")


def test_migrate_prints_the_sql_for_whoever_deploys_by_hand() -> None:
    """Without any database."""
    assert migrate("--print") == (0, whole_script())
    assert "--check and --print" in refusal("migrate", "--check", "--print")
