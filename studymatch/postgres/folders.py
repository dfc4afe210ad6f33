"""Finds and makes the data folder, and the folders in it that PostgreSQL's account must be able to enter.

This module makes each path usable or raises an error for people. It starts no process.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from studymatch.postgres.programs import EmbeddedPostgresError, account_for
from studymatch.state_files import (
    FolderInUseError,
    Tell,
    sole_user,
    sync_folder,
    write_whole,
)

ELSEWHERE = Path("/var/lib/studymatch-postgres")
"""Where root keeps the data of PostgreSQL if PostgreSQL's account may not enter the data folder."""

SHORT_FOLDERS = (Path("/tmp"), Path("/var/tmp"))
"""Folder for the socket if its path in the data folder would be too long."""

SOCKET_PATH_MAX = 107 if sys.platform == "linux" else 103
"""Bytes of the path of a Unix socket: `sun_path` of sockaddr_un, less its final zero."""

SHORT_PREFIX = "studymatch-"

PLAIN = re.compile(r"[A-Za-z0-9_./+=~-]*")
"""Paths that PostgreSQL's settings and libpq's addresses take literally: both split at commas."""


NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories that a path may not contain: control characters, bytes that are not UTF-8, line breaks.
`initdb` refuses some of them, and all of them would garble the log."""


class DataFolderError(Exception):
    """The data folder cannot be used; the text is for people and says what to set."""


@contextmanager
def own_data_folder(said: str | None, tell: Tell) -> Iterator[Path]:
    """The chosen folder, or the default one; created if it is missing, and locked within the block.

    Raises:
        DataFolderError: there is no default one, the folder cannot be used, or another process uses it.
    """
    folder = data_folder(said)
    with ExitStack() as stack:
        try:
            stack.enter_context(sole_user(folder, tell))
        except FolderInUseError as error:
            raise DataFolderError(f"{error} Stop it, or choose another folder with --data-dir.") from None
        except OSError as error:
            raise unusable(folder, error) from error
        yield folder


def data_folder(said: str | None) -> Path:
    """The chosen folder, or the default one; created if it is missing.

    Raises:
        DataFolderError: there is no default one, or the folder cannot be created or used.
    """
    folder = Path(said).absolute() if said else default_data_dir()
    if any(unicodedata.category(character) in NO_TEXT for character in str(folder)):
        raise DataFolderError(
            f"The data folder {str(folder)!a} has characters in its path that are no text, such as line"
            " breaks. Choose another with --data-dir."
        )
    try:
        return make_data_dir(folder)
    except OSError as error:
        raise unusable(folder, error) from error


def unusable(folder: Path, error: OSError) -> DataFolderError:
    """The error for an operation on the data folder that the system refused."""
    return DataFolderError(
        f"The data folder {folder} cannot be used: {error}. Choose one that this user (id {os.geteuid()}) may"
        " write to, with --data-dir or STUDYMATCH_DATA_DIR."
    )


def default_data_dir() -> Path:
    """The default data folder, to which the server's account can write.

    Raises:
        DataFolderError: this user has no home.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/studymatch")
    for variable, below in (("XDG_DATA_HOME", ""), ("HOME", ".local/share")):
        if (base := Path(os.environ.get(variable, ""))).is_absolute():
            return base / below / "studymatch"
    with suppress(KeyError):
        return Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".local/share/studymatch"
    raise DataFolderError(
        f"This user (id {os.geteuid()}) has no home folder. Choose a folder for the data with --data-dir or"
        " STUDYMATCH_DATA_DIR."
    )


def make_data_dir(folder: Path) -> Path:
    """Create `folder` and its parents, and return it. For root, PostgreSQL's account can enter them, whatever
    the umask is.

    Raises:
        OSError: it cannot be made, or is no folder.
    """
    for path in [*reversed(folder.parents), folder]:
        if not path.exists():
            path.mkdir()
            if os.geteuid() == 0:
                path.chmod(0o755)
    if not folder.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(folder))
    return folder


def place_for_postgres(folder: Path, tell: Tell) -> Path:
    """The folder for PostgreSQL's data: `folder` or a substitute.

    PostgreSQL never runs as root, and its account may not be allowed to enter `folder`. Then its data are
    kept in a new folder below `ELSEWHERE`, and a link named ``elsewhere`` in `folder` points to it for the
    next start. Data that are in `folder` already stay there.

    Raises:
        EmbeddedPostgresError: the link leads nowhere, or there is no account.
        OSError: the link cannot be made.
    """
    link = folder / "elsewhere"
    if link.is_symlink():
        place = link.readlink()
        if not place.is_dir():
            raise EmbeddedPostgresError(
                f"The data of the private PostgreSQL of {folder} are kept in {place}, which is not there."
                f" Bring it back; or remove {link}, and begin without them."
            )
        return place
    account = account_for(None)
    if (folder / "pgdata").exists() or account.barrier(folder) is None:
        return folder
    try:
        make_data_dir(ELSEWHERE)
        if account.barrier(ELSEWHERE) is not None:
            return folder
        name = re.sub(r"[^A-Za-z0-9]+", "-", str(folder)[-60:]).strip("-")
        place = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=ELSEWHERE))
        place.chmod(0o755)
        write_whole(place / "belongs-to", f"{folder}\n".encode())
    except OSError:
        return folder  # it will be refused later, with advice
    link.symlink_to(place)
    sync_folder(folder)
    tell("kept elsewhere", folder=str(folder), place=str(place), why=f"{account.name} may not enter")
    return place


def socket_folder(data_dir: Path, name: str) -> Path:
    """A new folder for a socket named `name`, with a path that PostgreSQL and libpq take literally.

    It is ``run`` in the data folder, or else the target of the link ``run`` there. So the next start finds
    and removes the folder of a killed process; PostgreSQL could mistake a lock file in it for a running
    server's.

    Raises:
        OSError: it cannot be made.
    """
    folder = data_dir / "run"
    if folder.is_symlink():
        former = folder.readlink()
        if former.parent in SHORT_FOLDERS and former.name.startswith(SHORT_PREFIX):
            shutil.rmtree(former, ignore_errors=True)
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)
    elif folder.exists():
        folder.unlink()
    if PLAIN.fullmatch(str(folder)) and len(os.fsencode(folder / name)) <= SOCKET_PATH_MAX:
        folder.mkdir(mode=0o700)
        return folder
    short = _short_folder()
    folder.symlink_to(short)
    return short


def _short_folder() -> Path:
    """A new folder with a short path that only its owner can enter."""
    *others, last = SHORT_FOLDERS
    for parent in others:
        with suppress(OSError):
            return Path(tempfile.mkdtemp(prefix=SHORT_PREFIX, dir=parent))
    return Path(tempfile.mkdtemp(prefix=SHORT_PREFIX, dir=last))
