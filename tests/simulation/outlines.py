"""The outlines of some seeds, stored in a file: the same on every machine and version of Python.

An outline is a digest of all changes of state: person, old and new state, time, cause and session. It does
not contain the texts of frames, of the journal and of the story. If the simulated people or the product
behave differently, the outlines change and have to be rewritten.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.simulation.world import run

FILE = Path(__file__).parent / "outlines.json"
SEEDS = range(8)
HOW_TO_RENEW = (
    "If you changed the behaviour of people or product on purpose: python -m tests.simulation --renew. "
    "If you changed nothing, the same seed leads to another run on this machine or with this Python."
)


def kept() -> dict[int, str]:
    """The stored outline of each seed."""
    return {int(seed): outline for seed, outline in json.loads(FILE.read_text()).items()}


def renew() -> None:
    """Rewrite the file."""
    FILE.write_text(json.dumps({str(seed): run(seed).outline for seed in SEEDS}, indent=2) + "\n")
