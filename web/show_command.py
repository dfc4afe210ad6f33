"""The command `studymatch show`: prints what the database holds of people and sessions, and changes nothing.

Rows go to standard output, newest first, in columns with two spaces between them; `-` is no value. If there
are more rows than were printed, one line on standard error says how to get them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import click

from studymatch.postgres.folders import default_data_dir
from studymatch.postgres.private import running_postgres
from studymatch.recording.queries import DAYS_MAX, PAGE, PAGE_MAX, Day, Page, Queries, StoredSession
from studymatch.rules.names import accept_name
from studymatch.settings import SettingError, Settings
from web.execution import execute
from web.options import Command, settings_options
from web.refusals import one_line, refusing

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., None])


class _Id(click.ParamType[UUID]):
    """The id of a person or a session. An error does not quote what was given instead."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        try:
            return value if isinstance(value, UUID) else UUID(value)
        except ValueError:
            what = param.get_error_hint(ctx) if param and ctx else "'ID'"
            raise SettingError(f"{what} expects an id, of 32 hexadecimal digits in five groups") from None


class _Name(click.ParamType[str]):
    """A name, in the form in which the server stores it."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return accept_name(value)
        except ValueError as error:
            raise SettingError(f"nobody can have this name: {error}") from None


def _of_a_page(command: F) -> F:
    """Add the options of what has pages."""
    command = click.option(
        "--limit",
        type=click.IntRange(1, PAGE_MAX),
        default=PAGE,
        show_default=True,
        help="The most rows that are printed.",
    )(command)
    return click.option(
        "--before", type=_Id(), help="Begin below the row with this id, which is the last one printed before."
    )(command)


_database = settings_options("database_url", "data_dir")


@click.group()
def show() -> None:
    """Print what the database holds, newest first.

    It asks the database of --database-url, or else the private PostgreSQL of a server that runs on the data
    folder. Nothing is changed, and the server does not wait for it. Times are in UTC.
    """


@show.command(cls=Command)
@click.argument("name", type=_Name())
@_of_a_page
@_database
def people(name: str, before: UUID | None, limit: int, **options: Any) -> None:
    """Print the people with exactly this NAME who were ever matched."""
    page = _ask(lambda queries: queries.people_named(name, before=before, limit=limit), options)
    _print(("person", "first_seen", "name"), ((row.id, row.first_seen, row.name) for row in page.rows))
    _say_more(page)


@show.command(cls=Command)
@click.argument("person", type=_Id())
@_of_a_page
@_database
def sessions(person: UUID, before: UUID | None, limit: int, **options: Any) -> None:
    """Print the sessions of the person with the id PERSON, open and past.

    The column ended_by says whose act the end was: "they" are the person, "partner" is the other one.
    """

    def row_of(row: StoredSession) -> Sequence[object]:
        is_first = row.first_person == person
        ended_by = {None: None, person: "they"}.get(row.ended_by, "partner")
        times = (row.matched_at, row.connected_at, row.ended_at)
        return (row.id, row.second_person if is_first else row.first_person, *times, row.cause, ended_by)

    page = _ask(lambda queries: queries.sessions_of(person, before=before, limit=limit), options)
    titles = ("session", "partner", "matched_at", "connected_at", "ended_at", "cause", "ended_by")
    _print(titles, map(row_of, page.rows))
    _say_more(page)


@show.command("open", cls=Command)
@_of_a_page
@_database
def open_now(before: UUID | None, limit: int, **options: Any) -> None:
    """Print the sessions that have not ended, of all servers."""
    page = _ask(lambda queries: queries.open_sessions(before=before, limit=limit), options)
    _print(
        ("session", "first_person", "second_person", "matched_at", "connected_at"),
        (
            (row.id, row.first_person, row.second_person, row.matched_at, row.connected_at)
            for row in page.rows
        ),
    )
    _say_more(page)


@show.command(cls=Command)
@click.option(
    "--days",
    "count",
    type=click.IntRange(1, DAYS_MAX),
    default=30,
    show_default=True,
    help="How many days, today included.",
)
@_database
def days(count: int, **options: Any) -> None:
    """Print the totals of each day: sessions, those that became calls, and hours of calls that are over."""
    found: Iterable[Day] = _ask(lambda queries: queries.days(count), options)
    _print(
        ("day", "sessions", "calls", "hours"),
        ((row.day, row.sessions, row.calls, f"{row.call_s / 3600:.1f}") for row in found),
    )


def _ask(question: Callable[[Queries], Awaitable[T]], options: dict[str, Any]) -> T:
    answer: T = execute(partial(_answer, question), options)
    return answer


async def _answer(question: Callable[[Queries], Awaitable[T]], settings: Settings) -> T:
    """The answer of the database that the settings name, or of the private one that runs.

    Raises:
        RefusedToStartError: the database cannot be reached or used.
    """
    with refusing():
        async with Queries(settings.database_url or _private(settings.data_dir)) as queries:
            return await question(queries)


def _private(data_dir: str | None) -> str:
    """The connection string of the private PostgreSQL that runs on the data folder. Raises if none does."""
    folder = Path(data_dir).absolute() if data_dir else default_data_dir()
    return running_postgres(folder / "postgres")


def _print(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns; the last one is as wide as it is."""
    lines = [tuple(titles), *(tuple(_text(value) for value in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(_padded(line, widths)).rstrip())


def _padded(line: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for text, width in zip(line, widths, strict=True):
        yield text.ljust(width)


def _text(value: object) -> str:
    """A value in a form for terminals."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return "-" if value is None else one_line(str(value))


def _say_more(page: Page[Any]) -> None:
    if page.before is not None:
        click.echo(f"There are more rows: repeat the command with --before {page.before}", err=True)
