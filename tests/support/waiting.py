"""Waiting for events in other processes, by polling."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import trio

T = TypeVar("T")


async def eventually(look: Callable[[], T | None], *, limit_s: float = 60) -> T:
    """Call `look` in a thread until it returns a true value, and return that.

    Raises:
        trio.TooSlowError: it returned only false values for `limit_s` seconds.
    """
    with trio.fail_after(limit_s):
        while not (found := await trio.to_thread.run_sync(look)):  # noqa: ASYNC110
            await trio.sleep(0.02)
    return found
