"""The plans of the product's statements, as PostgreSQL's auto_explain writes them to its log.

On a connection opened with the options `EVERY_PLAN`, PostgreSQL logs each statement's plan and execution time
(without planning and round trip). `WITH_NUMBERS` adds the actual rows and buffers, and the statements of
triggers and foreign keys; that takes time, so execution times are then longer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crowd.text_report import seconds
from studymatch.recording import queries, store
from studymatch.rules import records

PRODUCT = {
    " ".join(sql.split()): name.lower().replace("_", " ")
    for name, sql in {**vars(records), **vars(store), **vars(queries)}.items()
    if name.isupper() and isinstance(sql, str) and name != "FACTS"
}
"""The name of every statement of the product, except `FACTS`, which runs once at a start."""
NESTED = {
    "insert into seat": "take seats (trigger)",
    "delete from seat": "leave seats (trigger)",
    'SELECT 1 FROM ONLY "public"."person"': "person exists (foreign key)",
}
"""The names of statements that triggers and foreign keys run, by their beginning."""

EVERY_PLAN = (
    "-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0"
    " -c auto_explain.log_format=json"
)
WITH_NUMBERS = (
    "-c auto_explain.log_analyze=on -c auto_explain.log_buffers=on -c auto_explain.log_triggers=on"
    " -c auto_explain.log_nested_statements=on"
)
LOGGED = re.compile(r"duration: ([\d.]+) ms  plan:\n((?:\t.*\n)+)")


@dataclass(frozen=True, slots=True)
class Logged:
    """One execution of a statement, as auto_explain logs it."""

    name: str
    took_s: float
    plan: dict[str, Any]


def logged(text: str) -> Iterator[Logged]:
    """The executions in a part of PostgreSQL's log, without those that only set up a connection."""
    for took_ms, indented in LOGGED.findall(text):
        told = json.loads(indented.replace("\n\t", "\n"))
        sql = " ".join(told["Query Text"].split())
        name = PRODUCT.get(re.sub(r"\$\d+", "%s", sql))
        name = name or next((name for begin, name in NESTED.items() if sql.startswith(begin)), None)
        if name is not None:
            yield Logged(name, float(took_ms) / 1000, told)


def outline(told: dict[str, Any]) -> list[str]:
    """A plan in a few lines: its nodes with their indexes and rows, and the pages it used."""
    plan = told["Plan"]
    found = [*_nodes(plan, 0)]
    pages_used = f"{plan['Shared Hit Blocks']:,} pages in memory, {plan['Shared Read Blocks']:,} read"
    found[0] += f" ({pages_used})"
    for trigger in told.get("Triggers", []):
        name = trigger.get("Constraint Name") or trigger["Trigger Name"]
        took = seconds(trigger["Time"] / 1000)
        found.append(f"trigger {name}: {trigger['Calls']:,} calls, {took}")
    return found


def _nodes(plan: dict[str, Any], depth: int) -> Iterator[str]:
    what = plan["Operation"] if plan["Node Type"] == "ModifyTable" else plan["Node Type"]
    using = f" using {plan['Index Name']}" if "Index Name" in plan else ""
    where = plan.get("Relation Name") or plan.get("Function Name")
    on = f" on {where}" if where else ""
    loops = f" × {plan['Actual Loops']:,}" if plan["Actual Loops"] > 1 else ""
    yield f"{'  ' * depth}{what}{using}{on}: {plan['Actual Rows']:,} rows{loops}"
    for child in plan.get("Plans", []):
        yield from _nodes(child, depth + 1)


def shape(told: dict[str, Any]) -> str:
    """A plan's nodes without rows and times."""
    return re.sub(r": .*", "", "\n".join(_nodes(told["Plan"], 0)))


def whole_tables(told: dict[str, Any]) -> list[str]:
    """The tables that a plan scans sequentially."""
    return re.findall(r"Seq Scan on (\w+)", shape(told))
