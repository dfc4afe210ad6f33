"""The backlog: one queue, in memory and in a file, that survives what may happen to a process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from studymatch.recording import backlog as backlog_module
from studymatch.recording.backlog import LINE_MAX, Backlog, BacklogError
from studymatch.rules.records import Entry, PersonArrived, SessionConnected, SessionMatched, fold
from tests.support.told import Told


class WallClock:
    """A wall clock that a test sets."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unwritten.jsonl"


def entry(number: int, at: float = 0.0) -> Entry:
    return Entry("node", SessionConnected(f"session {number}", at))


def numbers(entries: list[Entry]) -> list[int]:
    return [int(e.record.session.split()[1]) for e in entries if isinstance(e.record, SessionConnected)]


def content(path: Path) -> bytes:
    return path.read_bytes()


def overwrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)


async def test_what_is_in_memory_when_the_block_is_left_is_there_for_the_next_life(path: Path) -> None:
    with Backlog(path, Told()) as backlog:
        for number in range(5):
            backlog.append(entry(number))
        backlog.drop(len(backlog.peek(2)))
    with Backlog(path, Told()) as backlog:
        assert len(backlog) == backlog.in_file == 3
        assert numbers(backlog.peek(100)) == [2, 3, 4]
        backlog.drop(3)
        assert content(path) == b""
    with Backlog(path, Told()) as backlog:
        assert len(backlog) == 0


async def test_the_file_comes_before_memory(path: Path) -> None:
    with Backlog(path, Told()) as backlog:
        backlog.append(entry(0))
        backlog.append(entry(1))
        await backlog.move_to_file()
        backlog.append(entry(2))
        assert (backlog.in_file, backlog.in_memory) == (2, 1)
        assert numbers(backlog.peek(100)) == [0, 1]
        backlog.drop(1)
        assert numbers(backlog.peek(100)) == [1]
        await backlog.move_to_file()
        backlog.append(entry(3))
        assert numbers(backlog.peek(100)) == [1, 2]
        backlog.drop(2)
        assert numbers(backlog.peek(100)) == [3]


async def test_what_is_appended_while_the_file_is_written_stays_in_memory(path: Path) -> None:
    with Backlog(path, Told()) as backlog:
        backlog.append(entry(0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backlog.move_to_file)
            await trio.testing.wait_all_tasks_blocked()
            backlog.append(entry(1))
        assert (backlog.in_file, backlog.in_memory) == (1, 1)


async def test_a_record_keeps_its_age_across_lives(path: Path, mock_clock: MockClock) -> None:
    wall = WallClock()
    mock_clock.jump(1000.0)
    with Backlog(path, Told(), wall_clock=wall) as backlog:
        backlog.append(entry(0, at=trio.current_time() - 7.0))
    mock_clock.jump(500.0)  # whatever trio's clock shows in another life
    wall.now += 60.0
    with Backlog(path, Told(), wall_clock=wall) as backlog:
        [kept] = backlog.peek(1)
    assert trio.current_time() - kept.record.at == pytest.approx(67.0)
    assert kept.node == "node"


EARLIER = b"""\
{"wall":1.0,"node":"node","record":{"type":"PersonArrived","person":"ada","name":"Ada","at":1.5}}
{"wall":1.0,"node":"node","record":{"type":"PersonArrived","person":"ben","name":"Ben","at":1.5}}
{"wall":1.0,"node":"node","record":{"type":"SessionMatched","session":"s","first":"ada","second":"ben","at":2}}
"""


async def test_what_an_earlier_version_spilled_is_replayed(path: Path) -> None:
    """It told of people when they came, and of a match without their names."""
    overwrite(path, EARLIER)
    told = Told()
    with Backlog(path, told) as backlog:
        entries = backlog.peek(100)
    assert told.lines == []
    assert [type(e.record) for e in entries] == [PersonArrived, PersonArrived, SessionMatched]
    rows = fold(entries)
    assert [(row.id, row.name) for row in rows.people.values()] == [("ada", "Ada"), ("ben", "Ben")]
    assert list(rows.sessions) == ["s"]


async def test_a_line_that_was_not_finished_is_cut_off(path: Path) -> None:
    with Backlog(path, Told()) as backlog:
        backlog.append(entry(0))
        backlog.append(entry(1))
    whole = content(path)
    for length in range(whole.index(b"\n") + 1, len(whole)):
        overwrite(path, whole[:length])
        with Backlog(path, Told()) as backlog:
            assert numbers(backlog.peek(100)) == [0]
            assert backlog.damaged == []
            backlog.append(entry(2))
        with Backlog(path, Told()) as backlog:
            assert numbers(backlog.peek(100)) == [0, 2]


async def test_a_damaged_line_is_told_and_passed_over(path: Path) -> None:
    with Backlog(path, Told()) as backlog:
        for number in range(3):
            backlog.append(entry(number))
    lines = content(path).splitlines(keepends=True)
    lines[1] = b"\xff" + lines[1][1:]
    overwrite(path, b"".join(lines) + b"{}\n")
    with Backlog(path, Told()) as backlog:
        assert backlog.damaged == [lines[1], b"{}\n"]
        assert len(backlog) == 2
        assert numbers(backlog.peek(1)) == [0]
        backlog.drop(1)
        assert numbers(backlog.peek(100)) == [2]
        backlog.drop(1)
        assert content(path) == b""


NO_RECORDS = {
    "zeros": b"\0" * 4096,
    "a folder's worth of nonsense": os.urandom(64).replace(b"\n", b" "),
    "another shape": b'{"wall": "now", "node": 7, "record": []}',
    "another kind of record": b'{"wall": 0, "node": "node", "record": {"type": "Nonsense"}}',
    "a number beyond numbers": b'{"wall": 1e999, "node": "node", "record": {}}',
    "nested without end": b'{"x":' + b"[" * 50_000,
    "longer than any record": b"x" * (3 * LINE_MAX + 7),
    "half a record": b'{"wall": 0, "node": "no',
}


@pytest.mark.parametrize("line", NO_RECORDS.values(), ids=NO_RECORDS)
async def test_whatever_stands_in_the_file_the_records_round_it_are_kept(path: Path, line: bytes) -> None:
    with Backlog(path, Told()) as backlog:
        for number in range(2):
            backlog.append(entry(number))
    first, second = content(path).splitlines(keepends=True)
    overwrite(path, first + line + b"\n" + second + line)
    with Backlog(path, Told()) as backlog:
        [damaged] = backlog.damaged
        assert damaged == (line + b"\n")[:LINE_MAX], "of a line without end not all is held in memory"
        assert numbers(backlog.peek(1)) == [0]
        backlog.drop(1)
        assert numbers(backlog.peek(100)) == [1]
        backlog.append(entry(2))
    with Backlog(path, Told()) as backlog:
        assert numbers(backlog.peek(100))[-2:] == [1, 2], "what had no end has been cut off"


async def test_damaged_lines_without_end_are_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "DAMAGED_MAX", 3)
    overwrite(path, b"\n" * 10)
    with Backlog(path, Told()) as backlog:
        assert (len(backlog.damaged), backlog.damaged_more) == (3, 7)


@pytest.mark.parametrize("what", ["a folder", "a pipe", "a link to nothing"])
async def test_what_is_no_file_is_set_aside(path: Path, what: str) -> None:
    put(path, what)
    told = Told()
    with Backlog(path, told) as backlog:
        backlog.append(entry(0))
    assert numbers_in(path) == [0]
    assert [line["kept_as"] for line in told.lines] == [f"{path}.unusable-1"]


def put(path: Path, what: str) -> None:
    if what == "a folder":
        path.mkdir()
    elif what == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.with_name("nowhere"))


def numbers_in(path: Path) -> list[int]:
    with Backlog(path, Told()) as backlog:
        return numbers(backlog.peek(100))


async def test_a_file_of_damaged_lines_only_is_emptied(path: Path) -> None:
    overwrite(path, b"nonsense\n")
    with Backlog(path, Told()) as backlog:
        assert (backlog.damaged, len(backlog)) == ([b"nonsense\n"], 0)
        assert content(path) == b""


async def test_a_full_disk_leaves_everything_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(_: int) -> None:
        raise OSError(28, "No space left on device")

    with Backlog(path, Told()) as backlog:
        backlog.append(entry(0))
        await backlog.move_to_file()
        before = content(path)
        backlog.append(entry(1))
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", no_space)
            with pytest.raises(BacklogError, match=r"No space left on device. Is the disk full\?"):
                await backlog.move_to_file()
        assert (backlog.in_file, backlog.in_memory) == (1, 1)
        assert content(path) == before, "a half-written record would be doubled"
        await backlog.move_to_file()
        assert numbers(backlog.peek(100)) == [0, 1]


async def test_one_process_at_a_time_has_the_file(path: Path) -> None:
    with (
        Backlog(path, Told()),
        pytest.raises(BacklogError, match="another studymatch process uses it"),
        Backlog(path, Told()),
    ):
        pass
    with Backlog(path, Told()) as backlog:
        assert len(backlog) == 0


async def test_a_file_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(BacklogError, match=r"No such file or directory.*a data folder of its own"):
        Backlog(tmp_path / "missing" / "unwritten.jsonl", Told()).__enter__()


async def test_a_file_that_somebody_emptied_is_noticed(path: Path) -> None:
    with Backlog(path, Told()) as backlog:
        backlog.append(entry(0))
        await backlog.move_to_file()
        os.truncate(path, 0)
        with pytest.raises(BacklogError, match="should hold 1 records"):
            backlog.peek(1)


async def test_names_of_people_are_for_the_owner_of_the_process_only(path: Path) -> None:
    with Backlog(path, Told()):
        assert os.stat(path).st_mode & 0o777 == 0o600  # noqa: PTH116
