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
busy server writes eight lines a call.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from traceback import format_exception
from typing import Any, Protocol, TextIO

import msgspec
import structlog
import trio

REMEMBERED = 12
"""How many events an actor remembers: two encounters' worth, at some 300 bytes each."""

FIELD_ORDER = ("time", "level", "event", "actor", "from", "to", "cause", "session", "partner", "lasted_ms")
"""The order of the fields of every line; fields not named here follow, sorted by name."""

LEVELS = ("debug", "info", "warning", "error")


class Sink(Protocol):
    """Where lines go: a stream, or a test's list."""

    def write(self, level: str, line: bytes) -> None:
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
        self._sink.write("debug", self._remember(event, fields))

    def info(self, event: str, **fields: Any) -> None:
        """Write a line, and remember it."""
        self._sink.write("info", self._remember(event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        """Write a line about something that should not happen but is dealt with, and remember it."""
        self._sink.write("warning", self._remember(event, fields))

    def crash(self, error: Exception) -> None:
        """Write the crash report: the error with its traceback, and the last events before it."""
        report = {"error": repr(error), "exception": _traceback(error), "recent": self.recent()}
        self._sink.write("error", _as_json("crashed", self.actor, report))

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


def _for_people(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`_in_order` as a structlog processor."""
    return _in_order(line)


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


_encode = msgspec.json.Encoder(enc_hook=repr).encode


def _as_json(event: str, actor: str, fields: dict[str, Any]) -> bytes:
    try:
        line: Any = _Line(event, actor, **fields)
    except TypeError:  # it has other fields too
        line = _in_order({"event": event, "actor": actor, **fields})
    return _encode(line)


def _traceback(error: BaseException) -> str:
    return "".join(format_exception(error)).rstrip()


class JsonLines:
    """A sink that writes each line as one JSON object, unless it is less severe than `least`."""

    def __init__(self, stream: TextIO, least: str) -> None:
        self._stream = stream
        self._silent = frozenset(LEVELS[: LEVELS.index(least)])

    def write(self, level: str, line: bytes) -> None:
        """Put the time and `level` before what `line` holds."""
        if level not in self._silent:
            time = _encode(datetime.now(UTC)).decode()
            self._stream.write(f'{{"time":{time},"level":"{level}",{line[1:].decode()}\n')
            self._stream.flush()


class LinesForPeople:
    """A sink that leaves it to structlog what is written."""

    def __init__(self) -> None:
        self._logger = structlog.get_logger()

    def write(self, level: str, line: bytes) -> None:
        """Log it at `level`."""
        fields = msgspec.json.decode(line)
        getattr(self._logger, level)(fields.pop("event"), **fields)


_lines: Sink = LinesForPeople()
"""Where lines go that were given no other sink; `configure` decides."""


class _ToJournal(logging.Handler):
    """Brings what libraries say through `logging` into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        error = record.exc_info[1] if record.exc_info else None
        fields = {} if error is None else {"exception": _traceback(error)}
        _lines.write(level, _as_json(record.getMessage(), record.name, fields))


def configure(level: str, *, human: bool, stream: TextIO = sys.stderr) -> None:
    """Decide for this process what is written (`level` is one of `LEVELS`), how, and where.

    `human` gives aligned, coloured text; otherwise each line is one JSON object. Warnings and errors
    that libraries give to `logging` appear among the lines.

    Raises:
        ValueError: `level` is none of `LEVELS`.
    """
    if level not in LEVELS:
        raise ValueError(f"expected a level out of {', '.join(LEVELS)}, got {level!r}")
    global _lines
    if human:
        _configure_structlog(level, stream)
        _lines = LinesForPeople()
    else:
        _lines = JsonLines(stream, level)
    logging.basicConfig(handlers=[_ToJournal()], level=logging.WARNING, force=True)


def _configure_structlog(level: str, stream: TextIO) -> None:
    render = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        sort_keys=False,
        timestamp_key="time",
        pad_level=False,
        exception_formatter=structlog.dev.plain_traceback,  # others print local variables, which are private
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False, key="time"),
            _for_people,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
