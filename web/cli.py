"""The command line: `studymatch serve`, `studymatch migrate` and `studymatch crowd`, with their options.

The options of the first two are made from `studymatch.settings`. A refusal is one sentence on standard
error and exit code 2.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import click
import trio

from studymatch.protocol import IceServer
from studymatch.settings import SettingError, Settings, option, read_ice_server
from web import run
from web.crowd import options as crowd_options
from web.crowd.command import CrowdError, run_crowd
from web.crowd.conductor import RunFailedError
from web.crowd.place import PlaceError, find

COMMON = ("database_url", "data_dir", "log_level", "log_format")
"""The settings that `migrate` has use for."""

F = Callable[..., None]


class _IceServerType(click.ParamType[IceServer]):
    name = "url or json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return read_ice_server(value)
        except SettingError as error:
            self.fail(str(error), param, ctx)


def settings_options(*names: str) -> Callable[[F], F]:
    """A decorator that adds an option for each setting named (all, if none is) to a command."""

    def decorate(command: F) -> F:
        for setting in reversed(fields(Settings)):
            if not names or setting.name in names:
                command = _option(setting)(command)
        return command

    return decorate


def _option(setting: Any) -> Callable[[F], F]:
    several = setting.default_factory is not None and callable(setting.default_factory)
    choices = setting.metadata["choices"]
    kinds: dict[str, Any] = {"int": int, "float": float, "str": str, "str | None": str}
    if choices:
        kind: Any = click.Choice(choices)
    elif setting.name == "ice_server":
        kind = _IceServerType()
    else:
        kind = kinds.get(setting.type, str)
    return click.option(
        option(setting.name),
        type=kind,
        multiple=several,
        default=() if several else setting.default,
        help=setting.metadata["help"],
        show_default=not several and setting.default is not None,
        show_envvar=True,
    )


@click.group(context_settings={"auto_envvar_prefix": "STUDYMATCH", "max_content_width": 100})
@click.version_option(package_name="studymatch")
def main() -> None:
    """Press Find Partner, and sit face to face with someone to study with.

    Every option can also be given in the environment, as the name that its help shows.
    """


@main.command(context_settings={"auto_envvar_prefix": "STUDYMATCH"})
@settings_options()
def serve(**options: Any) -> None:
    """Serve the page and match people, until interrupted.

    Without further options it listens on http://127.0.0.1:8000 and keeps its records in a private
    PostgreSQL, so that it runs on a machine with nothing else installed.
    """
    _run(run.serve, options)


@main.command(context_settings={"auto_envvar_prefix": "STUDYMATCH"})
@settings_options(*COMMON)
def migrate(**options: Any) -> None:
    """Bring the tables in the database up to date, and say so.

    Safe at any time and any number of times, also while servers run; every start does it too.
    """
    _run(run.migrate, options)


@main.command(context_settings={"auto_envvar_prefix": "STUDYMATCH_CROWD"})
@click.option("--url", required=True, help="The server, like http://127.0.0.1:8000.", show_envvar=True)
@crowd_options.crowd_options
@click.option(
    "--server-pid",
    type=click.IntRange(min=1),
    help="The server's process, to measure its CPU and memory. Without it, whoever listens there.",
    show_envvar=True,
)
@click.option(
    "--json", type=crowd_options.FILE, help="Write the result to this file, as JSON.", show_envvar=True
)
@click.option(
    "--report", type=crowd_options.FILE, help="Write it to this file, as a page with plots.", show_envvar=True
)
def crowd(url: str, server_pid: int | None, json: Path | None, report: Path | None, **options: Any) -> None:
    """Send a crowd of simulated people to a server, and measure it.

    They connect as browsers do, and leave records as people do: send them to a server of your own. The
    exit code is 0 if nothing went wrong (every counter at the end of the table is 0), and otherwise 1.
    """
    try:
        plan = crowd_options.plan_from(find(url), options)
        sys.exit(0 if run_crowd(plan, server_pid, json, report) else 1)
    except (PlaceError, CrowdError, RunFailedError) as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _run(command: Callable[[Settings], Any], options: dict[str, Any]) -> None:
    try:
        settings = Settings(**options)
        trio.run(command, settings)
    except SettingError as error:
        _refuse(str(error))
    except run.RefusedToStartError as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _refuse(sentence: str) -> NoReturn:
    click.echo(f"studymatch: {sentence}", err=True)
    sys.exit(2)


if __name__ == "__main__":
    main()
