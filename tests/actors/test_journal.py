"""The journal: what lines look like, what is remembered, and what a crash report holds."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
import trio

from actors import Journal
from actors.journal import REMEMBERED, configure
from actors.outlet import Outlet
from actors.testing import Lines


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    logging.basicConfig(handlers=[], force=True)


async def test_json_lines_have_their_fields_in_the_agreed_order() -> None:
    stream = io.StringIO()
    configure("info", human=False, stream=stream)
    Journal("user 7").info("moved", zeal=1, cause="matched", to="connecting", from_="searching", apples=2)
    line = stream.getvalue()
    assert line.count("\n") == 1
    fields = json.loads(line)
    assert list(fields) == ["time", "level", "event", "actor", "from", "to", "cause", "apples", "zeal"]
    assert fields["from"] == "searching"
    assert fields["time"].endswith("Z")


async def test_a_field_that_says_nothing_is_left_out() -> None:
    stream = io.StringIO()
    configure("info", human=False, stream=stream)
    Journal("user 7").info("moved", session=None)
    assert "session" not in json.loads(stream.getvalue())


async def test_lines_for_people_have_the_same_fields_in_the_same_order() -> None:
    stream = io.StringIO()
    configure("info", human=True, stream=stream)
    Journal("user 7").info("moved", to="connecting", from_="searching", apples=2)
    line = stream.getvalue()
    assert line.index("actor=") < line.index("from=") < line.index("to=") < line.index("apples=")
    assert "\x1b" not in line


async def test_lines_below_the_level_are_not_written_but_remembered() -> None:
    stream = io.StringIO()
    configure("warning", human=False, stream=stream)
    journal = Journal("user 7")
    journal.info("quiet")
    journal.warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]
    assert [event.split()[1] for event in journal.recent()] == ["quiet", "loud"]


async def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a level out of debug, info, warning, error, got 'chatty'"):
        configure("chatty", human=False)


async def test_what_libraries_log_appears_among_the_lines() -> None:
    stream = io.StringIO()
    configure("info", human=False, stream=stream)
    logging.getLogger("some.package").warning("low on %s", "ink")
    logging.getLogger("some.package").info("chatter")
    [line] = map(json.loads, stream.getvalue().splitlines())
    assert (line["level"], line["actor"], line["event"]) == ("warning", "some.package", "low on ink")


async def test_only_the_last_events_are_remembered(
    lines: Lines, autojump_clock: trio.testing.MockClock
) -> None:
    journal = lines.journal("user 7")
    for n in range(REMEMBERED + 5):
        journal.note("step", n=n)
    await trio.sleep(2)
    recent = journal.recent()
    assert len(recent) == REMEMBERED
    assert recent[0] == "-2.000s step n=5"
    assert lines == []


async def test_a_crash_report_has_the_traceback_and_the_last_events() -> None:
    stream = io.StringIO()
    configure("info", human=False, stream=stream)
    journal = Journal("user 7")
    journal.note("about to", divide="by zero")
    try:
        1 / 0
    except ZeroDivisionError as error:
        journal.crash(error)
    [line] = map(json.loads, stream.getvalue().splitlines())
    assert line["event"] == "crashed"
    assert "about to divide=by zero" in line["recent"][0]
    assert "ZeroDivisionError" in line["exception"]


NASTY = "/\x1b[2J\x07\r\n2026 [error] forged\x9b31m\x7f\u2028\u202e\ufeff"


@pytest.mark.parametrize("human", [True, False])
async def test_no_value_can_command_a_terminal_or_begin_a_line(human: bool) -> None:
    stream = io.StringIO()
    configure("info", human=human, stream=stream)
    Journal("server").info(NASTY, path=NASTY, several=[NASTY])
    logging.getLogger("web.server").warning("refused %s", NASTY)
    try:
        raise ValueError(NASTY)
    except ValueError as error:
        Journal("server").crash(error)
    text = stream.getvalue()
    assert {character for character in text if not character.isprintable()} == {"\n"}
    assert not [line for line in text.split("\n") if line.startswith("2026 [error]")]
    if not human:
        first, second, _ = map(json.loads, text.splitlines())
        assert first["path"] == NASTY
        assert second["event"] == f"refused {NASTY}"


async def test_what_cannot_be_text_fails_nobody() -> None:
    stream = io.StringIO()
    configure("info", human=False, stream=stream)
    Journal("server").info("odd", path="\ud800", number=10**40)
    logging.getLogger("some.package").warning("%d of %d", "one")
    odd, unfit = map(json.loads, stream.getvalue().splitlines())
    assert odd["path"] == "\\ud800"
    assert unfit["event"] == "%d of %d"


async def test_a_loop_of_one_actor_is_folded_and_its_last_line_is_not() -> None:
    stream = io.StringIO()
    configure("info", human=False, stream=stream)
    for turn in range(1000):
        Journal("user 7").info("moved", to="searching" if turn % 2 else "idle")
    Journal("user 7").info("left", cause="grace_over")
    Journal("user 8").info("arrived")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert 20 <= len([line for line in lines if line["event"] == "moved"]) <= 100
    assert [line["event"] for line in lines[-2:]] == ["left", "arrived"]


async def test_lines_that_an_outlet_drops_are_counted_in_a_line() -> None:
    for human, expected in ((False, '"event":"lines lost"'), (True, "lines lost")):
        outlet = Outlet(None)
        configure("info", human=human, stream=outlet)
        assert expected in outlet.tell_lost(7)
        assert "7" in outlet.tell_lost(7)
