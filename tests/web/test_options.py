"""Every setting of every command, in every way in which it can be wrong: one line, exit code 2, no traceback.

The tables are made from the settings and the options themselves, so that a new one is in them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from studymatch.settings import Settings, option
from web.cli import COMMON, main

TEXTS = {
    "blank": " \t ",
    "long": "x" * 100_000,
    "zero": "a\x00b",
    "bytes": "\udcff\udcfe",
    "two lines": "a\nb",
}
NO_NUMBERS = {
    "nan": "nan",
    "inf": "inf",
    "-inf": "-inf",
    "large": "9" * 5000,
    "word": "x",
    "none": "",
    **TEXTS,
}
EMPTY = ("", " ", "\t\n")

SETTINGS = [(setting, "serve") for setting in fields(Settings)]
SETTINGS += [(setting, "migrate") for setting in fields(Settings) if setting.name in COMMON]


def wrong_values(setting: Any) -> Iterator[tuple[str, str]]:
    """Values that `setting` does not take, by what is wrong with them."""
    yield "none", ""
    yield from TEXTS.items()
    if (least := setting.metadata["least"]) is not None:
        yield from NO_NUMBERS.items()
        yield "too small", f"{least - 1:g}"
        yield "too large", f"{setting.metadata['most'] * 2:.13g}"
    if setting.type == "int":
        yield "in parts", "80.5"


WRONG = [
    pytest.param(command, setting, value, id=f"{command} {setting.name} {what}")
    for setting, command in SETTINGS
    for what, value in dict(wrong_values(setting)).items()
]


def command_named(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return command


CROWD: list[click.Parameter] = command_named("crowd").params
CROWD_NUMBERS = [
    one for one in CROWD if isinstance(one.type, click.IntRange | click.FloatRange | click.types.IntParamType)
]


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not refused would begin: it fails instead."""

    async def run(settings: Settings) -> None:
        raise AssertionError(f"{settings} was understood")

    def visit(*plan: Any) -> bool:
        raise AssertionError(f"{plan} was understood")

    for name in ("web.run.serve", "web.run.migrate"):
        monkeypatch.setattr(name, run)
    monkeypatch.setattr("web.crowd_command.run_crowd", visit)


def invoke(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, words, env=environment)


def refusal(result: Result) -> str:
    """The one sentence that was said, having checked that it was."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    said = result.stderr
    assert said.startswith("studymatch: ")
    assert said.endswith("\n")
    assert said[:-1].isprintable()
    assert len(said) < 1100
    return said


@pytest.mark.parametrize(("command", "setting", "value"), WRONG)
def test_a_wrong_value_of_an_option_is_one_line(command: str, setting: Any, value: str) -> None:
    said = refusal(invoke(command, f"{option(setting.name)}={value}"))
    assert said.startswith(f"studymatch: {option(setting.name)} expects ")


@pytest.mark.parametrize(("command", "setting", "value"), [one for one in WRONG if "zero" not in str(one.id)])
def test_a_wrong_value_of_a_variable_is_one_line(command: str, setting: Any, value: str) -> None:
    """No variable can hold a zero."""
    variable = f"STUDYMATCH_{setting.name.upper()}"
    said = refusal(invoke(command, **{variable: value}))
    assert said.startswith((f"studymatch: {option(setting.name)} expects ", f"studymatch: {variable} is set"))


@pytest.mark.parametrize("value", EMPTY, ids=ascii)
@pytest.mark.parametrize(("setting", "command"), SETTINGS, ids=lambda one: getattr(one, "name", one))
def test_a_variable_that_is_set_and_empty_is_no_default(setting: Any, command: str, value: str) -> None:
    variable = f"STUDYMATCH_{setting.name.upper()}"
    said = refusal(invoke(command, **{variable: value}))
    assert said == f"studymatch: {variable} is set, and empty; expected a value, or no such variable\n"


@pytest.mark.parametrize("value", EMPTY, ids=ascii)
@pytest.mark.parametrize("parameter", CROWD, ids=lambda one: one.name)
def test_so_it_is_for_the_crowd(parameter: Any, value: str) -> None:
    variable = f"STUDYMATCH_CROWD_{parameter.name.upper()}"
    given = {"STUDYMATCH_CROWD_URL": "http://127.0.0.1:1", variable: value}
    assert refusal(invoke("crowd", **given)).startswith(f"studymatch: {variable} is set, and empty")


@pytest.mark.parametrize("value", [value for what, value in NO_NUMBERS.items() if what != "large"], ids=ascii)
@pytest.mark.parametrize("parameter", CROWD_NUMBERS, ids=lambda one: one.name)
def test_what_is_no_number_is_none_for_the_crowd(parameter: Any, value: str) -> None:
    said = refusal(invoke("crowd", "--url", "http://127.0.0.1:1", f"{parameter.opts[0]}={value}"))
    assert said.startswith(f"studymatch: {parameter.opts[0]} cannot be used: ")


@pytest.mark.parametrize("command", ["serve", "migrate", "crowd"])
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--nonsense", "No such option '--nonsense'"),
        ("-n", "No such option '-n'"),
        ("--nonsense\n\x1b[31m", "No such option"),
        ("--" + "x" * 100_000, "No such option"),
        ("--log-level loud", "--log-level expects one of debug, info, warning, error, got 'loud'"),
        ("--dwell loud", "--dwell cannot be used: 'loud' is not one of"),
        ("--log-level", "Option '--log-level' requires an argument"),
        ("--dwell", "Option '--dwell' requires an argument"),
        ("postgresql://ada:hunter2@db.example/study", " expects options and their values only, got 1 more"),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_a_command_line_that_cannot_be_read_is_one_line(command: str, words: str, expected: str) -> None:
    here = {option for one in command_named(command).params for option in one.opts}
    first = words.split(" ")[0]
    if first in ("--log-level", "--dwell") and first not in here:
        expected = f"No such option '{first}'"
    url = ("--url", "http://127.0.0.1:1") if command == "crowd" else ()
    said = refusal(invoke(command, *url, *words.split(" ")))
    assert expected in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("srv", "No such command 'srv'"),
        ("--nonsense serve", "No such option '--nonsense'"),
        ("crowd", "Missing option '--url'"),
        ("crowd --url http://[::1", "--url expects something like https://study.example, got 'http://[::1'"),
        ("crowd --url http://127.0.0.1:x", "--url leads nowhere: 127.0.0.1: "),
        ("crowd --url http://127.0.0.1 --origin study", "--origin expects an origin like"),
        ("crowd --url http://127.0.0.1 --ca-file /nowhere", "--ca-file cannot be used: "),
    ],
)
def test_other_refusals_are_one_line_too(words: str, expected: str) -> None:
    assert expected in refusal(invoke(*words.split()))


@pytest.mark.parametrize("command", ["serve", "migrate", "crowd"])
def test_a_variable_that_is_no_setting_is_no_option(command: str) -> None:
    """A version in the environment printed ours, and ended the server."""
    given = {"STUDYMATCH_VERSION": "1", "STUDYMATCH_HELP": "1", "STUDYMATCH_CROWD_HELP": "1"}
    given |= {f"STUDYMATCH_{command.upper()}_HELP": "1"}
    refusal(invoke(command, "--nonsense", **given))


def test_a_process_says_it_too() -> None:
    command = [sys.executable, "-m", "web.cli", "serve"]
    said = subprocess.run(
        command,
        env={**os.environb, b"STUDYMATCH_HOST": b"\xff"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (said.returncode, said.stdout, said.stderr.count(b"\n")) == (2, b"", 1)
    assert said.stderr.startswith(b"studymatch: --host expects ")
