"""The journal: structured log lines for developers, and each actor's last events for its crash report.

An actor writes lines and notes. A *line* (`Journal.info`, `Journal.warning`) is written out at once. A
*note* (`Journal.note`) is only remembered: the last `REMEMBERED` lines and notes go into the actor's crash
report, and `Journal.recent` returns them. Callers must not pass personal data (what users send to each
other, addresses, tokens) to either.

Both are encoded to JSON at once, and the actor remembers this text. A busy server has ten thousand actors
with twelve events each, most of which are never read: as one JSON string an event takes half the memory that
it took as an object with six fields.

`configure` decides, once per process, what lines look like: text on a terminal, JSON otherwise, the same
fields in the same order. structlog renders the text. JSON lines do not pass through structlog, because a
busy server writes eight lines a call. In both, control characters are written as escapes, and the lines that
an actor repeats in a loop are folded (`actors.fold`).
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from traceback import format_exception
from typing import Any, Protocol

import msgspec
import structlog
import trio

from actors.fold import Fold
from actors.outlet import Outlet, Stream, printable

REMEMBERED = 12
"""The number of events that an actor remembers: those of two encounters, some 300 bytes each."""

FIELD_ORDER = ("time", "level", "event", "actor", "from", "to", "cause", "session", "partner", "lasted_ms")
"""The order of the fields of every line; fields not named here follow, sorted by name."""

LEVELS = ("debug", "info", "warning", "error")


class Sink(Protocol):
    """The destination of lines: a stream, or a test's list."""

    def write(self, level: str, actor: str, event: str, line: bytes) -> None:
        """Write a line, a JSON object whose first fields are `event` and `actor`."""


class Journal:
    """The lines and notes of one actor.

    `actor` names it in every line (``user 0197…``). Pass the field ``from``, a keyword in Python, as
    ``from_``. Fields that are None are left out.
    """

    __slots__ = ("_events", "_sink", "actor")

    def __init__(self, actor: str, sink: Sink | None = None) -> None:
        self.actor = actor
        self._sink: Sink = _lines if sink is None else sink
        self._events: deque[tuple[float, bytes]] = deque(maxlen=REMEMBERED)

    def note(self, event: str, **fields: Any) -> None:
        """Remember an event without writing a line."""
        self._remember(event, fields)

    def info(self, event: str, **fields: Any) -> None:
        """Write a line, and remember it."""
        self._sink.write("info", self.actor, event, self._remember(event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Write a line about something that should not happen but was handled, and remember it."""
        self._sink.write("warning", self.actor, event, self._remember(event, fields))

    def crash(self, error: Exception) -> None:
        """Write the crash report: the error with its traceback, and the last events before it."""
        report = {"error": repr(error), "exception": _traceback(error), "recent": self.recent()}
        self._sink.write("error", self.actor, "crashed", _as_json("crashed", self.actor, report))

    def recent(self) -> list[str]:
        """The last events, oldest first, one readable string each, with their age in seconds."""
        now = trio.current_time()
        events = [(now - at, msgspec.json.decode(line)) for at, line in self._events]
        return [
            " ".join(
                [
                    f"-{age_s:.3f}s",
                    fields["event"],
                    *(f"{name}={value}" for name, value in fields.items() if name not in ("event", "actor")),
                ]
            )
            for age_s, fields in events
        ]

    def _remember(self, event: str, fields: dict[str, Any]) -> bytes:
        line = _as_json(event, self.actor, fields)
        self._events.append((trio.current_time(), line))
        return line


def _plain(name: str) -> str:
    return name.rstrip("_")


def _in_order(line: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a line that are not None, in `FIELD_ORDER`."""
    others = {_plain(name): value for name, value in line.items() if value is not None}
    ordered = {name: others.pop(name) for name in FIELD_ORDER if name in others}
    return ordered | {name: others[name] for name in sorted(others)}


class _Line(msgspec.Struct, omit_defaults=True, rename=_plain):
    """A line with only the fields of `FIELD_ORDER`, encoded in this order, like nearly all lines."""

    event: str
    actor: str
    from_: str | None = None
    to: str | None = None
    cause: str | None = None
    session: str | None = None
    partner: str | None = None
    lasted_ms: int | None = None


_FIELDS = frozenset(_Line.__struct_fields__) - {"event", "actor"}

_encode = msgspec.json.Encoder(enc_hook=repr).encode


def _as_json(event: str, actor: str, fields: dict[str, Any]) -> bytes:
    line: Any
    if fields.keys() <= _FIELDS:
        line = _Line(event, actor, **fields)
    else:
        line = _in_order({"event": event, "actor": actor, **fields})
    try:
        return _encode(line)
    except Exception:  # a lone surrogate, an infinite number: the journal must not crash its actor
        plain = {name: printable(str(value)) for name, value in fields.items()}
        return _encode(_in_order({"event": printable(event), "actor": printable(actor), **plain}))


def _traceback(error: BaseException) -> str:
    return "".join(format_exception(error)).rstrip()


class _Lines:
    """A sink for lines of level `least` and above. `put` takes a level and the JSON of a line."""

    def __init__(self, least: str, put: Callable[[str, bytes], None]) -> None:
        self._silent = frozenset(LEVELS[: LEVELS.index(least)])
        self._put = put
        self._fold = Fold()

    def write(self, level: str, actor: str, event: str, line: bytes) -> None:
        """Write a line, unless it is folded, and the lines with the counts of loops that have ended."""
        if level in self._silent:
            return
        now = time.monotonic()
        told = self._fold.admit(level, actor, event, now)
        if told is not None:
            self._put(level, line[:-1] + b"," + _encode(told)[1:] if told else line)
        for level_then, whose, rest in self._fold.overdue(now):
            self._put(level_then, _as_json("folded", whose, rest))


class JsonLines:
    """Writes each line as one JSON object of printable characters only."""

    def __init__(self, stream: Stream) -> None:
        self._write = _writes_to(stream)
        self._second = -1

    def put(self, level: str, line: bytes) -> None:
        """Write `line` with the time and `level` in front of its fields."""
        text = line[1:].decode()
        if not (line.isascii() and b"\x7f" not in line):
            text = _UNSAFE.sub(_escaped, text)
        self._write(f'{{"time":"{self._time()}","level":"{level}",{text}\n')

    def tell_lost(self, lines: int) -> str:
        """A line with the number of lines that could not be written."""
        line = _as_json("lines lost", "journal", {"lines": lines})
        return f'{{"time":"{self._time()}","level":"warning",{line[1:].decode()}\n'

    def _time(self) -> str:
        """The time in UTC, by RFC 3339. Formatting the date once a second saves two thirds of the cost."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._date, self._second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)), second
        return f"{self._date}.{int((now - second) * 1e6):06}Z"


_UNSAFE = re.compile(r"[^\x20-\x7e]")
"""Characters that may need an escape; the JSON encoder has already escaped those below a space."""


def _escaped(found: re.Match[str]) -> str:
    """The character itself if it is printable, otherwise its JSON escape."""
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _writes_to(stream: Stream) -> Callable[[str], None]:
    """A function that writes a line to `stream`. It may block, unless `stream` is an `Outlet`."""
    if isinstance(stream, Outlet):
        return stream.put

    def write(text: str) -> None:
        stream.write(text)
        stream.flush()

    return write


class LinesForPeople:
    """Writes each line as structlog shows it on a terminal."""

    def __init__(self, stream: Stream) -> None:
        self._write = _writes_to(stream)
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=False, key="time")
        self._render = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), sort_keys=False, timestamp_key="time", pad_level=False
        )

    def put(self, level: str, line: bytes) -> None:
        """Write `line` with the time and `level` in front of its fields."""
        fields = {name: _shown(value) for name, value in msgspec.json.decode(line).items()}
        if "exception" in fields:
            fields["exception"] = _indented(msgspec.json.decode(line)["exception"])
        self._write(self._as_text(level, fields))

    def tell_lost(self, lines: int) -> str:
        """A line with the number of lines that could not be written."""
        return self._as_text("warning", {"event": "lines lost", "actor": "journal", "lines": lines})

    def _as_text(self, level: str, fields: dict[str, Any]) -> str:
        stamped = self._stamp(None, level, _in_order(fields | {"level": level}))
        return f"{self._render(None, level, _in_order(stamped))}\n"


def _shown(value: Any) -> Any:
    """`value` with control characters as escapes. (structlog shows the repr of what is not a str.)"""
    return printable(value) if isinstance(value, str) else value


def _indented(traceback: str) -> str:
    """A traceback with control characters as escapes, indented so that no line looks like a journal line."""
    return "\n".join("    " + printable(line) for line in traceback.split("\n"))


class _ToStandardError:
    """The sink before `configure` was called."""

    def write(self, level: str, actor: str, event: str, line: bytes) -> None:
        """Write it as text for a terminal."""
        LinesForPeople(standard_error()).put(level, line)


def standard_error() -> Stream:
    """Standard error, or an `Outlet` that discards everything if the process has none."""
    error: Stream | None = sys.stderr
    return Outlet(None) if error is None else error


_lines: Sink = _ToStandardError()
"""The sink of journals that were given none; `configure` sets it."""


class _ToJournal(logging.Handler):
    """Writes what libraries log through `logging` to the same sink."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        error = record.exc_info[1] if record.exc_info else None
        fields = {} if error is None else {"exception": _traceback(error)}
        try:
            said = record.getMessage()
        except Exception:  # the format string and its arguments do not match: no call may fail for that
            said = str(record.msg)
        _lines.write(level, record.name, str(record.msg), _as_json(said, record.name, fields))


def configure(level: str, *, human: bool, stream: Stream | None = None) -> None:
    """Set, for this process, the least level that is written (one of `LEVELS`), the format and the stream.

    `human` gives aligned, coloured text; otherwise each line is one JSON object. `stream` defaults to
    standard error; writing to an `Outlet` never blocks. Warnings and errors that libraries pass to `logging`
    are written as lines too.

    Raises:
        ValueError: `level` is not in `LEVELS`.
    """
    if level not in LEVELS:
        raise ValueError(f"expected a level out of {', '.join(LEVELS)}, got {level!r}")
    global _lines
    to = stream or standard_error()
    lines = LinesForPeople(to) if human else JsonLines(to)
    if isinstance(to, Outlet):
        to.tell_lost = lines.tell_lost
    _lines = _Lines(level, lines.put)
    logging.basicConfig(handlers=[_ToJournal()], level=logging.WARNING, force=True)
