"""The limit of open files: raised as far as it goes, and a clear word where that is not far enough."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

ASK = """
from resource import RLIMIT_NOFILE, getrlimit
from web.server import open_files
print({call}, getrlimit(RLIMIT_NOFILE)[0])
"""


def asked(call: str, soft: int, hard: int) -> list[str]:
    """What a process with these limits prints: the answer of `call`, and its soft limit afterwards."""
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(call=call)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_the_limit_is_raised_as_far_as_the_system_lets_it() -> None:
    assert asked("open_files.allow()", 300, 2000) == ["2000", "2000"]


def test_the_limit_is_raised_to_what_is_needed() -> None:
    assert asked("open_files.allow(700)", 300, 2000) == ["700", "700"]
    assert asked("open_files.allow(7000)", 300, 2000) == ["2000", "2000"]


def test_a_limit_that_is_high_enough_stays() -> None:
    assert asked("open_files.allow(200)", 300, 2000) == ["300", "300"]


def test_a_server_with_room_for_hardly_anybody_says_so_and_does_not_start(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "web.cli", "serve", "--port", "0", "--data-dir", str(tmp_path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "may open only 128 files and sockets" in done.stderr
    assert "ulimit -n" in done.stderr
