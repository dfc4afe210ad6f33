"""Readiness: a hall whose matcher or ledger does not answer reports that it is not ready, and recovers.

`tests/faults/test_postgres.py` tests the same with a real process whose database is down. A test cannot make
the matcher or the ledger hang from outside, so these tests do it inside the process, on a jumping clock.
"""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from studymatch.matcher import Matcher
from studymatch.rules.records import Node
from tests.support.people import RememberingStore, a_hall


async def test_a_matcher_that_hangs_is_noticed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    serves, run = trio.Event(), Matcher.run

    async def hang(matcher: Matcher) -> None:
        await serves.wait()
        await run(matcher)

    monkeypatch.setattr(Matcher, "run", hang)
    async with a_hall() as building:
        assert await building.hall.not_ready_because() == "the matcher has not answered for 1 s"
        serves.set()
        assert await building.hall.not_ready_because() is None


async def test_a_ledger_that_hangs_is_noticed(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is noticed after three missed renewals of the lease at the latest."""
    answers, renew = trio.Event(), RememberingStore.renew_lease
    answers.set()

    async def hang(store: RememberingStore, node: Node, lease_s: float) -> None:
        await answers.wait()
        await renew(store, node, lease_s)

    monkeypatch.setattr(RememberingStore, "renew_lease", hang)
    async with a_hall() as building:
        await trio.sleep(1)
        assert await building.hall.not_ready_because() is None
        answers = trio.Event()
        await trio.sleep(16)
        assert "the database last answered" in str(await building.hall.not_ready_because())
        answers.set()
        await trio.sleep(1)
        assert await building.hall.not_ready_because() is None
