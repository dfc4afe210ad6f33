"""The result of a run as a text table, and a progress line during the run."""

from __future__ import annotations

from typing import Any

from crowd.conductor import Sample
from crowd.measures import WRONG
from crowd.results import Document


def seconds(value: float | None) -> str:
    """A duration given in seconds, in a readable unit."""
    if value is None:
        return "–"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size * 0.9995:
            return f"{value / size:.3g} {unit}" if value < 999.5 * size else f"{value / size:,.0f} {unit}"
    return "0 s" if value == 0 else f"{value * 1e6:.2g} µs"


def size(value: float | None) -> str:
    """A size given in bytes, in a readable unit."""
    if value is None:
        return "–"
    for unit, bytes_each in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if abs(value) >= bytes_each:
            return f"{value / bytes_each:.3g} {unit}"
    return f"{value:.0f} B"


def share(value: float | None) -> str:
    """A share (0 to 1) as a percentage."""
    return "–" if value is None else f"{value * 100:.3g} %"


def number(value: float | None) -> str:
    """A number with few digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _spread(values: Document) -> str:
    if not values["count"]:
        return "–"
    told = (
        f"{name} {seconds(values[key])}"
        for name, key in (("median", "median"), ("99th", "p99"), ("worst", "worst"))
    )
    return f"{', '.join(told)}  (of {values['count']:,})"


def rows(result: Document) -> list[tuple[str, str]]:
    """Names and values, in the order in which they are shown."""
    called, crowd, fair = result["calls"], result["crowd"], result["fairness"]
    server: dict[str, Any] = result["server"] or {}
    storm = result["storm"]
    lines = [
        ("time to match, first search", _spread(result["time_to_match"]["first"])),
        ("time to match, later searches", _spread(result["time_to_match"]["next"])),
        ("relay of a signal", _spread(result["relay"])),
        ("opening a connection", _spread(result["opening"])),
        ("coming back", _spread(result["returning"])),
        ("after the storm: time to match", _spread(storm["time_to_match"]) if storm else "–"),
        ("after the storm: relay", _spread(storm["relay"]) if storm else "–"),
        (
            "calls",
            f"{called['begun']:,} begun, {called['ended']:,} ended; {number(called['begun_per_s'])} a second",
        ),
        ("calls in the rush", f"{number(called['rush_per_s'])} a second, for {seconds(called['rush_s'])}"),
        ("overtaken", f"{share(fair['overtaken_share'])} of searches, {_spread(fair['overtaken_by'])}"),
        ("server: CPU", f"{share(server.get('cpu_share'))} of a core"),
        ("server: CPU of a call", seconds(server.get("cpu_per_call"))),
        ("server: CPU of a frame", seconds(server.get("cpu_per_frame"))),
        ("server: CPU of a connection", seconds(server.get("cpu_per_connection"))),
        (
            "server: memory of a user",
            f"{size(server.get('memory_per_user_connected'))} connected, "
            f"{size(server.get('memory_per_user'))} at most",
        ),
        (
            "server: memory",
            f"{size(server.get('rss_before'))} before, {size(server.get('rss_most'))} at most",
        ),
        (
            "the crowd itself",
            f"{share(crowd['busy_share'])} busy, {seconds(crowd['cpu_per_frame'])} a frame, "
            f"longest turn {seconds(crowd['worst_turn'])}",
        ),
    ]
    return [(name, value) for name, value in lines if not value.startswith("–")]


def as_text(result: Document) -> str:
    """The whole result as a table, with the violations at the end."""
    shown = rows(result)
    width = max(len(name) for name, _ in shown) + 2
    lines = [f"{name:<{width}}{value}" for name, value in shown]
    lines.append("")
    for kind, meaning in WRONG.items():
        count = result["wrong"][kind]
        lines.append(f"{kind.replace('_', ' '):<{width}}{count:<7,}{meaning}")
        lines += [f"{'':<{width}}  {example}" for example in result["examples"].get(kind, ())]
    if result["crowd"]["busy_share"] > 0.9:
        lines += ["", "The crowd itself was the bottleneck: give it more --processes, or fewer people."]
    return "\n".join(lines)


def progress(phase: str, sample: Sample, before: Sample | None, enrolled: int, people: int) -> str:
    """The progress of a run in one line."""
    if phase == "enrolling":
        return f"{phase}: {enrolled:,} of {people:,}"
    told = [
        f"{phase}: {max(0, sample.at_s):.0f} s" if phase != "connecting" else f"{phase}:",
        f"{sample.arrived:,} here",
    ]
    if phase != "connecting":
        told += [
            f"{sample.states['searching']:,} searching",
            f"{sample.states['connected']:,} in a call",
            f"{sample.begun:,} calls",
        ]
    if sample.server is not None and before is not None and before.server is not None:
        lasted_s = max(1e-3, sample.at_s - before.at_s)
        told.append(f"server {share((sample.server.cpu_s - before.server.cpu_s) / lasted_s)} CPU")
        told.append(size(sample.server.rss_bytes))
    told.append(f"{sample.wrong:,} wrong")
    return ", ".join(told)
