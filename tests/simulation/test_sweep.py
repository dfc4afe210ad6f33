"""Plays small scenes with one fault, at every moment at which it can occur.

Each scene of `scripts.py` is played again for each of its moments: a person is cancelled while waiting and
with a message waiting, crashes on a message, or loses the connection wherever the server reads or writes; the
matcher crashes wherever it waits, and before and after its pool changes; the ledger wherever it waits, and
before and after its store has written; the hall closes, with and without handing over, in every actor's turn.
All checkers must hold each time, and afterwards everybody must find a partner.
"""

from __future__ import annotations

import pytest

from tests.simulation.scripts import SCENES
from tests.simulation.sweep import how_to_repeat, play, sweep, who

LEAST = 2700
"""The least number of moments in all scenes together, so that an empty sweep fails."""


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
