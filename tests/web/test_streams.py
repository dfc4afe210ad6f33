"""The streams of the process: whatever becomes of them, people notice nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.support.person import call
from tests.support.server import STOP_LIMIT_S, Server, connected, data_folder, present
from tests.support.waiting import eventually

SERVE = [sys.executable, "-m", "web.cli", "serve", "--log-level", "debug"]


@contextmanager
def serving(
    command: list[str],
    options: list[str],
    address: str,
    stdout: int | None = None,
    stderr: int | None = None,
) -> Iterator[Server]:
    """A server at `address`, of which nothing can be read."""
    port = address.rpartition(":")[2]
    with data_folder() as folder:
        everything = [*command, "--port", port, "--data-dir", str(folder), *options]
        process = subprocess.Popen(everything, text=True, stdout=stdout, stderr=stderr)
        try:
            yield Server(process, address, folder / "none")
        finally:
            process.kill()
            process.wait()


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def lives(address: str) -> bool:
    try:
        with urllib.request.urlopen(address + "/healthz", timeout=20) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, ConnectionError):
        return False


def gone() -> tuple[int, Callable[[], None]]:
    """A pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing, lambda: None


def full() -> tuple[int, Callable[[], None]]:
    """A pipe that nobody reads, and that has no room."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"." * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    return writing, lambda: os.close(reading)


def no_disk() -> tuple[int, Callable[[], None]]:
    """A disk that is full."""
    return os.open("/dev/full", os.O_WRONLY), lambda: None


@pytest.mark.parametrize("trouble", [gone, full, no_disk])
@pytest.mark.parametrize("form", ["json", "console"])
async def test_whatever_becomes_of_the_log_people_meet_and_are_told_of_the_stop(
    trouble: Callable[[], tuple[int, Callable[[], None]]], form: str, server_database: str
) -> None:
    stream, finish = trouble()
    options = ["--database-url", server_database, "--log-format", form]
    with serving(SERVE, options, free_address(), stdout=stream, stderr=stream) as server:
        os.close(stream)
        await they_meet(server)
        assert await trio.to_thread.run_sync(server.process.wait, STOP_LIMIT_S) == 0
    finish()


@pytest.mark.parametrize("closing", ["2>&-", "1>&- 2>&-", "0<&- 1>&- 2>&-"])
async def test_a_server_that_was_started_without_streams_serves(closing: str, server_database: str) -> None:
    command = ["/bin/sh", "-c", f'exec "$@" {closing}', "sh", *SERVE]
    options = ["--database-url", server_database]
    with serving(command, options, free_address(), stdout=subprocess.DEVNULL) as server:
        await they_meet(server)
        assert await trio.to_thread.run_sync(server.process.wait, STOP_LIMIT_S) == 0


async def they_meet(server: Server) -> None:
    """Two people are in a call, while others write lines; then the server stops, and both are told."""
    await eventually(lambda: lives(server.address), limit_s=60)
    async with present(server, "Ada") as ada, present(server, "Ben") as ben, present(server, "Eve") as eve:
        await call(ada, ben)
        for _ in range(10):
            await eve.say("search")
            await eve.say("cancel")
        await eve.until("state", state="idle", cause="cancelled")
        await ada.about("chat", text="still here")
        assert (await ben.until("chat"))["text"] == "still here"
        server.process.send_signal(signal.SIGTERM)
        assert [await client.code() for client in (ada, ben, eve)] == [4503] * 3


async def test_the_last_lines_before_the_end_are_written(server_database: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stream:
        options = ["--database-url", server_database, "--log-format", "json"]
        with serving(SERVE, options, free_address(), stderr=stream.fileno()) as server:
            await they_meet(server)
            assert await trio.to_thread.run_sync(server.process.wait, STOP_LIMIT_S) == 0
    assert log.read_text().count('"event":"left"') == 3


@pytest.mark.parametrize("trouble", [gone, full, no_disk])
@pytest.mark.parametrize("mistake", [["--secret", "short"], ["--port", "eighty"], ["--no-such-option"]])
def test_a_refusal_that_nobody_can_read_has_its_exit_code_all_the_same(
    trouble: Callable[[], tuple[int, Callable[[], None]]], mistake: list[str]
) -> None:
    stream, finish = trouble()
    with subprocess.Popen([*SERVE, *mistake], stdout=stream, stderr=stream) as process:
        os.close(stream)
        assert process.wait(60) == 2
    finish()


async def test_whom_the_server_hangs_up_on_is_a_line(server: Server) -> None:
    before = len(server.lines())
    async with present(server, "Ada") as ada:
        for _ in range(20):
            await ada.send_text("nonsense")
        assert await ada.code() == 4400
    async with connected(server) as stranger:
        await stranger.say("hello", version=1, token="forged")
        assert await stranger.code() == 4401

    def hung_up() -> list[tuple[str, int]]:
        return [(e["actor"], e["code"]) for e in server.lines()[before:] if e["event"] == "hung up"]

    assert await eventually(lambda: hung_up() if len(hung_up()) == 2 else None) == [
        (f"user {ada.page.person}", 4400),
        ("reception", 4401),
    ]
