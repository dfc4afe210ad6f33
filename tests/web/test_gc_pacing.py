"""The collector: unreachable cycles are found, the young ones soon, all of them in the end."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from weakref import ref

import pytest
import trio
from trio.testing import MockClock

from web.server.gc_pacing import BY_ITSELF, collect_often


class Knot:
    """Something in a cycle with itself."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def only_when_asked() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def test_what_is_new_is_looked_at_soon(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    nursery.start_soon(collect_often)
    await trio.sleep(0.01)
    knot = ref(Knot())
    assert knot() is not None
    await trio.sleep(0.1)
    assert knot() is None


async def test_what_became_a_cycle_later_is_found_when_everything_is_looked_at(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    nursery.start_soon(collect_often, 0.05, 1.0)
    await trio.sleep(0.01)
    held = Knot()
    knot = ref(held)
    await trio.sleep(0.5)
    del held
    await trio.sleep(0.3)
    assert knot() is not None
    await trio.sleep(0.3)
    assert knot() is None


async def test_the_collector_is_left_as_it_was(autojump_clock: MockClock) -> None:
    before = gc.get_threshold()
    with trio.move_on_after(1):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect_often)
            await trio.sleep(0.5)
            assert gc.get_threshold() == BY_ITSELF
    assert gc.get_threshold() == before
