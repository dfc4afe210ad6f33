"""The journal: structured lines for developers, and each actor's last events for its crash report.

An actor writes two kinds of things. A *line* (`Journal.info`, `Journal.warning`) is written out at
once. A *note* (`Journal.note`) costs next to nothing and is only remembered: the last `REMEMBERED`
lines and notes are told when the actor crashes, or when somebody asks. What is personal (what people
say to each other, addresses, tokens) must not be given to either.

`configure` decides, once per process, what lines look like: for people on a terminal, JSON otherwise,
the same fields in the same order.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import MutableMapping
from typing import Any, Protocol, TextIO

import structlog
import trio

REMEMBERED = 12
"""How many events an actor remembers: two encounters' worth, at a few hundred bytes each."""

FIELD_ORDER = ("time", "level", "event", "actor", "from", "to", "cause", "session", "partner", "lasted_ms")
"""The order of the fields of every line; fields not named here follow, sorted by name."""

LEVELS = ("debug", "info", "warning", "error")


class Sink(Protocol):
    """Where lines go: a structlog logger, or a test's list."""

    def debug(self, event: str, **fields: Any) -> Any: ...
    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


class Journal:
    """What one actor writes down.

    `actor` names it in every line (``user 0197…``). Fields named ``from``, which Python reserves, can
    be given as ``from_``.
    """

    __slots__ = ("_events", "_sink", "actor")

    def __init__(self, actor: str, sink: Sink | None = None) -> None:
        self.actor = actor
        self._sink: Sink = structlog.get_logger() if sink is None else sink
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


def _in_order(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: drop what says nothing, and put fields in `FIELD_ORDER`."""
    given = {_plain(name): value for name, value in line.items() if value is not None}
    ordered = {name: given.pop(name) for name in FIELD_ORDER if name in given}
    return ordered | dict(sorted(given.items()))


class _ToJournal(logging.Handler):
    """Brings what libraries say through `logging` into the same lines."""

    def emit(self, record: logging.LogRecord) -> None:
        lines = structlog.get_logger()
        write = lines.error if record.levelno >= logging.ERROR else lines.warning
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
    for_people = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        sort_keys=False,
        timestamp_key="time",
        pad_level=False,
        exception_formatter=structlog.dev.plain_traceback,  # others print local variables, which are private
    )
    render: list[Any] = (
        [_in_order, for_people]
        if human
        else [
            structlog.processors.format_exc_info,
            _in_order,
            structlog.processors.JSONRenderer(separators=(",", ":"), ensure_ascii=False),
        ]
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=not human, key="time"),
            *render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToJournal()], level=logging.WARNING, force=True)
