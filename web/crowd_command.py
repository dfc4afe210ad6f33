"""The command `studymatch crowd`: checks the options, makes the run, and prints the result.

The crowd itself imports nothing of the server. This module passes it a function that needs the server's code:
it creates tokens for guests with the server's key.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import click
import msgspec

from crowd.conductor import Conductor, Run, RunFailedError, Sample
from crowd.guests import Guest
from crowd.plan import Plan
from crowd.report import page
from crowd.results import Document, document
from crowd.server_watch import listener
from crowd.target import TargetError, find
from crowd.text_report import as_text, progress
from studymatch.settings.readings import read_origin
from web.crowd_options import crowd_options
from web.identity import Identities
from web.options import Command
from web.refusals import refuse
from web.server import open_files

_SPARE_HANDLES = 64
TOKEN_LIFE_S = 3600.0
PLAIN_EVERY_S = 5.0
"""Seconds between two lines of progress where the output is no terminal."""


class CrowdError(Exception):
    """The run cannot be made. The text says why, and what to do about it."""


@click.command(cls=Command)
@crowd_options
def crowd(
    url: str,
    origin: str | None,
    ca_file: Path | None,
    server_pid: int | None,
    json: Path | None,
    report: Path | None,
    secret: str | None,
    **options: Any,
) -> None:
    """Send a crowd of simulated people to a server, and measure it.

    They connect as browsers do, and the server records their sessions: use a server of your own. The exit
    code is 0 if nothing went wrong (every counter at the end of the table is 0), 1 if something did, and 2 if
    the crowd could not run.
    """
    try:
        target = find(url, ca_file=ca_file, origin=_read_origin(origin))
        plan = Plan(target=target, make_guests=partial(made_with, secret) if secret else None, **options)
        sys.exit(0 if run_crowd(plan, server_pid, json, report) else 1)
    except (TargetError, CrowdError, RunFailedError) as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _read_origin(origin: str | None) -> str | None:
    try:
        return None if origin is None else read_origin(origin)
    except ValueError as error:
        raise CrowdError(f"--origin expects {error}") from None


def made_with(secret: str, names: Iterable[str]) -> Iterator[Guest]:
    """A guest for each name, made with the server's secret and without a request to the server."""
    identities = Identities((secret,), TOKEN_LIFE_S)
    for name in names:
        person, token = identities.new_guest(name)
        yield Guest(person.id, token)


def make_run(plan: Plan, server_pid: int | None, show: Callable[[str, Sample, int], None]) -> Run:
    """Make one run, and print nothing.

    Raises:
        CrowdError: this system does not allow so many connections, or cannot run a crowd.
        RunFailedError: the server or the crowd has failed.
    """
    if sys.platform == "win32":
        raise CrowdError("The crowd runs on Linux and macOS; the server it visits may be anywhere.")
    raise_open_files_limit(ceil(plan.people / plan.processes) + _SPARE_HANDLES)
    return Conductor(plan, server_pid, show).lead()


def run_crowd(plan: Plan, server_pid: int | None, json: Path | None, report: Path | None) -> bool:
    """Make one run, print it, and write the files asked for. Returns whether nothing went wrong.

    Raises:
        CrowdError: this machine does not allow the run, or a file cannot be written where it is wanted.
        RunFailedError: the server or the crowd has failed.
    """
    for path in (json, report):
        if path is not None and not path.parent.is_dir():
            raise CrowdError(f"There is no folder {path.parent} to write {path.name} to.")
    if server_pid is None and plan.target.is_here:
        server_pid = listener(plan.target.port)
    if server_pid is None:
        click.echo(
            "The server's process is not visible from here: its CPU and memory are not measured.", err=True
        )
    line = ProgressLine(plan.people)
    try:
        run = make_run(plan, server_pid, line.show)
    finally:
        line.end()
    result = document(run)
    click.echo(as_text(result))
    if json is not None:
        write_json(result, json)
    if report is not None:
        report.write_text(page(result), encoding="utf-8")
    return not any(result["wrong"].values())


def write_json(result: Document, path: Path) -> None:
    """Write the result as indented JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")


def raise_open_files_limit(needed: int) -> None:
    """Raise the limit of open files for this process, and those it starts, to `needed`.

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
    """Progress on standard error: one line that is rewritten on a terminal, else a line every few seconds."""

    def __init__(self, people: int) -> None:
        self._people = people
        self._on_terminal = sys.stderr.isatty()
        self._before: Sample | None = None
        self._next_plain_s: dict[str, float] = {}

    def show(self, phase: str, sample: Sample, enrolled: int) -> None:
        """Show the progress in `sample`."""
        text = progress(phase, sample, self._before, enrolled, self._people)
        self._before = sample
        if self._on_terminal:
            click.echo(f"\r\x1b[2K{text}", err=True, nl=False)
        elif sample.at_s >= self._next_plain_s.get(phase, float("-inf")):
            self._next_plain_s[phase] = sample.at_s + PLAIN_EVERY_S
            click.echo(text, err=True)

    def end(self) -> None:
        """Clear the line."""
        if self._on_terminal:
            click.echo("\r\x1b[2K", err=True, nl=False)
