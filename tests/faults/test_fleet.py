"""A fleet on networks with all kinds of faults uses the real server: nobody is stuck, and nothing is lost."""

from __future__ import annotations

import pytest
import trio

from tests.faults.fleet import running_fleet, seen
from tests.faults.proxy import plans
from tests.faults.server_under_test import PATIENT_S, a_server_under_test

PEOPLE = 48
STORM_S = 7.0


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_fleet_in_a_storm(database: str, seed: int) -> None:
    async with a_server_under_test(database, plan_of=plans(seed)) as tested:
        fleet = tested.fleet(seed)
        async with running_fleet(fleet, PEOPLE):
            await trio.sleep(STORM_S)
            tested.proxy.stop_faults()
            fleet.quiet.set()
            with trio.fail_after(PATIENT_S):
                while not fleet.settled(PEOPLE):  # noqa: ASYNC110
                    await trio.sleep(0.1)
        await tested.audited(*fleet.transcripts)
    counts = seen(fleet.transcripts)
    for kind in ("searching", "connecting", "connected", "ended", "signal", "chat", "partner", "resumed"):
        assert counts[kind] > 0, f"the storm was too tame: {counts}"
