"""Helpers for processes: which ones a server has started, which still run, and messages of refused starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any


def refusal(*arguments: str) -> str:
    """The message of a refused start, after checking its exit code."""
    command = [sys.executable, "-m", "web.cli", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def group_of(process: subprocess.Popen[Any]) -> set[int]:
    """A process and every process it has started."""
    found = {process.pid}
    while True:
        children = {
            int(entry.name)
            for entry in Path("/proc").iterdir()
            if entry.name.isdigit() and parent_of(int(entry.name)) in found
        }
        if children <= found:
            return found
        found |= children


def parent_of(pid: int) -> int:
    """The parent of `pid`; 0 if `pid` has ended, even if it is still a zombie."""
    try:
        state, parent, *_ = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 0 if state == "Z" else int(parent)


def living(pids: set[int]) -> set[int]:
    return {pid for pid in pids if parent_of(pid)}
