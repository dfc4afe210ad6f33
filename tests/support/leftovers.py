"""Finds objects that stay in memory without the garbage collector because they are in reference cycles.

With the collector off, CPython frees all other objects as soon as nothing refers to them. So a collection
afterwards finds what a person who left, or a refused request, would leave in memory for up to an hour.

`gc.DEBUG_SAVEALL` keeps what a collection finds, except cycles through suspended generators and coroutines:
the collector closes these first, which breaks the cycle. So weak references watch them.
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
    """The number of objects found, by type, after the block."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()


@contextmanager
def all_set_aside() -> Iterator[None]:
    """Hide the objects that exist now from the collector while the block is open.

    A collection visits every object that is not hidden, and a process that runs tests has hundreds of
    thousands. Use this around many blocks of `without_collector`, whose collections then visit only what is
    new.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def without_collector() -> Iterator[Leftovers]:
    """Turn the collector off while the block is open; then count what only it would free, by type."""
    leftovers = Leftovers()
    is_within = gc.get_freeze_count() > 0  # within `all_set_aside`
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
        if not is_within:
            gc.unfreeze()
        if was_on:
            gc.enable()


def _is_suspended(thing: Any) -> bool:
    return type(thing) in SUSPENDED  # `isinstance` would access the referent of a weak proxy


def _kind(thing: Any) -> str:
    if type(thing) is FrameType:
        return f"frame of {thing.f_code.co_qualname}"
    if _is_suspended(thing):
        return f"{type(thing).__name__} of {thing.__qualname__}"
    return f"{type(thing).__module__}.{type(thing).__qualname__}"
