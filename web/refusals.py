"""Turns errors of the environment that keep a command from starting into one sentence for people.

Such an error leaves `refusing` as a `RefusedToStartError`, for which the command line has exit code 2. Errors
that point to a bug in studymatch pass through.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from actors import TooManyRestartsError
from studymatch.postgres.database import StoreError
from studymatch.postgres.folders import DataFolderError
from studymatch.postgres.programs import EmbeddedPostgresError
from studymatch.settings import SettingError


class RefusedToStartError(Exception):
    """A command cannot do what was asked. The text says why, and what to do about it."""


SENTENCE_MOST = 1000
"""The most characters of a sentence; a longer one quotes something that is too long."""

REFUSED = (
    RefusedToStartError,
    SettingError,
    DataFolderError,
    StoreError,
    EmbeddedPostgresError,
    TooManyRestartsError,
    OSError,
)
"""The errors of the environment. If several occur at once, the first kind in this order is reported."""


@contextmanager
def refusing() -> Iterator[None]:
    """Turn errors of the environment, alone or in exception groups, into one sentence.

    It does not use `except*`: before Python 3.11.4 an exception raised in such a clause comes out in a group.

    Raises:
        RefusedToStartError: all errors in the block were errors of the environment.
        KeyboardInterrupt: the block was interrupted, whatever else happened.
    """
    try:
        yield
    except (BaseExceptionGroup, *REFUSED) as error:
        errors = list(_leaves(error))
        if any(isinstance(leaf, KeyboardInterrupt) for leaf in errors):
            raise KeyboardInterrupt from None
        if not all(isinstance(leaf, REFUSED) for leaf in errors):
            raise
        first = min(
            errors, key=lambda leaf: next(n for n, kind in enumerate(REFUSED) if isinstance(leaf, kind))
        )
        raise RefusedToStartError(_sentence(first)) from None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The leaf exceptions of a group, in their order."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _leaves(part)
    else:
        yield error


def _sentence(error: BaseException) -> str:
    if isinstance(error, TooManyRestartsError):
        return f"{error}; giving up. The lines above say why."
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return str(error)


def one_line(sentence: str) -> str:
    """A sentence in a form for terminals and logs: on one line, printable, and cut to `SENTENCE_MOST`."""
    words = " ".join(sentence.split())
    seen = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)
    return seen if len(seen) <= SENTENCE_MOST else f"{seen[:SENTENCE_MOST]}…"


def refuse(sentence: str) -> NoReturn:
    """Write why a command does not start to standard error, and exit with code 2."""
    click.echo(f"studymatch: {one_line(sentence)}", err=True)
    sys.exit(2)
