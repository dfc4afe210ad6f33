"""Finds and stops PostgreSQL servers that a killed process left running.

The caller holds the lock on the data folder, so no living process needs a server that runs on it. This module
finds servers by their command lines, because the pid file may be empty or garbled, or hold the id of another
process by now.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import trio

from actors import Journal
from studymatch.postgres.programs import EmbeddedPostgresError
from studymatch.state_files import set_aside

PATIENCE = ((signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))
"""The signals that stop a server, and the seconds after each: fast shutdown, immediate shutdown, kill."""

POLL_S = 0.02


async def stop_leftover(pgdata: Path, journal: Journal) -> None:
    """Stop servers that still run on `pgdata`, and remove the pid file.

    PostgreSQL does not start if that file is malformed, or holds the id of any living process of the account.

    Raises:
        EmbeddedPostgresError: it cannot be stopped.
    """
    for pid in _serving(pgdata):
        for how, limit_s in PATIENCE:
            journal.warning("stopping the server of a killed process", pid=pid, signal=how.name)
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            with trio.move_on_after(limit_s):
                while pid in _serving(pgdata):  # noqa: ASYNC110 (not a child process, so it cannot be awaited)
                    await trio.sleep(POLL_S)
                break
        else:
            raise EmbeddedPostgresError(
                f"A PostgreSQL server (process {pid}) of a studymatch that was killed cannot be stopped."
            )
    pid_file = pgdata / "postmaster.pid"
    if pid_file.is_dir() and not pid_file.is_symlink():
        set_aside(pid_file, "it is a folder", journal.warning)
    else:
        pid_file.unlink(missing_ok=True)


def _serving(pgdata: Path) -> list[int]:
    """The ids of PostgreSQL servers on `pgdata`, by their command lines."""
    said = os.fsencode(f"postgres -D {pgdata} ")
    return [pid for pid, command in _command_lines() if said in command]


def _command_lines() -> Iterator[tuple[int, bytes]]:
    """All processes with their command lines, each argument followed by a blank."""
    if Path("/proc/self/cmdline").exists():
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with suppress(OSError):
                    yield int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ")
    else:
        for line in subprocess.run(
            ["ps", "-axww", "-o", "pid=,args="], capture_output=True
        ).stdout.splitlines():
            pid, _, command = line.strip().partition(b" ")
            if pid.isdigit():
                yield int(pid), command + b" "
