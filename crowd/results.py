"""The results of a run: computes one document, which is also the JSON, from samples and measurements.

Durations are seconds, sizes bytes, shares 0 to 1; what could not be measured is None. Only this module
computes figures; the table and the report show them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import fields
from math import ceil, inf
from statistics import fmean
from typing import Any, TypeAlias

from crowd.conductor import Run, Sample
from crowd.measures import WRONG, Histogram, Waits
from crowd.plan import HERD

Document: TypeAlias = dict[str, Any]

OVERTAKEN_S = 0.05
"""A later searcher who was matched earlier by less than this does not count as overtaking: the order in which
the two messages arrived may differ from the order of the matches."""
AFTER_STORM_S = 10.0
"""The seconds after a storm that its figures cover."""
RUSH_SHARE = 0.95
"""A herd's rush ends when this share of its first calls has begun; the last few wait for each other."""


def document(run: Run) -> Document:
    """All results of a run."""
    later = before_the_close(run, run.measures.next_waits)
    waits = Waits()
    waits.merge(run.measures.first_waits)
    waits.merge(later)
    return {
        "plan": plan_of(run),
        "wrong": {kind: run.measures.wrong[kind] for kind in WRONG},
        "examples": run.measures.examples,
        "time_to_match": {
            "first": spread(durations(run.measures.first_waits)),
            "next": spread(durations(later)),
        },
        "relay": histogram_spread(merged(run.measures.relays.values())),
        "opening": histogram_spread(run.measures.opening),
        "returning": histogram_spread(run.measures.returning),
        "calls": calls(run),
        "server": server(run),
        "storm": storm(run, waits),
        "fairness": fairness(waits),
        "crowd": crowd(run),
        "distributions": {
            "time_to_match": quantiles(durations(waits)),
            "relay": histogram_quantiles(merged(run.measures.relays.values())),
        },
        "series": series(run, waits),
    }


def plan_of(run: Run) -> Document:
    """The plan, as far as JSON can hold it."""
    plan = run.plan
    left_out = ("target", "make_guests", "dialect")
    asked = {each.name: getattr(plan, each.name) for each in fields(plan) if each.name not in left_out}
    return {"url": plan.target.url, **asked}


def before_the_close(run: Run, waits: Waits) -> Waits:
    """The waits that ended while visitors still pressed; later ones lack partners."""
    kept, close = Waits(), run.started + run.marks["closed"].at_s
    for began, ended, subject in zip(waits.began, waits.ended, waits.subject, strict=True):
        if ended <= close:
            kept.add(began, ended, subject)
    return kept


def durations(waits: Waits) -> list[float]:
    """The duration of each wait, shortest first."""
    return sorted(ended - began for began, ended in zip(waits.began, waits.ended, strict=True))


def at_share(ordered: Sequence[float], share: float) -> float:
    """The quantile of sorted values for `share`, by nearest rank."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def spread(ordered: Sequence[float]) -> Document:
    """Count, mean, quantiles and worst of sorted values."""
    if not ordered:
        return {"count": 0, "mean": None, "median": None, "p90": None, "p99": None, "worst": None}
    return {
        "count": len(ordered),
        "mean": fmean(ordered),
        "median": at_share(ordered, 0.5),
        "p90": at_share(ordered, 0.9),
        "p99": at_share(ordered, 0.99),
        "worst": ordered[-1],
    }


def histogram_spread(histogram: Histogram) -> Document:
    """The same for a histogram."""
    has_any = histogram.count > 0
    return {
        "count": histogram.count,
        "mean": histogram.total_s / histogram.count if has_any else None,
        "median": histogram.quantile(0.5),
        "p90": histogram.quantile(0.9),
        "p99": histogram.quantile(0.99),
        "worst": histogram.worst_s if has_any else None,
    }


SHARES = (*(n / 100 for n in range(1, 100)), 0.995, 0.999, 1.0)
"""The shares at which a distribution is given."""


def quantiles(ordered: Sequence[float]) -> list[list[float]]:
    """The distribution as pairs of share and value."""
    return [[share, at_share(ordered, share)] for share in SHARES] if ordered else []


def histogram_quantiles(histogram: Histogram) -> list[list[float]]:
    """The same for a histogram."""
    pairs = ((share, histogram.quantile(share)) for share in SHARES)
    return [[share, value] for share, value in pairs if value is not None]


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """The sum of several histograms."""
    whole = Histogram()
    for histogram in histograms:
        whole.merge(histogram)
    return whole


def calls(run: Run) -> Document:
    """The number of calls, and their rate. A call of two people counts once."""
    begun, ended = sorted(run.measures.begun), sorted(run.measures.ended)
    first, last = window(run)
    begun_there = _between(begun, run, first, last)
    in_rush = ceil(RUSH_SHARE * len(run.measures.first_waits.began) / 2)
    rush_s = (
        begun[in_rush - 1] - run.started if 0 < in_rush <= len(begun) and run.plan.arrive == HERD else None
    )
    return {
        "begun": len(begun),
        "ended": len(ended),
        "window_s": last.at_s - first.at_s,
        "begun_in_window": begun_there,
        "ended_in_window": _between(ended, run, first, last),
        "begun_per_s": begun_there / (last.at_s - first.at_s),
        "rush_s": rush_s,
        "rush_per_s": in_rush / rush_s if rush_s else None,
    }


def window(run: Run) -> tuple[Sample, Sample]:
    """The interval in which cost per call is measured: from a herd's press or a ramp's end to the close.

    It does not contain the cost of opening connections, except those that drop and come back.
    """
    return run.marks.get("ramped", run.marks["pressed"]), run.marks["closed"]


def _between(times: Sequence[float], run: Run, first: Sample, last: Sample) -> int:
    return bisect_right(times, run.started + last.at_s) - bisect_left(times, run.started + first.at_s)


def server(run: Run) -> Document | None:
    """The server's CPU and memory; None if they could not be measured.

    CPU per call is the CPU of the window, divided by the mean of the calls that began and ended in it.
    """
    first, last = window(run)
    base, pressed = run.marks["begun"], run.marks["pressed"]
    if first.server is None or last.server is None or base.server is None or pressed.server is None:
        return None
    cpu_s = last.server.cpu_s - first.server.cpu_s
    numbers = calls(run)
    whole_calls = (numbers["begun_in_window"] + numbers["ended_in_window"]) / 2
    frames = last.frames - first.frames
    connected = run.marks.get("connected")
    busiest = max(sample.server.rss_bytes for sample in run.samples if sample.server is not None)
    people = max(last.arrived, 1)
    opened_cpu_s = pressed.server.cpu_s - base.server.cpu_s if connected else None
    return {
        "pid": run.server_pid,
        "cpu": cpu_s,
        "cpu_share": cpu_s / (last.at_s - first.at_s),
        "cpu_per_call": cpu_s / whole_calls if whole_calls else None,
        "cpu_per_frame": cpu_s / frames if frames else None,
        "frames": frames,
        "cpu_per_connection": opened_cpu_s / people if opened_cpu_s is not None else None,
        "rss_before": base.server.rss_bytes,
        "rss_connected": pressed.server.rss_bytes if connected else None,
        "rss_most": busiest,
        "memory_per_user_connected": (pressed.server.rss_bytes - base.server.rss_bytes) / people
        if connected
        else None,
        "memory_per_user": (busiest - base.server.rss_bytes) / people,
    }


def storm(run: Run, waits: Waits) -> Document | None:
    """Waits and relay times in the `AFTER_STORM_S` after the storm; None if there was none."""
    mark = run.marks.get("storm")
    if mark is None:
        return None
    began = run.started + mark.at_s
    end = began + AFTER_STORM_S
    matched = [
        ended - start for start, ended in zip(waits.began, waits.ended, strict=True) if began <= ended < end
    ]
    relayed = merged(
        histogram for second, histogram in run.measures.relays.items() if int(began) < second < int(end)
    )
    return {
        "at": mark.at_s,
        "returning": histogram_spread(run.measures.returning),
        "time_to_match": spread(sorted(matched)),
        "relay": histogram_spread(relayed),
    }


def fairness(waits: Waits) -> Document:
    """Whether those who waited longest were matched first.

    A visitor is overtaken if one who began to search later, for the same subject, was matched earlier, by
    more than `OVERTAKEN_S`.
    """
    order = sorted(zip(waits.began, waits.ended, waits.subject, strict=True))
    overtaken_by: list[float] = []
    earliest: defaultdict[int, float] = defaultdict(lambda: inf)
    for _, ended, subject in reversed(order):
        if ended - earliest[subject] > OVERTAKEN_S:
            overtaken_by.append(ended - earliest[subject])
        earliest[subject] = min(earliest[subject], ended)
    return {
        "waits": spread(durations(waits)),
        "overtaken_share": len(overtaken_by) / len(order) if order else None,
        "overtaken_by": spread(sorted(overtaken_by)),
    }


def crowd(run: Run) -> Document:
    """The crowd's own load. With a busy share near 1 the results measure the crowd, not the server."""
    first, last = window(run)
    lasted_s = last.at_s - first.at_s
    busy_s = last.crowd_busy_s - first.crowd_busy_s
    return {
        "processes": run.plan.processes,
        "busy_share": busy_s / lasted_s / run.plan.processes,
        "cpu_per_frame": busy_s / max(1, last.frames - first.frames),
        "worst_turn": run.worst_turn_s,
    }


def series(run: Run, waits: Waits) -> list[Document]:
    """The run second by second, from the first press on."""
    matched: defaultdict[int, list[float]] = defaultdict(list)
    for began, ended in zip(waits.began, waits.ended, strict=True):
        matched[int(ended - run.started)].append(ended - began)
    offset = int(run.started)
    relays: defaultdict[int, Histogram] = defaultdict(Histogram)
    for second, histogram in run.measures.relays.items():
        relays[second - offset].merge(histogram)
    rows: list[Document] = []
    before = run.samples[0]
    for sample in run.samples[1:]:
        lasted_s = sample.at_s - before.at_s
        if lasted_s < 0.9 or sample.at_s > run.marks["closed"].at_s:
            continue
        second = int(before.at_s)
        waited, relay = sorted(matched[second]), relays[second]
        now, then = sample.server, before.server
        rows.append(
            {
                "at": before.at_s,
                "people": sample.arrived,
                "searching": sample.states["searching"],
                "in_call": sample.states["connected"],
                "calls_per_s": (sample.begun - before.begun) / lasted_s,
                "match_median": at_share(waited, 0.5) if waited else None,
                "match_p99": at_share(waited, 0.99) if waited else None,
                "relay_median": relay.quantile(0.5),
                "relay_p99": relay.quantile(0.99),
                "server_cpu_share": (now.cpu_s - then.cpu_s) / lasted_s if now and then else None,
                "server_rss": now.rss_bytes if now else None,
                "crowd_busy_share": (sample.crowd_busy_s - before.crowd_busy_s)
                / lasted_s
                / run.plan.processes,
            }
        )
        before = sample
    return rows
