"""Where things are kept: any path works, or is refused in a sentence that says what to set."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studymatch.postgres.folders import DataFolderError, data_folder, default_data_dir, own_data_folder
from tests.support.told import Told


def test_without_a_home_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    for variable in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(variable, "")
    with pytest.raises(DataFolderError, match=r"user \(id 4000000\) has no home folder.*--data-dir or STUDY"):
        default_data_dir()


@pytest.mark.parametrize("variable", ["HOME", "XDG_DATA_HOME"])
def test_a_home_that_is_no_path_from_the_root_does_not_count(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "relative")
    assert default_data_dir().is_absolute()


@pytest.mark.parametrize("name", ["two\nlines", "a bell\a", "escape\x1b[31m", "no \udcff text", "a\u2028b"])
def test_a_path_that_is_no_text_is_refused_on_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataFolderError, match=r"characters in its path that are no text") as said:
        data_folder(str(tmp_path / name))
    assert str(said.value).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_file_is_no_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(
        DataFolderError, match=r"cannot be used: .*Not a directory.*--data-dir or STUDYMATCH_"
    ):
        data_folder(str(tmp_path / "file" / below))


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFolderError, match="File name too long"):
        data_folder(str(tmp_path / ("x" * 300)))


def test_a_folder_that_another_process_uses_is_refused(tmp_path: Path) -> None:
    with (
        own_data_folder(str(tmp_path), Told()) as folder,
        pytest.raises(DataFolderError, match=rf"\(process {os.getpid()}\) runs on .* Stop it, or choose"),
        own_data_folder(str(folder), Told()),
    ):
        pass
