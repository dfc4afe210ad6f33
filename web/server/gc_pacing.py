"""Schedules Python's garbage collection: often for the young generation, rarely for all objects.

By default the collector runs when there are ten thousand more objects than at its last run. On a server where
as many people come as go, the number hardly grows, so seconds pass in which calls replace all their objects;
then a collection visits all of them, which are no longer in the processor's caches. With ten thousand people
that paused the server for 50 to 250 ms every four seconds, or 65 µs per call. A collection of the young
generation twenty times a second takes 0.2 ms each, or 20 µs per call.
"""

from __future__ import annotations

import gc
from typing import NoReturn

import trio

YOUNG_S = 0.05
"""The interval of young collections in seconds. Objects that survive one are not visited again for long."""

EVERYTHING_S = 3600.0
"""The interval of full collections in seconds; one takes half a second for a million objects. The objects of
people and requests form no cycles: `tests/web/test_nothing_left.py` and `test_nothing_left_of_requests.py`
check that with the collector off. Only crashed services leave cycles, and they may crash only a few times."""

BY_ITSELF = (10_000, 0, 1_000_000)
"""The thresholds: a rush of clients can create more than ten thousand objects in one step of the loop."""


async def collect_often(young_s: float = YOUNG_S, everything_s: float = EVERYTHING_S) -> NoReturn:
    """Run the collections until cancelled. Objects that exist at the start are never visited."""
    former = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*BY_ITSELF)
    try:
        while True:
            with trio.move_on_after(everything_s):
                while True:
                    await trio.sleep(young_s)
                    gc.collect(1)
            gc.collect()
    finally:
        gc.set_threshold(*former)
        gc.unfreeze()
