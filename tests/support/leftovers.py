"""What is left in memory without the collector: whatever refers to itself in a circle.

With the collector off, all that is not in a circle goes at once when nobody needs it any more. So what a
collection finds afterwards is what somebody who left, or a refused request, would leave behind for an hour.

`gc.DEBUG_SAVEALL` keeps what a collection finds, but for a circle through a generator or coroutine that is
suspended: the collector closes that first, which opens the circle. So those are watched by weak references.
"""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import Any

SUSPENDED = frozenset((AsyncGeneratorType, CoroutineType, GeneratorType))


class Leftovers:
    """What was found, once the block is left."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()


@contextmanager
def without_collector() -> Iterator[Leftovers]:
    """Off, from here to the end of the block; then everything that only it would find is counted by type."""
    leftovers = Leftovers()
    gc.collect()
    gc.freeze()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield leftovers
        suspended = [(weakref.ref(thing), _kind(thing)) for thing in gc.get_objects() if _is_suspended(thing)]
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        leftovers.found.update(_kind(thing) for thing in gc.garbage)
        gc.garbage.clear()
        leftovers.found.update(kind for thing, kind in suspended if thing() is None)
    finally:
        gc.set_debug(0)
        gc.unfreeze()
        if was_on:
            gc.enable()


def _is_suspended(thing: Any) -> bool:
    return type(thing) in SUSPENDED  # and no `isinstance`, which asks a weak proxy for its referent


def _kind(thing: Any) -> str:
    if type(thing) is FrameType:
        return f"frame of {thing.f_code.co_qualname}"
    if _is_suspended(thing):
        return f"{type(thing).__name__} of {thing.__qualname__}"
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
