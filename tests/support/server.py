"""A real `studymatch serve` in a separate process, and people who connect to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from email.message import Message
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError

import trio

from tests.promises.transcript import Frame
from tests.support.person import LIMIT_S, Page, Person, open_person

READY = "studymatch is ready at "
STOP_LIMIT_S = 60


class Server:
    """A running server. `stop` it, or leave the block it was started in."""

    def __init__(self, process: subprocess.Popen[str], address: str, log: Path) -> None:
        self.process = process
        self.address = address
        self._log = log

    @property
    def host_and_port(self) -> tuple[str, int]:
        """Where it listens."""
        host, _, port = self.address.removeprefix("http://").rpartition(":")
        return host, int(port)

    def lines(self) -> list[dict[str, Any]]:
        """The lines of its journal so far."""
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def get(self, path: str, body: Any = None, **headers: str) -> tuple[int, Message, str]:
        """Make an HTTP request; returns status, headers and body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_S) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.headers, error.read().decode()

    def guest(self, name: str) -> Frame:
        """Register a new guest; returns the server's answer."""
        status, _, body = self.get("/api/guest", {"name": name})
        assert status == 201
        guest: Frame = json.loads(body)
        return guest

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, and return the exit code."""
        self.process.send_signal(sign)
        return self.process.wait(STOP_LIMIT_S)


@contextmanager
def running_server(
    data_dir: Path,
    *options: str,
    module: str = "web.cli",
    through: Sequence[str] = (),
    **environment: str,
) -> Iterator[Server]:
    """Run a server on a free port while the block is open.

    `module` is the Python module to run; `through` a command prefix that becomes the server, like nohup.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "journal"
    command = [*through, sys.executable, "-m", module, "serve", "--port", "0"]
    command += ["--data-dir", str(data_dir), *options]
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=os.environ | environment
        )
    try:
        assert process.stdout is not None
        with process.stdout:
            first = process.stdout.readline()
        assert first.startswith(READY), f"the server did not start: {log.read_text()}"
        yield Server(process, first.removeprefix(READY).strip(), log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_LIMIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


@contextmanager
def data_folder() -> Iterator[Path]:
    """A temporary folder in which the private PostgreSQL can work even if the tests run as root."""
    with TemporaryDirectory(prefix="studymatch-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@asynccontextmanager
async def connected(server: Server, page: Page | None = None, **headers: str) -> AsyncIterator[Person]:
    """Open a WebSocket, and send nothing yet."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    async with open_person(server.host_and_port, page or Page(), headers=lines.encode()) as person:
        yield person


@asynccontextmanager
async def present(server: Server, name: str = "Ada", *, page: Page | None = None) -> AsyncIterator[Person]:
    """Connect a new person who is then in the hall; with `page`, let that page come back."""
    if page is None:
        guest = await trio.to_thread.run_sync(server.guest, name)
        page = Page(guest["user"]["id"], guest["token"])
    async with connected(server, page) as person:
        await person.come_in()
        yield person
