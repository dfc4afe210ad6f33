"""The workloads: the same visitors with the same behaviour for every server, in four patterns."""

from __future__ import annotations

from functools import partial

from benchmarks.contestants import NODE, SECRET, Contestant, Running
from crowd.plan import HERD, RAMP, Plan
from crowd.target import find
from web.crowd_command import made_with

PATTERNS = {
    "herd": "all are connected, and press at the same moment",
    "ramp": "they arrive over 20 s, one after another, and press at once",
    "subjects": "they arrive over 20 s, and each asks for one of many subjects, so that people have to wait",
    "storm": "nine of ten lose their connection at the same moment and come back at once; the others go on",
}
"""The patterns, by name."""

RAMP_S = 20.0
STORM_SHARE, STORM_AT_S = 0.9, 12.0
PEOPLE_PER_SUBJECT = 100
CONNECTIONS_PER_S = 450
"""An estimate of how fast a herd connects, only used to announce the total duration."""
STARTING_S = 8.0


def takes_part(contestant: Contestant, pattern: str) -> bool:
    """Whether a server supports a pattern: the peer has no subjects."""
    return pattern != "subjects" or contestant.name != NODE.name


def plan(pattern: str, people: int, run_s: float, seed: int, contestant: Contestant, server: Running) -> Plan:
    """The plan of one run. A ramp lasts `run_s` after the arrivals."""
    is_ramp = pattern in ("ramp", "subjects")
    return Plan(
        target=find(server.url),
        people=people,
        arrive=RAMP if is_ramp else HERD,
        ramp_s=RAMP_S,
        run_s=run_s + RAMP_S if is_ramp else run_s,
        subjects=max(1, people // PEOPLE_PER_SUBJECT) if pattern == "subjects" else 0,
        storm_share=STORM_SHARE if pattern == "storm" else 0.0,
        storm_at_s=STORM_AT_S,
        seed=seed,
        make_guests=partial(made_with, SECRET),
        dialect=contestant.dialect,
    )


def lasts_s(pattern: str, people: int, run_s: float) -> float:
    """The estimated duration of a run in seconds, with starting and stopping."""
    arriving_s = RAMP_S if pattern in ("ramp", "subjects") else people / CONNECTIONS_PER_S
    return STARTING_S + arriving_s + run_s
