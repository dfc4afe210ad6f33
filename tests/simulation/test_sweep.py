"""Small halls in which one thing goes wrong, at every single moment at which it can.

Each scene of `scripts.py` is played again for each of its moments: every person cancelled where they wait and
with a message waiting, crashed on a message, cut off wherever the server waits for their connection; the
matcher crashed wherever it waits, before and after its pool changes; the ledger wherever it waits, before and
after its store has written; the hall closed, with and without handing over, in every turn of anybody. All
checkers hold each time, and when it is over everybody finds a partner.
"""

from __future__ import annotations

import pytest

from tests.simulation.scripts import SCENES
from tests.simulation.sweep import how_to_repeat, play, sweep, who

LEAST = 1400
"""How many moments there are in all scenes together, at least: a sweep that sweeps nothing must not pass."""


def test_there_is_enough_to_sweep() -> None:
    assert sum(sum(play(scene).places.values()) for scene in SCENES) >= LEAST


@pytest.mark.parametrize(("scene", "whom"), [(scene, whom) for scene in SCENES for whom in who(scene)])
def test_whatever_goes_wrong_with(scene: str, whom: str) -> None:
    moments = 0
    for strike, report in sweep(scene, whom):
        assert report.violations == [], how_to_repeat(scene, strike)
        assert report.struck is (strike is not None)
        moments += report.struck
    assert moments >= 5
