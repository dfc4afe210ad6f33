"""What `studymatch crowd` does: checks what it was asked for, makes the run, and tells what came of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import ceil
from pathlib import Path

import click
import msgspec

from web import open_files
from web.crowd.conductor import Conductor, Run, Sample
from web.crowd.plan import Plan
from web.crowd.report import page
from web.crowd.results import Document, document
from web.crowd.server_watch import listener
from web.crowd.table import progress, table

_SPARE_HANDLES = 64
PLAIN_EVERY_S = 5.0
"""Between two lines of progress where they cannot be written over each other."""


class CrowdError(Exception):
    """A run that cannot be made. The text says why, and what to do about it."""


def make_run(plan: Plan, server_pid: int | None, show: Callable[[str, Sample, int], None]) -> Run:
    """Make one run; nothing is printed.

    Raises:
        CrowdError: this system does not allow so many connections, or no crowd at all.
        RunFailedError: the server or the crowd has failed.
    """
    if sys.platform == "win32":
        raise CrowdError("The crowd runs on Linux and macOS; the server it visits may be anywhere.")
    raise_open_files_limit(ceil(plan.people / plan.processes) + _SPARE_HANDLES)
    return Conductor(plan, server_pid, show).lead()


def run_crowd(plan: Plan, server_pid: int | None, json: Path | None, report: Path | None) -> bool:
    """Make one run, print it, and write what was asked for. Returns whether nothing went wrong.

    Raises:
        CrowdError: it is asked for what this machine does not allow.
        RunFailedError: the server or the crowd has failed.
    """
    for path in (json, report):
        if path is not None and not path.parent.is_dir():
            raise CrowdError(f"There is no folder {path.parent} to write {path.name} to.")
    if server_pid is None and plan.place.is_here:
        server_pid = listener(plan.place.port)
    if server_pid is None:
        click.echo(
            "The server's process is not to be seen from here: its CPU and memory are not measured.", err=True
        )
    line = ProgressLine(plan.people)
    try:
        run = make_run(plan, server_pid, line.show)
    finally:
        line.end()
    result = document(run)
    click.echo(table(result))
    if json is not None:
        write_json(result, json)
    if report is not None:
        report.write_text(page(result), encoding="utf-8")
    return not any(result["wrong"].values())


def write_json(result: Document, path: Path) -> None:
    """The result as a JSON file that is also good to read."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")


def raise_open_files_limit(needed: int) -> None:
    """Let this process, and those it starts, open `needed` files and sockets.

    Raises:
        CrowdError: the system does not allow as many.
    """
    allowed = open_files.allow(needed)
    if allowed is not None and allowed < needed:
        raise CrowdError(
            f"This many people take {needed:,} open files in each process; this system allows {allowed:,}. "
            "Raise the limit (ulimit -Hn), or use more --processes."
        )


class ProgressLine:
    """On a terminal one line that is written over and over; else a line now and then. On standard error."""

    def __init__(self, people: int) -> None:
        self._people = people
        self._on_terminal = sys.stderr.isatty()
        self._before: Sample | None = None
        self._next_plain_s: dict[str, float] = {}

    def show(self, phase: str, sample: Sample, enrolled: int) -> None:
        """Tell how things stand."""
        text = progress(phase, sample, self._before, enrolled, self._people)
        self._before = sample
        if self._on_terminal:
            click.echo(f"\r\x1b[2K{text}", err=True, nl=False)
        elif sample.at_s >= self._next_plain_s.get(phase, float("-inf")):
            self._next_plain_s[phase] = sample.at_s + PLAIN_EVERY_S
            click.echo(text, err=True)

    def end(self) -> None:
        """Leave the line."""
        if self._on_terminal:
            click.echo("\r\x1b[2K", err=True, nl=False)
