"""A fleet of people whose networks fail in every way, against the real server: nobody stuck, nothing lost."""

from __future__ import annotations

import pytest
import trio

from tests.faults.fleet import at_sea, seen
from tests.faults.house import PATIENT_S, a_house
from tests.faults.proxy import plans

PEOPLE = 48
STORM_S = 7.0


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_a_fleet_in_a_storm(database: str, seed: int) -> None:
    async with a_house(database, plan_of=plans(seed)) as house:
        fleet = house.fleet(seed)
        async with at_sea(fleet, PEOPLE):
            await trio.sleep(STORM_S)
            house.proxy.soothe()
            fleet.quiet.set()
            with trio.fail_after(PATIENT_S):
                while not fleet.settled(PEOPLE):  # noqa: ASYNC110
                    await trio.sleep(0.1)
        await house.audited(*fleet.transcripts)
    counts = seen(fleet.transcripts)
    for kind in ("searching", "connecting", "connected", "ended", "signal", "chat", "partner", "resumed"):
        assert counts[kind] > 0, f"the storm was too tame: {counts}"
