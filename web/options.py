"""Command line options that can also be set in the environment, with errors of one sentence.

An `Option` names its variable itself, so that no other variable (STUDYMATCH_VERSION) counts as an option. An
empty variable is an error, since it usually means that a value was lost on the way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import Field, fields
from math import isfinite
from typing import Any, NoReturn

import click

from studymatch.rules.protocol import IceServer
from studymatch.settings import CONFIDENTIAL, SettingError, Settings, expected, option
from studymatch.settings.ice import read_ice_server, split_ice_servers
from studymatch.settings.readings import shown

F = Callable[..., None]


class Option(click.Option):
    """An option with its variable. `expects` completes the error sentence for an invalid value.

    Raises:
        SettingError: the value is invalid, or the variable is set and empty.
    """

    def __init__(
        self, *args: Any, expects: str | None = None, confidential: bool = False, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._expects = expects
        self._confidential = confidential

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The value of the variable; None if it is not set."""
        value = os.environ.get(str(self.envvar))
        if value is not None and not value.strip():
            raise SettingError(f"{self.envvar} is set, and empty; expected a value, or no such variable")
        return value

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """The value converted to its type."""
        try:
            return super().type_cast_value(ctx, value)
        except click.BadParameter as error:
            raise SettingError(f"{self.opts[0]} {self._complaint(error, value)}") from None

    def _complaint(self, error: click.BadParameter, value: Any) -> str:
        if self._expects is None:
            return f"cannot be used: {error.message.rstrip('.')}"
        return f"expects {self._expects}" + ("" if self._confidential else f", got {shown(value)}")


class FiniteRange(click.FloatRange):
    """A range without nan and inf."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, param, ctx)
        if not isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class _IceServerType(click.ParamType[IceServer]):
    name = "url or json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return value if isinstance(value, IceServer) else read_ice_server(value)
        except ValueError as error:
            raise SettingError(f"--ice-server expects {error}") from None

    def split_envvar_value(self, rv: str) -> list[str]:
        return split_ice_servers(rv)


class _PathsType(click.ParamType[str]):
    """A path, not checked here. In the environment there may be several, with : between them."""

    name = "path"
    envvar_list_splitter = os.path.pathsep


def settings_options(*names: str) -> Callable[[F], F]:
    """A decorator that adds an option for each named setting (for all, if none is named) to a command."""

    def decorate(command: F) -> F:
        for setting in reversed(fields(Settings)):
            if not names or setting.name in names:
                command = _option(setting)(command)
        return command

    return decorate


def _option(setting: Field[Any]) -> Callable[[F], F]:
    several = callable(setting.default_factory)
    return click.option(
        option(setting.name),
        cls=Option,
        type=_type(setting),
        multiple=several,
        default=() if several else setting.default,
        help=setting.metadata["help"],
        show_default=not several and setting.default is not None,
        envvar=f"STUDYMATCH_{setting.name.upper()}",
        show_envvar=True,
        expects=expected(setting),
        confidential=setting.name in CONFIDENTIAL,
    )


def _type(setting: Field[Any]) -> Any:
    if choices := setting.metadata["choices"]:
        return click.Choice(choices, case_sensitive=False)
    special: dict[str, Any] = {"ice_server": _IceServerType(), "secret_file": _PathsType()}
    kinds: dict[str, Any] = {"int": int, "float": float}
    return special.get(setting.name) or kinds.get(str(setting.type), str)


class Command(click.Command):
    """A command that accepts only its options and arguments. An error does not quote what else is given."""

    allow_extra_args = True

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        if ctx.args:
            names = [one.make_metavar(ctx) for one in self.params if isinstance(one, click.Argument)]
            expected = ", ".join([*names, "options and their values"])
            raise SettingError(f"{ctx.info_name} expects {expected} only, got {len(ctx.args)} more")
        return super().invoke(ctx)


@contextmanager
def refused_by(refuse: Callable[[str], NoReturn]) -> Iterator[None]:
    """Call `refuse` with one sentence for an error of the command line."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        refuse(error.format_message())
    except SettingError as error:
        refuse(str(error))
