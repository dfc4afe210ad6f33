"""The server's CPU and memory, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
_LISTENING = "0A"


@dataclass(frozen=True, slots=True)
class Usage:
    """The CPU seconds that a process has used since it began (to 10 ms), and its resident memory in bytes."""

    cpu_s: float
    rss_bytes: int


def usage(pid: int) -> Usage | None:
    """The usage of process `pid`; None if it has ended, or if the system is not Linux."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        pages = int((_PROC / str(pid) / "statm").read_text().split()[1])
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()  # the name may contain anything
    if fields[0] == "Z":
        return None
    return Usage((int(fields[11]) + int(fields[12])) * _TICK_S, pages * os.sysconf("SC_PAGE_SIZE"))


def listener(port: int) -> int | None:
    """The process of this machine that listens on `port`; None if there is none or it cannot be found."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _listening(table, port)}
    if not inodes:
        return None
    for process in sorted((path for path in _PROC.iterdir() if path.name.isdigit()), key=_number):
        if not inodes.isdisjoint(_handles(process)):
            return int(process.name)
    return None


def _number(process: Path) -> int:
    return int(process.name)


def _handles(process: Path) -> Iterator[str]:
    """The open file descriptors of a process; none if it has ended or permission is missing."""
    with suppress(OSError):
        for handle in (process / "fd").iterdir():
            with suppress(OSError):
                yield str(handle.readlink())


def _listening(table: str, port: int) -> list[str]:
    try:
        lines = (_PROC / "net" / table).read_text().splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [
        f"socket:[{row[9]}]"
        for row in rows
        if row[3] == _LISTENING and int(row[1].rpartition(":")[2], 16) == port
    ]
