"""The compared figures, of each run and over several runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

from crowd.results import Document
from crowd.text_report import number, seconds, share, size

Figures: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: its path in a run's document, how it is written, and for which patterns it is shown."""

    key: str
    title: str
    path: str
    write: Callable[[float | None], str]
    patterns: str = "herd ramp subjects storm"


FIGURES = (
    Figure("cpu_per_call", "CPU of a call", "server cpu_per_call", seconds, "herd ramp"),
    Figure("cpu_per_frame", "CPU of a frame", "server cpu_per_frame", seconds, "herd ramp"),
    Figure("cpu_share", "CPU, of one core", "server cpu_share", share),
    Figure("memory_per_user", "memory of a user, at most", "server memory_per_user", size),
    Figure("cpu_per_connection", "CPU of opening a connection", "server cpu_per_connection", seconds, "herd"),
    Figure("match_median", "time to match, median", "time_to_match first median", seconds, "herd ramp"),
    Figure("match_p99", "time to match, 99th", "time_to_match first p99", seconds, "herd ramp"),
    Figure("waited_median", "waiting, all searches, median", "fairness waits median", seconds, "subjects"),
    Figure("waited_p90", "waiting, 90th", "fairness waits p90", seconds, "subjects"),
    Figure("waited_p99", "waiting, 99th", "fairness waits p99", seconds, "subjects"),
    Figure("waited_worst", "waiting, worst", "fairness waits worst", seconds, "subjects"),
    Figure(
        "overtaken_share", "searches that were overtaken", "fairness overtaken_share", share, "subjects ramp"
    ),
    Figure("overtaken_p99", "overtaken by, 99th", "fairness overtaken_by p99", seconds, "subjects"),
    Figure("rush_per_s", "calls begun a second in the rush", "calls rush_per_s", number, "herd"),
    Figure("relay_median", "relay of a signal, median", "relay median", seconds, "herd ramp"),
    Figure("relay_p99", "relay of a signal, 99th", "relay p99", seconds, "herd ramp"),
    Figure("returning_median", "being back, median", "storm returning median", seconds, "storm"),
    Figure("returning_p99", "being back, 99th", "storm returning p99", seconds, "storm"),
    Figure("returning_worst", "being back, worst", "storm returning worst", seconds, "storm"),
    Figure(
        "storm_match_p99",
        "time to match in the 10 s after, 99th",
        "storm time_to_match p99",
        seconds,
        "storm",
    ),
    Figure("storm_relay_p99", "relay in the 10 s after, 99th", "storm relay p99", seconds, "storm"),
    Figure("crowd_busy", "how busy the crowd itself was", "crowd busy_share", share),
    Figure("wrong", "things gone wrong", "", number),
)


def summary(result: Document) -> Figures:
    """The figures of one run, with its distribution and time series, small enough to be stored."""
    figures: Figures = {figure.key: _at(result, figure.path) for figure in FIGURES if figure.path}
    figures["wrong"] = sum(result["wrong"].values())
    figures["wrong_kinds"] = {kind: count for kind, count in result["wrong"].items() if count}
    figures["waits"] = [[at, _short(value)] for at, value in result["distributions"]["time_to_match"]]
    figures["course"] = [
        [_short(row[key]) for key in ("at", "match_p99", "relay_p99", "server_cpu_share")]
        for row in result["series"]
    ]
    return {key: _short(value) for key, value in figures.items()}


def _at(result: Document, path: str) -> Any:
    found: Any = result
    for part in path.split():
        found = None if found is None else found[part]
    return found


def _short(value: Any) -> Any:
    """Round to four digits, which is more than the measurement's precision."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def middle(runs: Sequence[Figures], key: str) -> float | None:
    """The median of a figure over several runs; None if no run has it."""
    values = [run[key] for run in runs if run[key] is not None]
    return median(values) if values else None


def ratio(ours: Sequence[Figures], theirs: Sequence[Figures], key: str) -> float | None:
    """Ours divided by theirs: the median of the ratios of runs that took turns."""
    pairs = zip(ours, theirs, strict=False)
    ratios = [mine[key] / other[key] for mine, other in pairs if mine[key] is not None and other[key]]
    return median(ratios) if ratios else None


def middle_run(runs: Sequence[Figures], key: str) -> Figures:
    """The run whose figure is the median."""
    ordered = sorted(runs, key=lambda run: (run[key] is None, run[key] or 0))
    return ordered[(len(ordered) - 1) // 2]
