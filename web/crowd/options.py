"""The options of `studymatch crowd`, and the plan that they make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from web.crowd.plan import EXPONENTIAL, FIXED, HERD, RAMP, Plan

SHARE = click.FloatRange(0, 1)
SECONDS = click.FloatRange(min=0)

_OPTIONS: tuple[tuple[str, Any, Any, str], ...] = (
    ("--people", click.IntRange(min=2), 1000, "How many people there are."),
    (
        "--arrive",
        click.Choice((RAMP, HERD)),
        RAMP,
        "Ramp: they come one after another and press at once. Herd: all are connected first, then all press "
        "at the same moment.",
    ),
    ("--ramp-s", SECONDS, 20.0, "Seconds over which a ramp arrives."),
    ("--run-s", click.FloatRange(min=1), 60.0, "Seconds from the first press to the last."),
    ("--calls", click.IntRange(min=1), None, "End earlier, when so many calls have ended."),
    ("--dwell-s", SECONDS, 30.0, "Seconds that a call lasts, in the mean."),
    ("--dwell", click.Choice((EXPONENTIAL, FIXED)), EXPONENTIAL, "How the length of calls is distributed."),
    (
        "--skip-share",
        SHARE,
        1.0,
        "Share of calls that end with a skip; in the others, somebody stops and presses anew.",
    ),
    ("--vanish-share", SHARE, 0.0, "Share of calls that end because a connection drops, without a goodbye."),
    (
        "--return-share",
        SHARE,
        0.5,
        "Share of those who vanished that come back to their call, within 3 s; the others start afresh.",
    ),
    (
        "--stalled-share",
        SHARE,
        0.0,
        "Share of people whose browser stops reading, and stays connected, in their first call.",
    ),
    (
        "--deflate-share",
        SHARE,
        1.0,
        "Share of people whose browser offers permessage-deflate, as all browsers do.",
    ),
    (
        "--active-share",
        SHARE,
        1.0,
        "Share of people who look for partners; the others are connected and idle.",
    ),
    (
        "--subjects",
        click.IntRange(0, 65_535),
        0,
        "How many subjects there are, of which each person asks for one, so that they have to wait for each "
        "other; with 0, everybody fits everybody.",
    ),
    (
        "--storm-share",
        SHARE,
        0.0,
        "Share of people who all lose their connection at one moment, and come back at once.",
    ),
    ("--storm-at-s", SECONDS, 30.0, "Seconds after the first press at which they do."),
    (
        "--processes",
        click.IntRange(min=1),
        1,
        "Processes of the crowd. One spends 25 to 50 µs on a frame: it drives 20,000 frames a second, or 900 "
        "calls, or 50,000 people in calls of 30 s.",
    ),
    ("--seed", int, 1, "Repeats who leaves, and when, as far as real sockets can be repeated."),
    (
        "--secret",
        str,
        None,
        "The server's --secret. With it the crowd makes its guests itself, and asks the server for none.",
    ),
)


def crowd_options(command: Callable[..., None]) -> Callable[..., None]:
    """A decorator that adds the options of the plan."""
    for name, kind, default, text in reversed(_OPTIONS):
        command = click.option(
            name, type=kind, default=default, help=text, show_default=default is not None, show_envvar=True
        )(command)
    return command


FILE: Any = click.Path(dir_okay=False, writable=True, path_type=Path)


def plan_from(place: Any, options: dict[str, Any]) -> Plan:
    """The plan that the options make."""
    return Plan(place=place, **options)
