"""Compares studymatch with other servers on this machine: ``python -m benchmarks.compare`` (`make bench`).

Every server runs as a separate process under the same load generator, `studymatch crowd`, over loopback. The
servers take turns, run by run, so that other load on the machine affects all of them alike. The results are
stored in benchmarks/results/, one small file for each pattern and size; comparison.md in the same folder is
generated from them.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks.contestants import (
    CONTESTANTS,
    Contestant,
    StartError,
    install_peer,
    node_version,
    running,
    version_of_peer,
)
from benchmarks.figures import Figures, summary
from benchmarks.pages import RESULTS, write_pages
from benchmarks.workloads import PATTERNS, lasts_s, plan, takes_part
from crowd.conductor import RunFailedError
from crowd.results import document
from crowd.text_report import seconds
from web.crowd_command import CrowdError, ProgressLine, make_run

SIZES = (100, 1_000, 5_000, 10_000)
PROGRESS = {"CPU of a call": "cpu_per_call", "time to match, 99th": "match_p99"}
"""The figures printed after each run."""


@click.command(context_settings={"max_content_width": 100})
@click.option("--people", multiple=True, type=click.IntRange(min=2), default=SIZES, show_default=True)
@click.option("--only", multiple=True, type=click.Choice(list(PATTERNS)), help="Only this pattern.")
@click.option("--contestant", multiple=True, type=click.Choice(list(CONTESTANTS)), help="Only this server.")
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True, help="Runs of each.")
@click.option(
    "--run-s", type=click.FloatRange(min=5), default=30.0, show_default=True, help="Seconds of one run."
)
@click.option(
    "--draw", is_flag=True, help="Measure nothing; regenerate benchmarks/results/comparison.md and its plots."
)
def compare(
    people: Sequence[int], only: Sequence[str], contestant: Sequence[str], runs: int, run_s: float, draw: bool
) -> None:
    """Compare studymatch with other servers. --people, --only and --contestant may be repeated."""
    contestants = [CONTESTANTS[name] for name in contestant or CONTESTANTS]
    patterns = only or list(PATTERNS)
    try:
        if not draw:
            total_s = runs * sum(
                lasts_s(pattern, size, run_s)
                for pattern in patterns
                for size in people
                for each in contestants
                if takes_part(each, pattern)
            )
            click.echo(f"This takes about {total_s / 60:.0f} minutes. Run nothing else on this machine.")
            install_peer()
            for pattern in patterns:
                for size in people:
                    measure(pattern, size, contestants, runs, run_s)
        write_pages(RESULTS)
    except (StartError, CrowdError, RunFailedError) as error:
        click.echo(f"benchmarks: {error}", err=True)
        sys.exit(2)


def measure(pattern: str, people: int, contestants: Sequence[Contestant], runs: int, run_s: float) -> None:
    """Make all runs of one pattern and size, the servers taking turns, and write one result file."""
    able = [each for each in CONTESTANTS.values() if takes_part(each, pattern)]
    contestants = [each for each in contestants if each in able]
    found: dict[str, list[Figures]] = {each.name: [] for each in contestants}
    for number in range(runs):
        for contestant in contestants:
            named = f"{pattern}, {people:,} people, run {number + 1} of {runs}, {contestant.title}"
            try:
                figures = visit(contestant, pattern, people, run_s, seed=number + 1)
            except RunFailedError as error:
                click.echo(f"{named}: failed. {error}", err=True)
                continue
            found[contestant.name].append(figures)
            told = ", ".join(f"{name} {seconds(figures[key])}" for name, key in PROGRESS.items())
            click.echo(f"{named}: {told}, {figures['wrong']:,} wrong")
    options = f"--people {people} --only {pattern} --runs {runs} --run-s {run_s:g}"
    if contestants != able:
        options += "".join(f" --contestant {each.name}" for each in contestants)
    result = {
        "pattern": pattern,
        "people": people,
        "command": f"python -m benchmarks.compare {options}",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "runs": {name: each for name, each in found.items() if each},
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{pattern}-{people:05}.json"
    path.write_text(_a_line_each(result), encoding="utf-8")


def _a_line_each(result: dict[str, Any]) -> str:
    """JSON with a line for each part and each run, so that files are small and diffs readable."""
    parts = {name: json.dumps(part) for name, part in result.items()}
    runs = (
        f'  "{name}": [\n   ' + ",\n   ".join(json.dumps(run) for run in each) + "\n  ]"
        for name, each in result["runs"].items()
    )
    parts["runs"] = "{\n" + ",\n".join(runs) + "\n }"
    return "{\n" + ",\n".join(f' "{name}": {part}' for name, part in parts.items()) + "\n}\n"


def visit(contestant: Contestant, pattern: str, people: int, run_s: float, seed: int) -> Figures:
    """Start a server, make one run, and stop it."""
    with running(contestant) as server:
        line = ProgressLine(people)
        try:
            run = make_run(plan(pattern, people, run_s, seed, contestant, server), server.pid, line.show)
        finally:
            line.end()
    return summary(document(run))


def machine() -> dict[str, Any]:
    """The machine and the versions of the software."""
    models = [
        line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")
    ]
    kilobytes = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "cpu": models[0].strip() if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(kilobytes[0] / 1e6) if kilobytes else None,
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        "node": node_version(),
        "socket.io": version_of_peer(),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


if __name__ == "__main__":
    compare()
