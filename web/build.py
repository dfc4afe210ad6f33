"""The build of the page that this process serves: its files, and a digest of all of them.

The digest is part of each file's path, so the content of a path never changes and browsers cache it. It
depends only on names and bytes of files, so servers that run the same release have the same digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path

from web.static_files import StaticFiles, read_folder

HERE = Path(__file__).parent
BOOT_SCRIPT = "js/boot.js"
"""The only script that is not a module: it shows an error when the modules do not run."""


class Build:
    """One build: `contents` are its files by path below the folder `static`, `templates` its page."""

    def __init__(self, contents: Mapping[str, bytes], templates: Mapping[str, bytes]) -> None:
        self.digest = digest_of(contents, templates)
        self.path = f"/s/{self.digest}"
        self.files = StaticFiles(contents)
        self.modules = [name for name in contents if name.endswith(".js") and name != BOOT_SCRIPT]

    def path_of(self, name: str) -> str:
        """The URL path of a file."""
        return f"{self.path}/{name}"


@cache
def this_build() -> Build:
    """The installed build, read and compressed once."""
    return Build(read_folder(HERE / "static"), read_folder(HERE / "templates"))


def digest_of(*folders: Mapping[str, bytes]) -> str:
    """Sixteen hexadecimal digits that depend on all names and bytes in these folders."""
    total = sha256()
    for folder in folders:
        for name, content in sorted(folder.items()):
            total.update(f"{name}\n{len(content)}\n".encode())
            total.update(content)
        total.update(b"\n")
    return total.hexdigest()[:16]
