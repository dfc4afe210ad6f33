"""The journal: structured lines for developers, and each actor's last events for its crash report.

An actor writes two kinds of things. A *line* (`Journal.info`, `Journal.warning`) is written out at
once. A *note* (`Journal.note`) costs next to nothing and is only remembered: the last `REMEMBERED`
lines and notes are told when the actor crashes, or when somebody asks. What is personal (what people
say to each other, addresses, tokens) must not be given to either.

`configure` decides, once per process, what lines look like: for people on a terminal, JSON otherwise,
the same fields in the same order. Lines for people are structlog's. JSON takes a shorter way, because a busy
server writes eight lines a call: 9 µs each, where structlog's processors and renderer took 50.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import MutableMapping
from datetime import UTC, datetime
from keyword import kwlist
from traceback import format_exception
from typing import Any, Protocol, TextIO

import msgspec
import structlog
import trio

REMEMBERED = 12
"""How many events an actor remembers: two encounters' worth, at a few hundred bytes each."""

FIELD_ORDER = ("time", "level", "event", "actor", "from", "to", "cause", "session", "partner", "lasted_ms")
"""The order of the fields of every line; fields not named here follow, sorted by name."""

_IN_ORDER = tuple((name, f"{name}_" if name in kwlist else name) for name in FIELD_ORDER)
"""Each of those names, and what it is called where Python reserves it."""

LEVELS = ("debug", "info", "warning", "error")


class Sink(Protocol):
    """Where lines go: a structlog logger, or a test's list."""

    def debug(self, event: str, **fields: Any) -> Any: ...
    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


_lines: Sink = structlog.get_logger()
"""Where lines go that were given no other sink; `configure` decides."""


class Journal:
    """What one actor writes down.

    `actor` names it in every line (``user 0197…``). Fields named ``from``, which Python reserves, can
    be given as ``from_``.
    """

    __slots__ = ("_events", "_sink", "actor")

    def __init__(self, actor: str, sink: Sink | None = None) -> None:
        self.actor = actor
        self._sink: Sink = _lines if sink is None else sink
        self._events: deque[tuple[float, str, dict[str, Any]]] = deque(maxlen=REMEMBERED)

    def note(self, event: str, **fields: Any) -> None:
        """Remember an event without writing a line."""
        self._events.append((trio.current_time(), event, fields))

    def debug(self, event: str, **fields: Any) -> None:
        """Write a line for whoever looks for a fault; silent unless asked for."""
        self.note(event, **fields)
        self._sink.debug(event, actor=self.actor, **fields)

    def info(self, event: str, **fields: Any) -> None:
        """Write a line, and remember it."""
        self.note(event, **fields)
        self._sink.info(event, actor=self.actor, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Write a line about something that should not happen but is dealt with, and remember it."""
        self.note(event, **fields)
        self._sink.warning(event, actor=self.actor, **fields)

    def crash(self, error: Exception) -> None:
        """Write the crash report: the error with its traceback, and the last events before it."""
        self._sink.error("crashed", actor=self.actor, recent=self.recent(), exc_info=error)

    def recent(self) -> list[str]:
        """The last events, oldest first, one readable string each, with its age in seconds."""
        now = trio.current_time()
        return [
            " ".join([f"-{now - at:.3f}s", event, *(f"{_plain(k)}={v}" for k, v in fields.items())])
            for at, event, fields in self._events
        ]


def _plain(name: str) -> str:
    return name.rstrip("_")


def _in_order(line: MutableMapping[str, Any]) -> dict[str, Any]:
    """The fields of a line that say something, in `FIELD_ORDER`. Takes `line` apart."""
    ordered = {name: value for name, given in _IN_ORDER if (value := line.pop(given, None)) is not None}
    for name in sorted(line):
        if line[name] is not None:
            ordered[_plain(name)] = line[name]
    return ordered


def _for_people(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """`_in_order` as a structlog processor."""
    return _in_order(line)


class _Line(msgspec.Struct, omit_defaults=True, rename=_plain):
    """A line that has only fields named in `FIELD_ORDER`, and is encoded in this order, as nearly all are."""

    time: str
    level: str
    event: str
    actor: str | None = None
    from_: str | None = None
    to: str | None = None
    cause: str | None = None
    session: str | None = None
    partner: str | None = None
    lasted_ms: int | None = None


class JsonLines:
    """A sink that writes each line as one JSON object, unless it is less severe than `least`."""

    def __init__(self, stream: TextIO, least: str) -> None:
        self._stream = stream
        self._silent = frozenset(LEVELS[: LEVELS.index(least)])

    def debug(self, event: str, **fields: Any) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, *, exc_info: BaseException | None = None, **fields: Any) -> None:
        """`exc_info` is an error whose traceback belongs to the line."""
        if exc_info is not None:
            fields["exception"] = "".join(format_exception(exc_info)).rstrip()
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if level in self._silent:
            return
        time = datetime.now(UTC).isoformat(timespec="microseconds")[:-6] + "Z"
        try:
            line: Any = _Line(time, level, event, **fields)
        except TypeError:  # it has other fields too
            line = _in_order({"time": time, "level": level, "event": event, **fields})
        self._stream.write(msgspec.json.encode(line, enc_hook=repr).decode() + "\n")
        self._stream.flush()


class _ToJournal(logging.Handler):
    """Brings what libraries say through `logging` into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        write = _lines.error if record.levelno >= logging.ERROR else _lines.warning
        error = record.exc_info[1] if record.exc_info else None
        write(record.getMessage(), actor=record.name, **({"exc_info": error} if error else {}))


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
        _lines = structlog.get_logger()
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
