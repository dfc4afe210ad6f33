"""Files of the data folder: whole or not at all, and read without trust."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from studymatch.state_files import (
    LOCK_FILE,
    FolderInUseError,
    make_way,
    read_or_set_aside,
    read_plainly,
    set_aside,
    sole_user,
    sync_folder,
    write_whole,
)
from tests.support.told import Told

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_what_is_written_is_for_its_owner_alone_and_nothing_lies_beside_it(path: Path) -> None:
    before = os.umask(0)
    try:
        for data in (b"first", b"second, longer", b""):
            write_whole(path, data)
            assert read_plainly(path) == data
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_data_are_on_the_disk_before_the_name_and_the_name_before_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power cut leaves the new name with nothing in it, or the old one."""
    order: list[str] = []

    def sync(descriptor: int) -> None:
        order.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().name}")

    def replace(self: Path, target: Path) -> None:
        order.append(f"{self.name} becomes {target.name}")
        os.replace(self, target)  # noqa: PTH105

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    write_whole(path, b"data")
    assert order == ["sync state.part", "state.part becomes state", f"sync {path.parent.name}"]


@pytest.mark.parametrize("function", ["os.open", "os.fsync", "Path.replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_what_cannot_be_written_changes_nothing(
    path: Path, function: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    write_whole(path, b"before")
    with monkeypatch.context() as patch:
        where, _, name = function.partition(".")
        patch.setattr(os if where == "os" else Path, name, fail)
        with pytest.raises(OSError, match=os.strerror(number)):
            write_whole(path, b"after")
    assert read_plainly(path) == b"before"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EINVAL, nullcontext()),
        (errno.ENOTSUP, nullcontext()),
        (errno.EROFS, nullcontext()),
        (errno.EIO, pytest.raises(OSError, match=os.strerror(errno.EIO))),
    ],
)
def test_only_a_broken_disk_is_an_error_and_not_a_file_system_that_cannot_sync_folders(
    tmp_path: Path, number: int, expected: AbstractContextManager[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some network and FUSE file systems refuse it; the server has to start on them too."""

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with expected:
        sync_folder(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from studymatch.state_files import write_whole
where, path = sys.argv[1], Path(sys.argv[2])
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "replace":
    Path.replace = die
else:
    os.fsync = die
write_whole(path, b"after")
"""


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_being_killed_in_the_middle_changes_nothing_and_is_no_obstacle(path: Path, where: str) -> None:
    write_whole(path, b"before")
    killed = subprocess.run([sys.executable, "-c", KILLED, where, str(path)], cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert read_plainly(path) == b"before"
    write_whole(path, b"later")
    assert read_plainly(path) == b"later"
    assert list(path.parent.iterdir()) == [path]


def others(path: Path) -> Iterator[str]:
    """What may be where a file is expected."""
    path.mkdir()
    yield "a folder"
    path.rmdir()
    os.mkfifo(path)
    yield "a pipe, to which nobody writes"
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))
    yield "a link to nothing"
    path.unlink()
    path.symlink_to(path)
    yield "a link to itself"
    path.unlink()


def test_what_is_no_file_is_set_aside_when_it_is_read(path: Path) -> None:
    for number, what in enumerate(others(path), 1):
        told = Told()
        assert read_or_set_aside(path, told) is None
        [line] = told.lines
        assert line["kept_as"] == f"{path}.unusable-{number}", what
        Path(line["kept_as"]).rename(path)
        Path(line["kept_as"]).touch()
    assert read_or_set_aside(path, Told()) is None, "nothing is nothing to tell"


def test_what_is_no_file_makes_way_and_a_file_stays(path: Path) -> None:
    for what in others(path):
        told = Told()
        make_way(path, told)
        [line] = told.lines
        assert not os.path.lexists(path), what
        Path(line["kept_as"]).rename(path)
    told = Told()
    make_way(path, told)
    path.touch()
    make_way(path, told)
    assert told.lines == []


def test_a_file_of_another_user_makes_way(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that root wrote. For root, whom these tests may run as, each file is accessible."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    path.touch()
    told = Told()
    make_way(path, told)
    assert not path.exists()
    assert [line["why"] for line in told.lines] == ["this user may not read and write it"]


def test_what_cannot_be_set_aside_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "rename", fail)
    told = Told()
    set_aside(path, "it is garbled", told)
    assert told.lines[0]["why"] == "it is garbled; it cannot be set aside: Permission denied"


def test_a_folder_has_one_user(tmp_path: Path) -> None:
    with sole_user(tmp_path, Told()):
        assert read_plainly(tmp_path / LOCK_FILE) == str(os.getpid()).encode()
        with (
            pytest.raises(FolderInUseError, match=rf"Another studymatch \(process {os.getpid()}\) runs on"),
            sole_user(tmp_path, Told()),
        ):
            pass
    with sole_user(tmp_path, Told()):
        pass


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff\xfe", b"somebody\nelse"])
def test_a_lock_file_that_is_garbled_locks_all_the_same(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK_FILE).write_bytes(content)
    with sole_user(tmp_path, Told()):
        (tmp_path / LOCK_FILE).write_bytes(content)
        with (
            pytest.raises(FolderInUseError, match=r"^Another studymatch runs on the data folder"),
            sole_user(tmp_path, Told()),
        ):
            pass


def test_a_folder_can_be_owned_though_the_disk_is_full(tmp_path: Path) -> None:
    limited = (
        "import resource, sys; from pathlib import Path; from studymatch.state_files import sole_user\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "with sole_user(Path(sys.argv[1]), print): pass"
    )
    done = subprocess.run([sys.executable, "-c", limited, str(tmp_path)], cwd=ROOT)
    assert done.returncode == 0
