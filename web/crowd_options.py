"""The options of `studymatch crowd`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from crowd.plan import EXPONENTIAL, FIXED, HERD, RAMP
from web.options import FiniteRange, Option

SHARE = FiniteRange(0, 1)
SECONDS = FiniteRange(min=0)
FILE: Any = click.Path(dir_okay=False, writable=True, path_type=Path)
CERTIFICATES: Any = click.Path(exists=True, dir_okay=False, path_type=Path)

_SERVER: tuple[tuple[str, Any, Any, str], ...] = (
    ("--url", str, None, "The server, like http://127.0.0.1:8000 or https://study.example."),
    (
        "--origin",
        str,
        None,
        "Origin that the browsers send, like https://study.example. Without it, that of the URL.",
    ),
    (
        "--ca-file",
        CERTIFICATES,
        None,
        "Certificates (PEM) of authorities to trust for an https server. Without it, those that this system "
        "trusts.",
    ),
)

_OUTPUT: tuple[tuple[str, Any, Any, str], ...] = (
    (
        "--server-pid",
        click.IntRange(min=1),
        None,
        "The server's process, to measure its CPU and memory. Without it, the process that listens there.",
    ),
    ("--json", FILE, None, "Write the result to this file, as JSON."),
    ("--report", FILE, None, "Write the result to this file, as a page with plots."),
)

_PLAN: tuple[tuple[str, Any, Any, str], ...] = (
    ("--people", click.IntRange(min=2), 1000, "The number of people."),
    (
        "--arrive",
        click.Choice((RAMP, HERD)),
        RAMP,
        "Ramp: they connect one after another, and each searches at once. Herd: all connect first, then all "
        "search at the same moment.",
    ),
    ("--ramp-s", SECONDS, 20.0, "Seconds over which a ramp arrives."),
    ("--run-s", FiniteRange(min=1), 60.0, "Seconds from the first search to the last."),
    ("--calls", click.IntRange(min=1), None, "End earlier, after this many calls."),
    ("--dwell-s", SECONDS, 30.0, "Mean length of a call, in seconds."),
    ("--dwell", click.Choice((EXPONENTIAL, FIXED)), EXPONENTIAL, "Distribution of the length of calls."),
    (
        "--skip-share",
        SHARE,
        1.0,
        "Share of calls that end with a skip; in the others, one of the two ends and then searches again.",
    ),
    ("--vanish-share", SHARE, 0.0, "Share of calls that end because a connection drops without `end`."),
    (
        "--return-share",
        SHARE,
        0.5,
        "Share of those who vanished that resume their call, within 3 s; the others start anew.",
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
        "The number of subjects. Each person asks for one of them, so people have to wait for each other; "
        "with 0, everybody fits everybody.",
    ),
    (
        "--storm-share",
        SHARE,
        0.0,
        "Share of people who all lose their connection at one moment, and reconnect at once.",
    ),
    ("--storm-at-s", SECONDS, 30.0, "Seconds from the first search to that moment."),
    (
        "--processes",
        click.IntRange(min=1),
        1,
        "Processes of the crowd. One spends 25 to 50 µs on a frame: it drives 20,000 frames a second, or "
        "900 calls, or 50,000 people in calls of 30 s.",
    ),
    ("--seed", int, 1, "Makes the choice of who leaves, and when, repeatable, as far as real sockets allow."),
    (
        "--secret",
        str,
        None,
        "The server's --secret. With it the crowd creates its guests itself, without requests to the server.",
    ),
)


def crowd_options(command: Callable[..., None]) -> Callable[..., None]:
    """A decorator that adds the options: where the server is, the plan, and where the result goes."""
    for name, kind, default, text in reversed((*_SERVER, *_PLAN, *_OUTPUT)):
        given: dict[str, Any] = {"required": True} if name == "--url" else {}
        if default is not None:
            given = {"default": default, "show_default": True}
        variable = f"STUDYMATCH_CROWD_{name[2:].replace('-', '_').upper()}"
        command = click.option(
            name, cls=Option, type=kind, help=text, envvar=variable, show_envvar=True, **given
        )(command)
    return command
