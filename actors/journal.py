"""The journal: structured lines for developers, and each actor's last events for its crash report.

An actor writes two kinds of things. A *line* (`Journal.info`, `Journal.warning`) is written out at
once. A *note* (`Journal.note`) is only remembered: the last `REMEMBERED` lines and notes are told when
the actor crashes, or when somebody asks. What is personal (what people say to each other, addresses,
tokens) must not be given to either.

Both become JSON text at once, and what is remembered is this text. A busy server has ten thousand actors with
twelve events each, which nobody ever reads: of one piece each they cost half of what they did as objects
of six parts, each of them somewhere else in memory when it is forgotten.

`configure` decides, once per process, what lines look like: for people on a terminal, JSON otherwise,
the same fields in the same order. Lines for people are structlog's. JSON takes a shorter way, because a
busy server writes eight lines a call. In both, whatever commands a terminal or breaks a line is shown as an
escape, and lines that an actor repeats without end are folded (`actors.fold`).
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
"""How many events an actor remembers: two encounters' worth, at some 300 bytes each."""

FIELD_ORDER = ("time", "level", "event", "actor", "from", "to", "cause", "session", "partner", "lasted_ms")
"""The order of the fields of every line; fields not named here follow, sorted by name."""

LEVELS = ("debug", "info", "warning", "error")


class Sink(Protocol):
    """Where lines go: a stream, or a test's list."""

    def write(self, level: str, actor: str, event: str, line: bytes) -> None:
        """Take a line, a JSON object whose first fields are `event` and `actor`."""


class Journal:
    """What one actor writes down.

    `actor` names it in every line (``user 0197…``). Fields named ``from``, which Python reserves, can
    be given as ``from_``; a field that is None says nothing, and is left out.
    """

    __slots__ = ("_events", "_sink", "actor")

    def __init__(self, actor: str, sink: Sink | None = None) -> None:
        self.actor = actor
        self._sink: Sink = _lines if sink is None else sink
        self._events: deque[tuple[float, bytes]] = deque(maxlen=REMEMBERED)

    def note(self, event: str, **fields: Any) -> None:
        """Remember an event without writing a line."""
        self._remember(event, fields)

    def debug(self, event: str, **fields: Any) -> None:
        """Write a line for whoever looks for a fault; silent unless asked for."""
        self._sink.write("debug", self.actor, event, self._remember(event, fields))

    def info(self, event: str, **fields: Any) -> None:
        """Write a line, and remember it."""
        self._sink.write("info", self.actor, event, self._remember(event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Write a line about something that should not happen but is dealt with, and remember it."""
        self._sink.write("warning", self.actor, event, self._remember(event, fields))

    def crash(self, error: Exception) -> None:
        """Write the crash report: the error with its traceback, and the last events before it."""
        report = {"error": repr(error), "exception": _traceback(error), "recent": self.recent()}
        self._sink.write("error", self.actor, "crashed", _as_json("crashed", self.actor, report))

    def recent(self) -> list[str]:
        """The last events, oldest first, one readable string each, with its age in seconds."""
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
    """The fields of a line that say something, in `FIELD_ORDER`."""
    others = {_plain(name): value for name, value in line.items() if value is not None}
    ordered = {name: others.pop(name) for name in FIELD_ORDER if name in others}
    return ordered | {name: others[name] for name in sorted(others)}


class _Line(msgspec.Struct, omit_defaults=True, rename=_plain):
    """What has only fields named in `FIELD_ORDER`, and is encoded in this order, as nearly everything."""

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
    except Exception:  # half a surrogate pair, a number without end: no actor fails because of its journal
        plain = {name: printable(str(value)) for name, value in fields.items()}
        return _encode(_in_order({"event": printable(event), "actor": printable(actor), **plain}))


def _traceback(error: BaseException) -> str:
    return "".join(format_exception(error)).rstrip()


class _Lines:
    """A sink for what is at least as severe as `least`. `put` takes a level and the JSON of a line."""

    def __init__(self, least: str, put: Callable[[str, bytes], None]) -> None:
        self._silent = frozenset(LEVELS[: LEVELS.index(least)])
        self._put = put
        self._fold = Fold()

    def write(self, level: str, actor: str, event: str, line: bytes) -> None:
        """Write a line, unless it is folded; and what has to be told of those that were."""
        if level in self._silent:
            return
        now = time.monotonic()
        told = self._fold.admit(level, actor, event, now)
        if told is not None:
            self._put(level, line[:-1] + b"," + _encode(told)[1:] if told else line)
        for level_then, whose, rest in self._fold.overdue(now):
            self._put(level_then, _as_json("folded", whose, rest))


class JsonLines:
    """Writes each line as one JSON object, and nothing but printable characters."""

    def __init__(self, stream: Stream) -> None:
        self._write = _writes_to(stream)
        self._second = -1

    def put(self, level: str, line: bytes) -> None:
        """Put the time and `level` before what `line` holds."""
        text = line[1:].decode()
        if not (line.isascii() and b"\x7f" not in line):
            text = _UNSAFE.sub(_escaped, text)
        self._write(f'{{"time":"{self._time()}","level":"{level}",{text}\n')

    def tell_lost(self, lines: int) -> str:
        """A line that tells of those that could not be written."""
        line = _as_json("lines lost", "journal", {"lines": lines})
        return f'{{"time":"{self._time()}","level":"warning",{line[1:].decode()}\n'

    def _time(self) -> str:
        """The time in UTC, by RFC 3339. The date is written once a second, which is a third of the cost."""
        now = time.time()
        second = int(now)
        if second != self._second:
            self._date, self._second = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)), second
        return f"{self._date}.{int((now - second) * 1e6):06}Z"


_UNSAFE = re.compile(r"[^\x20-\x7e]")
"""What may have to be escaped; control characters below a space have been already."""


def _escaped(found: re.Match[str]) -> str:
    """A character as it is, if it is printable, and otherwise as JSON escapes it."""
    character = found[0]
    if character.isprintable():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


def _writes_to(stream: Stream) -> Callable[[str], None]:
    """What writes a line. Any stream but an `Outlet` may have to be waited for."""
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
        """Put the time and `level` before what `line` holds."""
        fields = {name: _shown(value) for name, value in msgspec.json.decode(line).items()}
        if "exception" in fields:
            fields["exception"] = _indented(msgspec.json.decode(line)["exception"])
        self._write(self._as_text(level, fields))

    def tell_lost(self, lines: int) -> str:
        """A line that tells of those that could not be written."""
        return self._as_text("warning", {"event": "lines lost", "actor": "journal", "lines": lines})

    def _as_text(self, level: str, fields: dict[str, Any]) -> str:
        stamped = self._stamp(None, level, _in_order(fields | {"level": level}))
        return f"{self._render(None, level, _in_order(stamped))}\n"


def _shown(value: Any) -> Any:
    """The same without characters that command a terminal. (structlog shows the repr of what is no text.)"""
    return printable(value) if isinstance(value, str) else value


def _indented(traceback: str) -> str:
    """A traceback, made harmless, of which no line looks like a line of the journal."""
    return "\n".join("    " + printable(line) for line in traceback.split("\n"))


class _ToStandardError:
    """What nobody has configured yet."""

    def write(self, level: str, actor: str, event: str, line: bytes) -> None:
        """Show it to people."""
        LinesForPeople(standard_error()).put(level, line)


def standard_error() -> Stream:
    """Standard error, which a process may be started without."""
    error: Stream | None = sys.stderr
    return Outlet(None) if error is None else error


_lines: Sink = _ToStandardError()
"""Where lines go that were given no other sink; `configure` decides."""


class _ToJournal(logging.Handler):
    """Brings what libraries say through `logging` into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        error = record.exc_info[1] if record.exc_info else None
        fields = {} if error is None else {"exception": _traceback(error)}
        try:
            said = record.getMessage()
        except Exception:  # the text and what was to go into it do not fit: nobody's call fails for that
            said = str(record.msg)
        _lines.write(level, record.name, str(record.msg), _as_json(said, record.name, fields))


def configure(level: str, *, human: bool, stream: Stream | None = None) -> None:
    """Decide for this process what is written (`level` is one of `LEVELS`), how, and where.

    `human` gives aligned, coloured text; otherwise each line is one JSON object. `stream` is standard error
    unless it is said; an `Outlet` is never waited for. Warnings and errors that libraries give to `logging`
    appear among the lines.

    Raises:
        ValueError: `level` is none of `LEVELS`.
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
