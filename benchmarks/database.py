"""Measures the database after years of sessions: ``python -m benchmarks.database [--sessions 5000000]``.

It fills a private PostgreSQL, with the durability settings of production, with past sessions; then the
product's own `Store` and `Ledger` work on it, with some thousands of sessions open. It measures

- every call of the store and of the queries: its duration for the caller, thread and commit included;
- every statement in it, including those of triggers and foreign keys: its execution time and its plan, as
  PostgreSQL's auto_explain logs them, so that no statement is repeated here;
- the ledger at ten thousand sessions a minute: CPU of this process (which also makes the records) and of all
  PostgreSQL processes.

The tables are analyzed while no session is open, so the planner's statistics are as wrong as they can be. At
the end the rows must match the records. The result is stored in benchmarks/results/database.json;
`benchmarks.database_page` renders it as benchmarks/results/database.md.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias, TypeVar

import click
import psycopg
import trio
from psycopg.conninfo import make_conninfo

from actors import Journal, Mailbox
from benchmarks.compare import machine
from benchmarks.database_page import PAGE, page, tables
from benchmarks.desk import OPEN, SESSIONS_PER_MINUTE, Call, Desk, Question
from benchmarks.history import FEWEST, fill
from benchmarks.pages import RESULTS
from benchmarks.plans import (
    EVERY_PLAN,
    NESTED,
    PRODUCT,
    WITH_NUMBERS,
    Logged,
    logged,
    outline,
    shape,
    whole_tables,
)
from crowd.text_report import seconds
from studymatch.postgres.database import StoreError
from studymatch.postgres.private import embedded_postgres
from studymatch.postgres.programs import EmbeddedPostgresError
from studymatch.recording.ledger import Ledger
from studymatch.recording.queries import Queries
from studymatch.recording.store import Store
from studymatch.rules.records import (
    LedgerMessage,
)

WARM_UP_S = 5.0
TICK_S = 0.02

EXPLAINED = 20
"""The number of calls whose plans are read: PostgreSQL may use a generic plan after the tenth."""

RESULT = RESULTS / "database.json"


class BrokenError(Exception):
    """The rows or the logged statements are not as expected, so the figures are invalid."""


CALLS: dict[str, tuple[Callable[[Desk], Awaitable[Call]], int]] = {
    "a batch at the pace, 33 calls": (Desk.usual_batch, 100),
    "a large batch, 200 calls": (Desk.large_batch, 50),
    "renew the lease": (Desk.lease, 100),
    "close abandoned, of which there are none": (Desk.none_abandoned, 100),
    "close abandoned, 1,000 of a killed node": (Desk.thousand_abandoned, 20),
    "migrate what is migrated, at every start": (Desk.start, 20),
}
QUESTIONS: dict[str, tuple[Callable[[Desk], Awaitable[Question]], int]] = {
    "show people of a name": (Desk.people, 20),
    "show the sessions of a person": (Desk.sessions, 20),
    "show what is open": (Desk.still_open, 20),
    "show the last 30 days": (Desk.days, 20),
}
"""The calls of store and queries: which method of `Desk` prepares each, and how often it is made."""

T = TypeVar("T", Store, Queries)
Prepare: TypeAlias = Callable[[Desk], Awaitable[Callable[[T], Awaitable[object]]]]


async def measure_calls(desk: Desk, conninfo: str, log: Path, scale: float) -> dict[str, Any]:
    """Make every call of store and queries many times.

    Raises:
        BrokenError: a statement of the product was not executed.
    """
    calls = await _measure_calls(desk, desk.store, CALLS, conninfo, log, scale)
    calls |= await _measure_calls(desk, desk.queries, QUESTIONS, conninfo, log, scale)
    seen = {name for call in calls.values() for name in call["statements"]}
    if missing := {*PRODUCT.values(), *NESTED.values()} - seen:
        raise BrokenError(f"Expected to see all statements run; not seen: {', '.join(sorted(missing))}.")
    return calls


async def _measure_calls(
    desk: Desk,
    plain: T,
    prepared: Mapping[str, tuple[Prepare[T], int]],
    conninfo: str,
    log: Path,
    scale: float,
) -> dict[str, Any]:
    """Make calls: plainly, then with logged execution times, then with plans."""
    calls: dict[str, Any] = {}
    for title, (prepare, often) in prepared.items():
        often, explained = (max(2, round(count * scale)) for count in (often, EXPLAINED))
        took_s = await _timed(desk, plain, prepare, often)
        calls[title] = {"count": often, **_spread(took_s), "statements": {}}
        if prepare is Desk.start:
            continue
        for options, count in ((EVERY_PLAN, often), (f"{EVERY_PLAN} {WITH_NUMBERS}", explained)):
            explaining = type(plain)(make_conninfo(conninfo, options=options))
            executions = await _logged_by(partial(_timed_within, desk, explaining, prepare, count), log)
            _take_in(calls[title]["statements"], executions, count)
        click.echo(f"{title}: {seconds(calls[title]['median'])}")
    return calls


async def _logged_by(work: Callable[[], Awaitable[object]], log: Path) -> list[Logged]:
    """The statements that PostgreSQL logs while `work` runs."""
    with log.open(encoding="utf-8") as lines:
        lines.seek(0, os.SEEK_END)
        await work()
        return [*logged(lines.read())]


async def _timed_within(desk: Desk, database: T, prepare: Prepare[T], often: int) -> None:
    async with database:
        await _timed(desk, database, prepare, often)


async def _timed(desk: Desk, database: T, prepare: Prepare[T], often: int) -> list[float]:
    took_s = []
    for _ in range(often):
        call = await prepare(desk)
        start = time.perf_counter()
        await call(database)
        took_s.append(time.perf_counter() - start)
    return took_s


def _spread(took_s: list[float]) -> dict[str, float]:
    return {"median": round(median(took_s), 7), "worst": round(max(took_s), 7)}


def _take_in(found: dict[str, Any], executions: list[Logged], calls: int) -> None:
    """Add what was logged during `calls` calls: times that are still missing, and plans."""
    for name in dict.fromkeys(each.name for each in executions):
        same = [each for each in executions if each.name == name]
        statement = found.setdefault(
            name, {"per_call": round(len(same) / calls), **_spread([each.took_s for each in same])}
        )
        if "Actual Rows" in same[-1].plan["Plan"]:
            statement["plans"] = len({shape(each.plan) for each in same})
            statement["whole_tables"] = sorted({table for each in same for table in whole_tables(each.plan)})
            statement["plan"] = outline(same[-1].plan)


def postgres_cpu_s(postmaster: int) -> float:
    """CPU seconds of a PostgreSQL server and all its processes, including those that have ended."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            stat = path.read_text(encoding="utf-8")
        except OSError:
            continue  # it has just ended; its parent's figures include it
        fields = stat[stat.rindex(")") + 2 :].split()
        if path.parent.name == str(postmaster):
            total += sum(map(int, fields[11:15]))
        elif fields[1] == str(postmaster):
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


class CountingStore(Store):
    """A store that counts its transactions."""

    writes = 0

    async def write(self, batch: Any) -> None:
        await super().write(batch)
        self.writes += 1


async def measure_ledger(
    desk: Desk, conninfo: str, folder: Path, postmaster: int, run_s: float
) -> dict[str, Any]:
    """Measure the ledger while `SESSIONS_PER_MINUTE` sessions begin, connect and end, evenly spread."""
    mailbox: Mailbox[LedgerMessage] = Mailbox()
    per_s = SESSIONS_PER_MINUTE / 60
    store = CountingStore(conninfo)
    async with store, trio.open_nursery() as nursery:
        ledger = Ledger(mailbox, store, desk.here.node, folder / "unwritten.jsonl", Journal("ledger"))
        nursery.start_soon(ledger.run)
        told, begin = 0, trio.current_time()

        async def tell_until(end: float) -> None:
            nonlocal told
            while (now := trio.current_time()) < end:
                while told < (now - begin) * per_s:
                    for record in desk.here.step():
                        mailbox.tell(record)
                    told += 1
                await trio.sleep(TICK_S)

        warm_up_s = min(WARM_UP_S, run_s)
        await tell_until(begin + warm_up_s)
        told_before, writes = told, store.writes
        start, ours_s, theirs_s = time.perf_counter(), time.process_time(), postgres_cpu_s(postmaster)
        await tell_until(begin + warm_up_s + run_s)
        lasted_s = time.perf_counter() - start
        ours_s, theirs_s = time.process_time() - ours_s, postgres_cpu_s(postmaster) - theirs_s
        sessions, writes = told - told_before, store.writes - writes
        mailbox.close()
    return {
        "lasted_s": round(lasted_s, 1),
        "sessions": sessions,
        "transactions": writes,
        "sessions_per_minute": round(sessions / lasted_s * 60),
        "share_here": round(ours_s / lasted_s, 4),
        "share_postgres": round(theirs_s / lasted_s, 4),
        "share": round((ours_s + theirs_s) / lasted_s, 4),
        "cpu_per_session": round((ours_s + theirs_s) / sessions, 7),
    }


def check(conninfo: str, desk: Desk, began: datetime) -> dict[str, Any]:
    """Compare the rows with the records.

    Raises:
        BrokenError: they differ.
    """
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(
            "select (select count(*) from session where ended_at is null and node = %s),"
            " (select count(*) from session where ended_at is null), (select count(*) from seat),"
            " (select count(*) from session where cause = 'node_lost' and matched_at > %s),"
            " pg_database_size(current_database()), current_setting('server_version')",
            [desk.here.node.id, began],
        ).fetchone()
    assert row is not None
    expected = (OPEN, OPEN, 2 * OPEN, desk.abandoned)
    if row[:4] != expected:
        raise BrokenError(
            f"Expected {expected} sessions open here, open anywhere, seats, and sessions of killed nodes;"
            f" found {row[:4]}."
        )
    return {"size_bytes": row[4], "postgres": row[5].split()[0]}


async def measure(sessions: int, run_s: float = 60.0, scale: float = 1.0) -> dict[str, Any]:
    """Make all measurements in a temporary folder; `scale` multiplies the number of calls.

    Raises:
        EmbeddedPostgresError: there is no PostgreSQL, or it does not start.
        BrokenError: a statement was not logged, or the rows do not match the records.
    """
    with _open_folder() as folder:
        data = folder / "data"
        async with (
            embedded_postgres(data) as conninfo,
            Store(conninfo) as store,
            Queries(conninfo) as queries,
        ):
            await store.migrate()
            start = time.perf_counter()
            await trio.to_thread.run_sync(_fill, conninfo, sessions)
            click.echo(f"{sessions:,} past sessions were made in {seconds(time.perf_counter() - start)}.")
            desk, began = Desk(store, queries), datetime.now(UTC)
            await desk.open_sessions()
            calls = await measure_calls(desk, conninfo, data / "postgres.log", scale)
            postmaster = int((data / "pgdata" / "postmaster.pid").read_text().split()[0])
            ledger = await measure_ledger(desk, conninfo, folder, postmaster, run_s)
            return {
                "sessions": sessions,
                "open": OPEN,
                **check(conninfo, desk, began),
                "ledger": ledger,
                "calls": calls,
            }


@contextmanager
def _open_folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="studymatch-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # for root, the private PostgreSQL runs as another user
        yield folder


def _fill(conninfo: str, sessions: int) -> None:
    with psycopg.connect(conninfo) as connection:
        fill(connection, sessions)


@click.command(context_settings={"max_content_width": 100})
@click.option("--sessions", type=click.IntRange(min=FEWEST), default=5_000_000, show_default=True)
@click.option(
    "--run-s",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    help="Seconds of the ledger's measurement.",
)
@click.option("--draw", is_flag=True, help="Measure nothing; regenerate benchmarks/results/database.md.")
def main(sessions: int, run_s: float, draw: bool) -> None:
    """Measure what the database costs when it holds that many past sessions."""
    if not draw:
        told = {
            "command": f"python -m benchmarks.database --sessions {sessions} --run-s {run_s:g}",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": {key: value for key, value in machine().items() if key not in ("node", "socket.io")},
        }
        why: BaseException | None = None
        try:
            result = told | trio.run(measure, sessions, run_s)
        except* (EmbeddedPostgresError, StoreError, BrokenError, psycopg.Error) as errors:
            why = errors
        while isinstance(why, BaseExceptionGroup):
            why = why.exceptions[0]
        if why is not None:
            click.echo(f"benchmarks: {why}", err=True)
            sys.exit(2)
        RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    PAGE.write_text(page(result), encoding="utf-8")
    click.echo("\n".join(tables(result)))


if __name__ == "__main__":
    main()
