"""The command line: `studymatch serve`, `migrate`, `show` and `crowd`, with their options.

The options that are settings are generated from `studymatch.settings`. An invalid command line ends with one
sentence on standard error and exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import click

from studymatch.recording.schema import whole_script
from web import run
from web.execution import execute
from web.options import Command, refused_by, settings_options
from web.refusals import refuse
from web.show_command import show
from web.streams import detached

COMMON = ("database_url", "data_dir", "log_level", "log_format")
"""The settings that `migrate` uses."""

CROWD = "crowd"


class _Commands(click.Group):
    """Runs the commands, even if their output streams block, fail or are closed.

    The streams of `crowd` stay as they are, since it draws on a terminal. Its code is imported only on
    demand.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands, in the order of the help."""
        return sorted((*super().list_commands(ctx), CROWD))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name; None: there is none."""
        if cmd_name == CROWD:
            from web.crowd_command import crowd

            return crowd
        return super().get_command(ctx, cmd_name)

    def main(self, args: Sequence[str] | None = None, *more: Any, **others: Any) -> Any:
        given = sys.argv[1:] if args is None else list(args)
        with nullcontext() if given[:1] == [CROWD] else detached():
            return super().main(given, *more, **others)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Parse the command line up to the command."""
        with refused_by(refuse):
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Parse the rest, and run the command."""
        with refused_by(refuse):
            return super().invoke(ctx)


@click.group(cls=_Commands, context_settings={"max_content_width": 100})
@click.version_option(package_name="studymatch")
def main() -> None:
    """Press Find Partner, and sit face to face with someone to study with.

    Every option can also be set by the environment variable that its help shows.
    """


@main.command(cls=Command)
@settings_options()
def serve(**options: Any) -> None:
    """Serve the page and match people, until interrupted.

    Without options it listens on http://127.0.0.1:8000 and keeps its records in a private PostgreSQL, so it
    runs on a machine with nothing else installed.
    """
    execute(run.serve, options)


@main.command(cls=Command)
@settings_options(*COMMON)
@click.option("--check", is_flag=True, help="Only print pending migrations. Exit code 1: there are some.")
@click.option(
    "--print", "prints", is_flag=True, help="Only print the SQL that creates all tables from nothing."
)
def migrate(*, check: bool, prints: bool, **options: Any) -> None:
    """Bring the tables in the database up to date, and print what was done.

    Safe at any time and any number of times, also while servers run. A server also does it when it starts.
    """
    if check and prints:
        refuse("--check and --print exclude each other: give one of them")
    if prints:
        click.echo(whole_script(), nl=False)
        return
    names = execute(partial(run.migrate, check=check), options)
    for name in names:
        click.echo(f"{'To be applied' if check else 'Applied'}: {name}")
    if check and names:
        sys.exit(1)
    click.echo("The tables are up to date.")


main.add_command(show)


if __name__ == "__main__":
    main()
