"""A real `studymatch serve` in a separate process, and clients on real sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from email.message import Message
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

READY = "studymatch is ready at "
STOP_LIMIT_S = 60
LIMIT_S = 60
"""The time limit for things that take no time on an idle machine: reaching it means a hang."""
Frame = dict[str, Any]


class Server:
    """A running server. `stop` it, or leave the block it was started in."""

    def __init__(self, process: subprocess.Popen[str], address: str, log: Path) -> None:
        self.process = process
        self.address = address
        self._log = log

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


class Client:
    """A person with a WebSocket: all frames received, and those not read yet."""

    def __init__(self, socket: WebSocketConnection, guest: Frame) -> None:
        self.socket = socket
        self.guest = guest
        self.frames: list[Frame] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send_message(json.dumps({"type": kind, **fields}))

    async def about(self, kind: str, **fields: Any) -> None:
        """Send a frame about the session of the last state."""
        await self.say(kind, session=self.state["session"], **fields)

    async def until(self, kind: str, **expected: Any) -> Frame:
        """Read until a frame of this kind has these values."""
        with trio.fail_after(LIMIT_S):
            while True:
                frame: Frame = json.loads(await self.socket.get_message())
                self.frames.append(frame)
                if frame["type"] == kind and expected.items() <= frame.items():
                    return frame

    async def code(self) -> int:
        """Read until the server closes; returns the close code."""
        with trio.fail_after(LIMIT_S):
            with suppress(ConnectionClosed):
                while True:
                    self.frames.append(json.loads(await self.socket.get_message()))
        assert self.socket.closed is not None
        return int(self.socket.closed.code)

    @property
    def state(self) -> Frame:
        return [frame for frame in self.frames if frame["type"] == "state"][-1]

    @property
    def seq(self) -> int:
        return int(self.frames[-1]["seq"])

    @property
    def resume(self) -> Frame:
        """The fields of a hello that resumes."""
        [welcome] = [frame for frame in self.frames if frame["type"] == "welcome"]
        return {"key": welcome["resume"]["key"], "seq": self.seq}


@asynccontextmanager
async def connected(server: Server, guest: Frame, **headers: str) -> AsyncIterator[Client]:
    """Open a WebSocket, and send nothing yet."""
    url = server.address.replace("http", "ws", 1) + "/ws"
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    with trio.CancelScope() as connection:
        async with open_websocket_url(url, extra_headers=extra) as socket:
            try:
                yield Client(socket, guest)
            finally:
                # trio-websocket itself leaves the stream open if the server closed first, and otherwise
                # waits for a close frame that is never read.
                with trio.CancelScope(shield=True):
                    await socket._stream.aclose()
                connection.cancel()


@asynccontextmanager
async def present(server: Server, name: str = "Ada", **hello: Any) -> AsyncIterator[Client]:
    """Connect a person who is then in the hall; with `guest`, that one."""
    guest = hello.pop("guest", None) or await trio.to_thread.run_sync(server.guest, name)
    async with connected(server, guest) as client:
        await client.say("hello", version=1, token=guest["token"], **hello)
        await client.until("state")
        yield client


async def meet(*clients: Client) -> None:
    """Let two people search until they are matched with each other."""
    for client in clients:
        await client.say("search")
    for client in clients:
        await client.until("state", state="connecting")


async def call(*clients: Client) -> None:
    """Let two people search, be matched, and report that media flow."""
    await meet(*clients)
    for client in clients:
        await client.about("connected")
    for client in clients:
        await client.until("state", state="connected")
