"""Errors of the surroundings become one sentence, in whatever wrapping they come."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from actors import TooManyRestartsError
from studymatch.postgres.database import DatabaseUnavailableError
from studymatch.postgres.programs import EmbeddedPostgresError
from studymatch.settings import SettingError
from web.refusals import RefusedToStartError, refusing

ROOT = Path(__file__).parents[2]


def in_groups(*errors: Exception) -> Exception:
    return ExceptionGroup("outer", [ExceptionGroup("inner", errors)])


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RefusedToStartError("no room"), "no room"),
        (SettingError("--port expects a number"), "--port expects a number"),
        (DatabaseUnavailableError("it is away"), "it is away"),
        (EmbeddedPostgresError("it cannot be had"), "it cannot be had"),
        (TooManyRestartsError("ledger"), "ledger; giving up. The lines above say why."),
        (PermissionError(13, "Permission denied", "/data"), "/data: Permission denied"),
        (OSError("odd"), "odd"),
    ],
)
@pytest.mark.parametrize("grouped", [False, True])
def test_a_refusal_is_one_error_alone_or_in_groups(error: Exception, sentence: str, grouped: bool) -> None:
    """In a group it would be a traceback, as it was on Python 3.11.2."""
    with pytest.raises(RefusedToStartError) as caught, refusing():
        raise in_groups(error) if grouped else error
    assert str(caught.value) == sentence


def test_of_several_the_one_that_says_most_is_told() -> None:
    with pytest.raises(RefusedToStartError, match="no room"), refusing():
        raise in_groups(OSError(9, "Bad file descriptor"), RefusedToStartError("no room"))


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), in_groups(OSError("odd"), KeyError("a bug"))])
def test_a_bug_stays_a_bug(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, refusing():
        raise error
    assert caught.value is error


def test_an_interruption_in_a_group_is_an_interruption() -> None:
    with pytest.raises(KeyboardInterrupt), refusing():
        raise BaseExceptionGroup("outer", [OSError("odd"), BaseExceptionGroup("in", [KeyboardInterrupt()])])


def test_nothing_is_raised_inside_except_star() -> None:
    """Before Python 3.11.4 it comes out in a group, even the only error there was (python/cpython#103590)."""
    found = [
        f"{path.relative_to(ROOT)}:{statement.lineno}"
        for folder in ("actors", "studymatch", "web", "benchmarks", "tools", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for clause in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(clause, ast.TryStar)
        for handler in clause.handlers
        for statement in ast.walk(handler)
        if isinstance(statement, ast.Raise)
    ]
    assert found == []
