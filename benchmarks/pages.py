"""Generates benchmarks/results/comparison.md and its plots from the results. This module measures nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.contestants import CONTESTANTS, NODE, OURS
from benchmarks.figures import FIGURES, Figures, middle, middle_run, ratio
from benchmarks.workloads import PATTERNS
from crowd.charts import Axis, Line, bar_chart, line_chart
from crowd.text_report import number, seconds, share, size

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = RESULTS / "comparison.md"
PLOTS = ROOT / "docs" / "images" / "performance"

HEAD = """\
<!-- made by python -m benchmarks.compare -->

# Comparison with other servers

The measurement and the three servers are described in [Performance](../../docs/performance.md).
"""

CLAIMED = {100: ("2 s", "10 %"), 1_000: ("3 s", "25 %"), 5_000: ("5 s", "45 %"), 10_000: ("7 s", "75 %")}
"""Claims of the system that studymatch replaces, by number of users: time to a match, and CPU."""
CLAIMED_MEMORY = "2 MB"

Result: TypeAlias = dict[str, Any]

_TIME = Axis("time", seconds, "log")


def write_pages(results: Path) -> None:
    """Write the page and its plots from the result files in the folder `results`."""
    found = read(results)
    PLOTS.mkdir(parents=True, exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    for name, chart in plots(found).items():
        (PLOTS / f"{name}.svg").write_text(chart, encoding="utf-8")
    PAGE.write_text(page(found), encoding="utf-8")


def read(results: Path) -> list[Result]:
    """The results stored in a folder."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*-*.json"))]
    return [result for result in found if result["runs"]]


def page(found: Sequence[Result]) -> str:
    """The text of the page."""
    parts = [HEAD, *claims(found), *shown(plots(found))]
    for pattern in PATTERNS:
        parts += tables(pattern, [result for result in found if result["pattern"] == pattern])
    return "\n".join(parts).rstrip("\n") + "\n"


def row(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def head(cells: Sequence[str]) -> list[str]:
    """The first two lines of a table; all columns but the first are right-aligned."""
    return [row(cells), row(["---", *["---:"] * (len(cells) - 1)])]


def claims(found: Sequence[Result]) -> list[str]:
    """A table of the claims of the replaced system, beside our measurements."""
    lines = [
        "## The table of the system that it replaces",
        "",
        *head(
            [
                "users",
                "claimed: match",
                "herd: median, 99th",
                "ramp: median, 99th",
                "claimed: CPU",
                "herd: CPU",
                "ramp: CPU",
                "claimed: memory",
                "memory a user",
            ]
        ),
    ]
    for people, (match, cpu) in CLAIMED.items():
        herd, ramp = (_of(found, pattern, people, OURS.name) for pattern in ("herd", "ramp"))
        if herd or ramp:
            lines.append(
                row(
                    [
                        f"{people:,}",
                        match,
                        _matched(herd),
                        _matched(ramp),
                        cpu,
                        share(middle(herd, "cpu_share")),
                        share(middle(ramp, "cpu_share")),
                        CLAIMED_MEMORY,
                        size(middle(herd or ramp, "memory_per_user")),
                    ]
                )
            )
    told = "CPU is of one core, in the time of the run; a herd's is the rush and what follows."
    return [*lines, "", told, ""]


def _matched(runs: Sequence[Figures]) -> str:
    return f"{seconds(middle(runs, 'match_median'))}, {seconds(middle(runs, 'match_p99'))}" if runs else "–"


def _of(found: Sequence[Result], pattern: str, people: int, name: str) -> list[Figures]:
    for result in found:
        if result["pattern"] == pattern and result["people"] == people:
            runs: list[Figures] = result["runs"].get(name, [])
            return runs
    return []


def tables(pattern: str, found: Sequence[Result]) -> list[str]:
    """The figures of one pattern at every size: the largest first, the others in collapsed blocks."""
    if not found:
        return []
    lines = [f"## {pattern.capitalize()}: {PATTERNS[pattern]}", ""]
    for place, result in enumerate(sorted(found, key=lambda result: -result["people"])):
        table = [
            *figures_table(result),
            "",
            f"`{result['command']}`, {result['date']}. {_machine(result)}",
            "",
        ]
        if place == 0:
            lines += [f"**{result['people']:,} people**", "", *table]
        else:
            title = f"<summary>{result['people']:,} people</summary>"
            lines += [f"<details>{title}", "", *table, "</details>", ""]
    return lines


def figures_table(result: Result) -> list[str]:
    """A table of every server's medians, and ours divided by the peer's."""
    runs: dict[str, list[Figures]] = result["runs"]
    compared = OURS.name in runs and NODE.name in runs
    titles = [CONTESTANTS[name].title for name in runs]
    lines = head(["", *titles, *(["ours ÷ peer"] if compared else [])])
    for figure in FIGURES:
        if result["pattern"] not in figure.patterns.split():
            continue
        cells = [figure.title, *(figure.write(middle(each, figure.key)) for each in runs.values())]
        if compared:
            share_of_peer = ratio(runs[OURS.name], runs[NODE.name], figure.key)
            told = share_of_peer is not None and figure.key not in ("wrong", "crowd_busy")
            cells.append(f"{share_of_peer:.2f}" if told else "")
        lines.append(row(cells))
    return lines


def _machine(result: Result) -> str:
    of, count = result["machine"], max(map(len, result["runs"].values()))
    return (
        f"Medians of {count}. {of['cpu']}, {of['cores']} cores, {of['memory_gb']} GB, {of['system']}, "
        f"Python {of['python']}, Node {of['node']}, socket.io {of['socket.io']}."
    )


def plots(found: Sequence[Result]) -> dict[str, str]:
    """The plots as SVG text, by file name."""
    drawn = {
        "call": _bars(found, "herd", "cpu_per_call", "CPU of a call, herd", Axis("time", seconds)),
        "memory": _bars(found, "herd", "memory_per_user", "Memory of a user, herd", Axis("bytes", size)),
        "herd": _bars(found, "herd", "match_p99", "Time to match, 99th, herd", Axis("time", seconds)),
        "ramp": _bars(found, "ramp", "match_p99", "Time to match, 99th, ramp", Axis("time", seconds)),
        "waits-herd": _waits(found, "herd", "herd"),
        "waits-subjects": _waits(found, "subjects", "steady rush with subjects"),
        "storm": _course(found),
    }
    return {name: chart + "\n" for name, chart in drawn.items() if chart is not None}


def shown(charts: Mapping[str, str]) -> list[str]:
    """The lines that show the plots."""
    titles = {name: chart.partition("<title>")[2].partition("</title>")[0] for name, chart in charts.items()}
    return [*(f"![{title}](../../docs/images/performance/{name}.svg)" for name, title in titles.items()), ""]


def _bars(found: Sequence[Result], pattern: str, key: str, title: str, axis: Axis) -> str | None:
    of_pattern = sorted((each for each in found if each["pattern"] == pattern), key=_people)
    names = [name for name in CONTESTANTS if any(name in each["runs"] for each in of_pattern)]
    if not names:
        return None
    values = [
        (CONTESTANTS[name].title, [middle(each["runs"].get(name, []), key) for each in of_pattern])
        for name in names
    ]
    return bar_chart(title, [f"{_people(each):,} people" for each in of_pattern], values, axis)


def _people(result: Result) -> int:
    return int(result["people"])


def _largest(found: Sequence[Result], pattern: str) -> Result | None:
    return max((each for each in found if each["pattern"] == pattern), key=_people, default=None)


def _waits(found: Sequence[Result], pattern: str, name_of_it: str) -> str | None:
    result = _largest(found, pattern)
    if result is None:
        return None
    lines = [
        Line(CONTESTANTS[name].title, [(at, value) for at, value in middle_run(runs, "match_p99")["waits"]])
        for name, runs in result["runs"].items()
    ]
    title = f"Time to match, {name_of_it}, {_people(result):,} people"
    return line_chart(title, lines, Axis("share of all searches", share, "tail"), _TIME)


def _course(found: Sequence[Result]) -> str | None:
    result = _largest(found, "storm")
    if result is None:
        return None
    lines = []
    for name, runs in result["runs"].items():
        course = middle_run(runs, "storm_relay_p99")["course"]
        lines.append(Line(CONTESTANTS[name].title, [(at, relay) for at, _, relay, _ in course]))
    title = f"Relay of a signal, 99th, {_people(result):,} people and a storm"
    return line_chart(title, lines, Axis("seconds after the first press", number), _TIME)
