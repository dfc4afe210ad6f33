"""Renders the result of `benchmarks.database` as benchmarks/results/database.md."""

from __future__ import annotations

from typing import Any

from benchmarks.pages import RESULTS, head, row
from crowd.text_report import number, seconds, share, size

PAGE = RESULTS / "database.md"

HEAD = """\
<!-- made by python -m benchmarks.database -->

# The database after years of sessions

The measurement is described in [Performance](../../docs/performance.md#the-database).

"""

GOAL_SHARE = 0.1
"""The goal: this share of one core for ten thousand sessions a minute."""


def tables(result: dict[str, Any]) -> list[str]:
    """The result in Markdown."""
    of, ledger = result["machine"], result["ledger"]
    lines = [
        f"With {result['sessions']:,} past sessions ({size(result['size_bytes'])}),"
        f" and {result['open']:,} that are open.",
        "",
        *head(["call of the store", "calls", "median", "worst"]),
    ]
    for title, call in result["calls"].items():
        times = (seconds(call["median"]), seconds(call["worst"]))
        lines.append(row([title, number(call["count"]), *times]))
    titles = ["statement, executed", "in", "times a call", "median", "worst", "tables read whole"]
    lines += ["", *head(titles)]
    for title, call in result["calls"].items():
        for name, found in call["statements"].items():
            whole = ", ".join(found["whole_tables"]) or "none"
            spread = (seconds(found["median"]), seconds(found["worst"]))
            lines.append(row([name, title, number(found["per_call"]), *spread, whole]))
    lines += [
        "",
        f"The ledger: {ledger['sessions']:,} sessions in {ledger['lasted_s']:g} s"
        f" ({ledger['sessions_per_minute']:,} a minute; {ledger['transactions']:,} transactions) cost"
        f" **{share(ledger['share'])} of one core**: {share(ledger['share_here'])} in the process that tells"
        f" and writes, {share(ledger['share_postgres'])} in PostgreSQL. That is"
        f" {seconds(ledger['cpu_per_session'])} a session. The goal is less than {share(GOAL_SHARE)}.",
        "",
        "<details><summary>The plans</summary>",
        "",
    ]
    for title, call in result["calls"].items():
        for name, found in call["statements"].items():
            lines += [f"**{name}**, in: {title}", "", "```text", *found["plan"], "```", ""]
    return [
        *lines,
        "</details>",
        "",
        f"`{result['command']}`, {result['date']}. {of['cpu']}, {of['cores']} cores, {of['memory_gb']} GB,"
        f" {of['system']}, Python {of['python']}, PostgreSQL {result['postgres']}.",
    ]


def page(result: dict[str, Any]) -> str:
    """The text of the page."""
    return HEAD + "\n".join(tables(result)) + "\n"
