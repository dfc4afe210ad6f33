"""The result of a run as one HTML page with numbers and plots, without external files or scripts."""

from __future__ import annotations

from html import escape

from crowd.charts import Axis, Line, line_chart
from crowd.measures import WRONG
from crowd.results import Document
from crowd.text_report import number, rows, seconds, share, size

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th {{ text-align: left; font-weight: 400; vertical-align: top; }}
th, td {{ padding: .3rem .6rem .3rem 0; border-bottom: 1px solid rgb(128 128 128 / 35%); }}
td.count {{ text-align: right; font-variant-numeric: tabular-nums; }}
.bad {{ font-weight: 700; color: light-dark(#b3261e, #ff8a80); }}
svg {{ width: 100%; height: auto; margin: 1rem 0; }}
</style>
<h1>{title}</h1>
<p>{asked}</p>
<p class="{verdict_class}">{verdict}</p>
<h2>In numbers</h2>
<table>{numbers}</table>
<h2>What must not happen</h2>
<table>{wrong}</table>
<h2>Over time</h2>
{over_time}
<h2>How it is distributed</h2>
<p>At 99 %, one in a hundred was slower than the value shown.</p>
{distributions}
</html>
"""

_AT = Axis("seconds after the first press", lambda at: f"{at:g}")


def page(result: Document) -> str:
    """The page as HTML."""
    plan = result["plan"]
    bad = sum(result["wrong"].values())
    return _PAGE.format(
        title=f"{plan['people']:,} people, {plan['arrive']}",
        asked=escape(_asked(plan)),
        verdict="Nothing went wrong." if not bad else f"{bad:,} things went wrong: see below.",
        verdict_class="bad" if bad else "good",
        numbers="".join(f"<tr><th>{escape(name)}<td>{escape(value)}" for name, value in rows(result)),
        wrong="".join(_wrong_row(kind, meaning, result) for kind, meaning in WRONG.items()),
        over_time="".join(_over_time(result)),
        distributions="".join(_distributions(result)),
    )


def _asked(plan: Document) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in plan.items() if value is not None)


def _wrong_row(kind: str, meaning: str, result: Document) -> str:
    count = result["wrong"][kind]
    examples = "".join(f"<br>{escape(example)}" for example in result["examples"].get(kind, ()))
    emphasis = ' class="bad"' if count else ""
    name = kind.replace("_", " ")
    return f'<tr{emphasis}><th>{name}<td class="count">{count:,}<td>{escape(meaning)}{examples}'


def _over_time(result: Document) -> list[str]:
    def of(key: str, name: str) -> Line:
        return Line(name, [(row["at"], row[key]) for row in result["series"]])

    time = Axis("time", seconds, "log")
    return [
        line_chart("Time to match", [of("match_median", "median"), of("match_p99", "99th")], _AT, time),
        line_chart("Relay of a signal", [of("relay_median", "median"), of("relay_p99", "99th")], _AT, time),
        line_chart(
            "People",
            [of("people", "connected"), of("in_call", "in a call"), of("searching", "searching")],
            _AT,
            Axis("how many", number),
        ),
        line_chart("Calls begun", [of("calls_per_s", "calls")], _AT, Axis("a second", number)),
        line_chart(
            "CPU",
            [of("server_cpu_share", "server"), of("crowd_busy_share", "a process of the crowd")],
            _AT,
            Axis("share of a core", share),
        ),
        line_chart("The server's memory", [of("server_rss", "resident")], _AT, Axis("bytes", size)),
    ]


def _distributions(result: Document) -> list[str]:
    rank = Axis("share of all", share, "tail")
    return [
        line_chart(
            title, [Line(name, [(at, value) for at, value in result["distributions"][key]])], rank, how
        )
        for key, title, name, how in (
            ("time_to_match", "Time to match", "searches", Axis("time", seconds, "log")),
            ("relay", "Relay of a signal", "signals", Axis("time", seconds, "log")),
        )
    ]
