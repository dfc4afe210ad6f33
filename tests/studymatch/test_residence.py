"""Which node uses a data folder, and which used it before."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from studymatch import residence
from studymatch.ids import new_id
from studymatch.residence import FILE, move_in
from tests.support.told import Told


def test_a_node_knows_its_folder_and_the_node_before_it(tmp_path: Path) -> None:
    told = Told()
    nodes = [move_in(tmp_path, new_id(), "here:8000", told) for _ in range(3)]
    assert len({node.home for node in nodes}) == 1
    assert [node.former for node in nodes] == [None, nodes[0].id, nodes[1].id]
    assert told.lines == []


def test_a_copy_of_a_folder_does_not_know_that_the_node_on_it_has_ended(tmp_path: Path) -> None:
    one = tmp_path / "one"
    one.mkdir()
    first = move_in(one, new_id(), "here:8000", Told())
    shutil.copytree(one, tmp_path / "copy")
    copy = move_in(tmp_path / "copy", new_id(), "here:8000", Told())
    assert (copy.home, copy.former) == (first.home, None)


def test_the_keys_of_the_file_are_those_of_every_version(tmp_path: Path) -> None:
    node = move_in(tmp_path, new_id(), "here:8000", Told())
    kept = json.loads((tmp_path / FILE).read_bytes())
    assert kept.keys() == {"home", "life", "place"}
    assert (kept["home"], kept["life"]) == (node.home, node.id)


@pytest.mark.parametrize("boot", ["another boot", None])
def test_after_a_restart_of_the_machine_it_is_not_known_whose_folder_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, boot: str | None
) -> None:
    """The machine may be a clone. Where the system says nothing of boots it is never known."""
    data_dir, boot_id = tmp_path / "data", tmp_path / "boot_id"
    data_dir.mkdir()
    if boot is not None:
        boot_id.write_text("this boot")
    monkeypatch.setattr(residence, "BOOT_ID", boot_id)
    first = move_in(data_dir, new_id(), "here:8000", Told())
    if boot is not None:
        boot_id.write_text(boot)
    second = move_in(data_dir, new_id(), "here:8000", Told())
    assert (second.home, second.former) == (first.home, None)


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 37, b"\xff\xfe", b"{}", b'{"home": 1, "life": 2}', b"[" * 50_000]
)
def test_a_folder_without_its_file_is_another(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    told = Told()
    first = move_in(tmp_path, new_id(), "here:8000", told)
    assert [line["event"] for line in told.lines] == ["unusable"]
    assert first.former is None
    assert move_in(tmp_path, new_id(), "here:8000", told).former == first.id


def test_with_a_full_disk_a_node_begins_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    told = Told()
    assert move_in(tmp_path, new_id(), "here:8000", told).home
    assert told.lines[0]["why"] == "No space left on device"
