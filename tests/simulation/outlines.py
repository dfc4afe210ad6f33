"""What some seeds lead to, kept in a file: the same on every machine, and on every version of Python.

An outline is a digest of everybody's moves: who went from which state to which, when, why, in which session.
Words of frames, of the journal and of the story are not in it. It changes whenever the people in here or the
product behave otherwise, and is then written anew.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.simulation.world import run

FILE = Path(__file__).parent / "outlines.json"
SEEDS = range(8)
HOW_TO_RENEW = (
    "If people or the product are meant to behave otherwise now: python -m tests.simulation --renew. "
    "If nothing was changed, this machine or this Python does something else with the same seed."
)


def kept() -> dict[int, str]:
    """The outline of each seed, as it was when the file was written."""
    return {int(seed): outline for seed, outline in json.loads(FILE.read_text()).items()}


def renew() -> None:
    """Write the file anew."""
    FILE.write_text(json.dumps({str(seed): run(seed).outline for seed in SEEDS}, indent=2) + "\n")
