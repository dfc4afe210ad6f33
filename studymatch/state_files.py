"""Files of the data folder that outlive the process: written atomically, and validated when read.

Disks fill up, power fails, people copy folders and edit files. So a file is written under a temporary name,
synced and renamed. A file that is read may be empty, truncated, garbled, a folder, a pipe, owned by another
user, or not text. If it cannot be used, it is renamed, with a warning, and never deleted. The callers decide
how to continue without it; this module does not interpret the contents.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

LOCK_FILE = "studymatch.lock"
"""The process that holds the lock on this file owns the folder. The file holds its id, for people."""

T = TypeVar("T")

Tell: TypeAlias = Callable[..., None]
"""Writes a warning: an event, and fields by name, like `Journal.warning`."""


class FolderInUseError(Exception):
    """Another process owns the folder. The text names the folder, and the process if it is known."""


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically and durably, readable for its owner only.

    Raises:
        OSError: it could not be written, for example because the disk is full; nothing has changed.
    """
    beside = path.with_name(path.name + ".part")
    with suppress(FileNotFoundError):
        beside.unlink()
    try:
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Sync the entries of `folder` to the disk, if the file system supports that.

    Raises:
        OSError: the disk failed.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EROFS):
            raise
    finally:
        os.close(descriptor)


def read_plainly(path: Path) -> bytes:
    """The bytes of the ordinary file `path`.

    Raises:
        FileNotFoundError: it does not exist.
        OSError: it cannot be read, or is not an ordinary file. This function never waits for a pipe.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Not an ordinary file", str(path))
        return file.read()


def read_or_set_aside(path: Path, tell: Tell) -> bytes | None:
    """The bytes of the file `path`; None if it is missing, or cannot be read and was set aside."""
    try:
        return read_plainly(path)
    except FileNotFoundError:
        if path.is_symlink():  # which leads nowhere
            set_aside(path, "it is a link to nothing", tell)
    except OSError as error:
        set_aside(path, error.strerror or str(error), tell)
    return None


def decode(data: bytes, decoder: msgspec.json.Decoder[T]) -> T | None:
    """`data` decoded by `decoder`; None if it is not valid."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def set_aside(path: Path, why: str, tell: Tell) -> None:
    """Rename `path` to a free name beside it, and write a warning."""
    others = (path.with_name(f"{path.name}.unusable-{number}") for number in count(1))
    other = next(name for name in others if not os.path.lexists(name))
    try:
        path.rename(other)
    except OSError as error:
        tell("unusable", file=str(path), why=f"{why}; it cannot be set aside: {error.strerror}")
    else:
        tell("unusable", file=str(path), why=why, kept_as=str(other))


def make_way(path: Path, tell: Tell) -> None:
    """Set aside the file at `path` unless it is an ordinary one that this process may read and write."""
    with suppress(FileNotFoundError):
        if not stat.S_ISREG(path.lstat().st_mode):
            set_aside(path, "it is no ordinary file", tell)
        elif not os.access(path, os.R_OK | os.W_OK):
            set_aside(path, "this user may not read and write it", tell)


@contextmanager
def sole_user(folder: Path, tell: Tell) -> Iterator[None]:
    """Lock the existing `folder` within the block. The system releases the lock when the process ends.

    Raises:
        FolderInUseError: another process owns it.
        OSError: it cannot be written to.
    """
    path = folder / LOCK_FILE
    if path.is_dir():  # nobody can hold the lock on a folder, so it is safe to rename
        set_aside(path, "it is a folder", tell)
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = lock.read(32).strip().decode(errors="replace")
            whose = f" (process {owner})" if owner.isdecimal() else ""
            raise FolderInUseError(f"Another studymatch{whose} runs on the data folder {folder}.") from None
        with suppress(OSError):  # the disk is full: the file stays empty, but the lock holds
            lock.truncate(0)
            lock.write(str(os.getpid()).encode())
        yield
