"""Constraints between settings: a table of pairs, of which one bounds the other.

Each value of a pair may be valid alone. Together they would lock out people who do nothing wrong, or make a
limit unreachable. This module has only the table; `studymatch.settings` checks it and raises the error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

ONE_SHUTS_ALL_OUT = "otherwise one address can use up what there is for everybody"
ONE_SHUTS_OTHERS_OUT = "otherwise one person can use up what there is for everybody at their address"


def same(value: float) -> float:
    """The bound is the other value."""
    return value


def pings_per_s(heartbeat_s: float) -> float:
    """How often a page pings that sends nothing else."""
    return 1 / heartbeat_s


@dataclass(frozen=True, slots=True)
class Relation:
    """The setting `name` must be at least `bound` of the value of `other`; `why` is the reason."""

    name: str
    other: str
    why: str
    bound: Callable[[float], float] = same


def _shared(name: str, other: str, why: str) -> list[Relation]:
    """A shared limit must be at least that of each one who shares it: in the long run, and at once."""
    return [Relation(f"{name}_{kind}", f"{other}_{kind}", why) for kind in ("per_s", "burst")]


RELATIONS: tuple[Relation, ...] = (
    *_shared("guests", "address_guests", ONE_SHUTS_ALL_OUT),
    *_shared("hellos", "address_hellos", ONE_SHUTS_ALL_OUT),
    *_shared("searches", "address_searches", ONE_SHUTS_ALL_OUT),
    *_shared("address_hellos", "person_hellos", ONE_SHUTS_OTHERS_OUT),
    *_shared("address_searches", "person_searches", ONE_SHUTS_OTHERS_OUT),
    *_shared("address_frames", "frames", ONE_SHUTS_OTHERS_OUT),
    *_shared("address_skips", "skips", ONE_SHUTS_OTHERS_OUT),
    *_shared("frames", "signals", "each signal is a frame"),
    Relation("frames_per_s", "heartbeat_s", "each ping is a frame", pings_per_s),
    Relation(
        "outbox_max",
        "signals_burst",
        "a partner may send as many at once, and the server would close the connection that receives them",
    ),
    Relation("skip_wait_max_s", "skip_wait_s", "no wait is longer than the longest"),
)
