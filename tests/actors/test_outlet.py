"""Outlets: whoever writes waits for nobody, and what could not be written is counted."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pytest

from actors.outlet import Outlet, printable

LIMIT_S = 60


class Pipe:
    """A pipe, and an outlet at its writing end."""

    def __init__(self, waiting_max: int = 10_000) -> None:
        self.reading, writing = os.pipe()
        self.stream = os.fdopen(writing, "w")
        self.outlet = Outlet(self.stream, waiting_max=waiting_max)

    def fill(self) -> int:
        """Leave no room in the pipe; returns how much it holds."""
        number, filled = self.stream.fileno(), 0
        os.set_blocking(number, False)
        try:
            while True:
                filled += os.write(number, b"." * 65_536)
        except BlockingIOError:
            os.set_blocking(number, True)
            return filled

    def read(self, size: int) -> str:
        """Exactly so many bytes."""
        read = b""
        while len(read) < size and (some := os.read(self.reading, size - len(read))):
            read += some
        return read.decode()

    def read_line(self) -> str:
        line = ""
        while not line.endswith("\n"):
            line += self.read(1)
        return line


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.outlet.finish(0)
    os.close(pipe.reading)
    pipe.stream.close()


def test_what_is_written_arrives_in_order(pipe: Pipe) -> None:
    for number in range(100):
        print("line", number, file=pipe.outlet)
    assert [pipe.read_line() for _ in range(100)] == [f"line {number}\n" for number in range(100)]


def test_nobody_waits_for_a_pipe_that_is_full_and_what_is_dropped_is_counted(pipe: Pipe) -> None:
    filled = pipe.fill()
    for number in range(10_000):
        pipe.outlet.put(f"line {number}\n")
    pipe.read(filled)
    lines: list[str] = []
    while not (lines and "could not be written" in lines[-1]):
        lines.append(pipe.read_line())
    *written, told = lines
    assert written == [f"line {number}\n" for number in range(len(written))]
    assert told == f"{10_000 - len(written)} lines could not be written here\n"
    pipe.outlet.put("and on\n")
    assert pipe.read_line() == "and on\n"


def test_what_was_dropped_is_told_where_it_is_missing(pipe: Pipe) -> None:
    """A shorter line may have room again before the reader has read anything."""
    filled = pipe.fill()
    pipe.outlet.put("." * 9_980 + "\n")
    pipe.outlet.put("this line is longer than the room that is left\n")
    pipe.outlet.put("this is not\n")
    pipe.read(filled)
    pipe.read_line()
    assert [pipe.read_line(), pipe.read_line()] == ["1 lines could not be written here\n", "this is not\n"]


def test_a_line_of_several_pieces_is_written_whole_or_not_at_all(pipe: Pipe) -> None:
    filled = pipe.fill()
    pipe.outlet.put("." * 9_989 + "\n")
    pipe.outlet.write("a line that has no room")
    pipe.outlet.write(" any more\n")
    pipe.read(filled)
    assert pipe.read_line() == "." * 9_989 + "\n"
    assert pipe.read_line() == "1 lines could not be written here\n"
    pipe.outlet.write("ne")
    pipe.outlet.put("another\n")
    pipe.outlet.write("xt\nlast words")
    assert [pipe.read_line(), pipe.read_line()] == ["another\n", "next\n"]
    pipe.outlet.finish(LIMIT_S)
    assert pipe.read_line() == "last words\n"


def test_the_end_waits_for_room_in_a_pipe_that_another_process_made_non_blocking(pipe: Pipe) -> None:
    filled = pipe.fill()
    os.set_blocking(pipe.stream.fileno(), False)
    pipe.outlet.put("last words\n")
    end = threading.Thread(target=pipe.outlet.finish, args=[LIMIT_S])
    end.start()
    end.join(0.2)
    assert end.is_alive()
    pipe.read(filled)
    end.join(LIMIT_S)
    assert pipe.read_line() == "last words\n"


def test_lines_wait_for_a_reader_who_has_gone_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with path.open("w") as stream:
        outlet = Outlet(stream)
        os.close(first)
        outlet.put("to nobody\n")  # EPIPE
        with path.open() as second:
            outlet.put("to somebody\n")
            assert [second.readline(), second.readline()] == ["to nobody\n", "to somebody\n"]
            outlet.finish(LIMIT_S)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_does_not_keep_the_outlet_from_its_end() -> None:
    with Path("/dev/full").open("w") as stream:
        outlet = Outlet(stream)
        outlet.put("a line\n")
        outlet.finish(LIMIT_S)
    assert outlets() == []


def test_a_descriptor_that_was_closed_does_no_harm(pipe: Pipe) -> None:
    outlet = Outlet(pipe.stream)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(9, "Bad file descriptor")))
        outlet.put("a line\n")
        outlet.finish(LIMIT_S)
    assert outlets() == []


def test_a_process_without_the_stream_writes_nothing() -> None:
    outlet = Outlet(None)
    outlet.put("a line\n")
    outlet.finish(LIMIT_S)
    assert not outlet.isatty()
    assert outlets() == []


def test_the_end_waits_for_what_was_written_last_but_not_for_ever(pipe: Pipe) -> None:
    pipe.outlet.put("last words\n")
    pipe.outlet.finish(LIMIT_S)
    assert outlets() == []
    assert pipe.read_line() == "last words\n"
    stuck = Outlet(pipe.stream)
    filled = pipe.fill()
    stuck.put("nobody reads this\n")
    stuck.finish(0.01)
    assert len(outlets()) == 1, "its thread is left behind"
    pipe.read(filled)


def outlets() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "outlet"]


def test_what_is_printed_cannot_command_a_terminal(pipe: Pipe) -> None:
    print("\x1b[2J\x9b1m\x7f\u202e\u2028\tto\ufeff", file=pipe.outlet)
    assert pipe.read_line() == "\\x1b[2J\\x9b1m\\x7f\\u202e\\u2028\tto\\ufeff\n"


def test_what_a_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        outlet = Outlet(stream)
        outlet.put("Zoë 👩\n")
        outlet.finish(LIMIT_S)
    assert (tmp_path / "log").read_text() == "Zo\\xeb \\U0001f469\n"


def test_printable_leaves_alone_what_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("Zoë, 1 µs – 👩") == "Zoë, 1 µs – 👩"
    assert printable("a\nb\r") == "a\\nb\\r"
    assert printable("half a pair: \ud83d") == "half a pair: \\ud83d"
    stream: TextIO = sys.stdout
    outlet = Outlet(stream)  # a stream without a descriptor
    outlet.put("captured\n")
    outlet.finish(LIMIT_S)
    assert capsys.readouterr().out == "captured\n"
