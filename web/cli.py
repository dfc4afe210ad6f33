"""The command line: `studymatch serve`, `studymatch migrate` and `studymatch crowd`, with their options.

The options of the first two are made from `studymatch.settings`. A refusal is one sentence on standard
error and exit code 2.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import click
import trio

from studymatch.settings import SettingError, Settings
from web import run
from web.crowd import options as crowd_options
from web.crowd.command import CrowdError, run_crowd
from web.crowd.conductor import RunFailedError
from web.crowd.place import PlaceError, find
from web.options import Command, refused_by, settings_options
from web.refusals import RefusedToStartError, one_line
from web.streams import detached

COMMON = ("database_url", "data_dir", "log_level", "log_format")
"""The settings that `migrate` has use for."""


class _Commands(click.Group):
    """Runs the commands, even if their output streams block, fail or are closed.

    The crowd is left out, since it draws on the terminal of a person.
    """

    def main(self, args: Sequence[str] | None = None, *more: Any, **others: Any) -> Any:
        given = sys.argv[1:] if args is None else list(args)
        with nullcontext() if given[:1] == ["crowd"] else detached():
            return super().main(given, *more, **others)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read the part of the command line before the command."""
        with refused_by(_refuse):
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Read the rest, and run the command."""
        with refused_by(_refuse):
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"max_content_width": 100})
@click.version_option(package_name="studymatch")
def main() -> None:
    """Press Find Partner, and sit face to face with someone to study with.

    Every option can also be given in the environment, as the name that its help shows.
    """


@main.command(cls=Command)
@settings_options()
def serve(**options: Any) -> None:
    """Serve the page and match people, until interrupted.

    Without further options it listens on http://127.0.0.1:8000 and keeps its records in a private
    PostgreSQL, so that it runs on a machine with nothing else installed.
    """
    _run(run.serve, options)


@main.command(cls=Command)
@settings_options(*COMMON)
def migrate(**options: Any) -> None:
    """Bring the tables in the database up to date, and say so.

    Safe at any time and any number of times, also while servers run; every start does it too.
    """
    _run(run.migrate, options)


@main.command(cls=Command)
@crowd_options.crowd_options
def crowd(
    url: str,
    origin: str | None,
    ca_file: Path | None,
    server_pid: int | None,
    json: Path | None,
    report: Path | None,
    **options: Any,
) -> None:
    """Send a crowd of simulated people to a server, and measure it.

    They connect as browsers do, and leave records as people do: send them to a server of your own. The
    exit code is 0 if nothing went wrong (every counter at the end of the table is 0), 1 if something did, and
    2 if the crowd could not do what it was asked.
    """
    try:
        plan = crowd_options.plan_from(find(url, ca_file=ca_file, origin=origin), options)
        sys.exit(0 if run_crowd(plan, server_pid, json, report) else 1)
    except (PlaceError, CrowdError, RunFailedError) as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _run(command: Callable[[Settings], Any], options: dict[str, Any]) -> None:
    try:
        settings = Settings(**options)
        trio.run(command, settings)
    except (SettingError, RefusedToStartError) as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def _refuse(sentence: str) -> NoReturn:
    click.echo(f"studymatch: {one_line(sentence)}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
