"""studymatch with another build id: ``python -m tests.support.newer serve …``. Its page has one more file."""

from __future__ import annotations

from pathlib import Path

from web import build, cli
from web.static_files import read_folder


def read_more(folder: Path) -> dict[str, bytes]:
    return read_folder(folder) | {"newer.txt": b"newer"}


if __name__ == "__main__":
    vars(build)["read_folder"] = read_more
    cli.main()
