"""Starting and stopping in the real world: terminals that close, odd users, odd folders, full disks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
import trio

from tests.support.person import call
from tests.support.processes import group_of, living, refusal
from tests.support.server import data_folder, present, running_server

# Signals


async def test_a_terminal_that_closes_is_a_clean_stop(server_database: str) -> None:
    """The system sends SIGHUP, and the shell sends it again: the second does not end everything by force."""
    with data_folder() as folder, running_server(folder, "--database-url", server_database) as server:
        async with present(server, "Ada") as ada, present(server, "Ben") as ben:
            for _ in range(2):
                server.process.send_signal(signal.SIGHUP)
            assert [await client.code() for client in (ada, ben)] == [4503] * 2
        assert await trio.to_thread.run_sync(server.process.wait, 30) == 0
        assert (folder / "handover.json").exists()


async def test_under_nohup_a_terminal_that_closes_is_nothing(server_database: str) -> None:
    ignoring = ("sh", "-c", 'trap "" HUP; exec "$@"', "sh")
    options = ("--database-url", server_database)
    with data_folder() as folder, running_server(folder, *options, through=ignoring) as server:
        async with present(server, "Ada") as ada:
            server.process.send_signal(signal.SIGHUP)
            await ada.say("search")
            await ada.until("state", state="searching")
        assert server.stop() == 0


@pytest.mark.parametrize("command", ["serve", "migrate"])
@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stop_before_the_start_is_over_does_not_wait_for_it(command: str, sign: signal.Signals) -> None:
    """The database has been asked, and does not answer."""
    with data_folder() as folder, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://ada@127.0.0.1:{silent.getsockname()[1]}/study?connect_timeout=60"
        options = ["--database-url", url, "--data-dir", str(folder)]
        options += ["--port", "0"] if command == "serve" else []
        process = subprocess.Popen(
            [sys.executable, "-m", "web.cli", command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        connection, _ = silent.accept()
        with connection:
            everybody = {process.pid}
            process.send_signal(sign)
            said, errors = process.communicate(timeout=40)
    assert (process.returncode, said) == (0 if command == "serve" else 130, "")
    assert "Traceback" not in errors
    assert living(everybody) == set()


def test_a_stop_while_the_private_database_starts_leaves_nothing_behind() -> None:
    with data_folder() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "web.cli", "migrate", "--data-dir", str(folder)], stderr=subprocess.PIPE
        )
        everybody: set[int] = set()
        while len(everybody) < 2 or not (folder / "postgres" / "postgres.log").exists():
            assert process.poll() is None
            everybody = group_of(process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        assert living(everybody) == set()


# Disks that are full


@pytest.mark.parametrize("database", ["there", "away"])
async def test_a_stop_with_a_full_disk_keeps_its_limit_and_tells_everybody(
    server_database: str, database: str
) -> None:
    """Neither handover nor spill can be written, as under a limit of the system on the size of files."""
    url = server_database if database == "there" else "postgresql://ada@127.0.0.1:1/study"
    options = ("--database-url", url, "--stop-limit-s", "2", "--secret", "a-secret-of-sixteen")
    full = ("sh", "-c", 'ulimit -f 0; exec "$@"', "sh")
    with data_folder() as folder, running_server(folder, *options, through=full) as server:
        async with present(server, "Ada") as ada, present(server, "Ben") as ben:
            await call(ada, ben)
            server.process.send_signal(signal.SIGTERM)
            assert [await client.code() for client in (ada, ben)] == [4503] * 2
            with trio.fail_after(20):  # two seconds, and five each for the ledger and its connections
                assert await trio.to_thread.run_sync(server.process.wait, 20) == 0
        assert not (folder / "handover.json").exists()
        assert not list(folder.glob("*.part"))


# Users and folders


NAMELESS = """
import os, sys
import encodings.idna, encodings.utf_8_sig, resource  # that user may not enter where Python is
from web import cli
if os.geteuid() == 0:
    os.setgroups([])
    os.setresgid(54321, 54321, 54321)
    os.setresuid(54321, 54321, 54321)
else:
    os.getuid = os.geteuid = lambda: 54321
cli.main()
"""
"""The command line, for a user whom the system has no name for, as in containers. Root becomes that user;
everybody else says that they are."""


def refused_to_nameless(*arguments: str, **environment: str) -> str:
    """The one sentence with which a command is refused to the user without a name."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-c", NAMELESS, *arguments]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, env=kept | environment)
    assert (said.returncode, said.stderr.rstrip().count("\n")) == (2, 0), said.stderr
    return said.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "has no home folder. Choose a folder for the data with --data-dir or STUDY"),
        ({"HOME": "/proc/nowhere"}, "may write to, with --data-dir or STUDYMATCH_DATA_DIR"),
        ({"HOME": "/dev/null"}, "may write to, with --data-dir or STUDYMATCH_DATA_DIR"),
    ],
)
def test_a_user_without_a_home_is_told_what_to_set(environment: dict[str, str], expected: str) -> None:
    assert expected in refused_to_nameless("serve", "--port", "0", **environment)


@pytest.mark.parametrize("command", ["serve --port 0 --log-level error", "migrate"])
def test_a_user_without_a_name_is_told_what_the_private_database_needs(command: str) -> None:
    with data_folder() as folder:
        folder.chmod(0o777)
        said = refused_to_nameless(*command.split(), "--data-dir", str(folder / "data"))
    assert "has no name for (id 54321). Add the user to /etc/passwd, run studymatch as" in said
    assert "--database-url" in said


def test_a_second_start_on_a_data_folder_is_refused(server_database: str) -> None:
    """Also with a database of somebody else's, and on another port."""
    with data_folder() as folder, running_server(folder, "--database-url", server_database) as server:
        options = ("--database-url", server_database, "--port", "0", "--data-dir", str(folder))
        said = refusal("serve", *options)
        assert f"Another studymatch (process {server.process.pid}) runs on the data folder {folder}." in said
