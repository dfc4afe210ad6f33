"""Seeds of the simulator in every test run; that a seed repeats; and that the oracle notices planted bugs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.plants import PLANTS
from tests.simulation.world import find, run

ROOT = Path(__file__).parent.parent.parent
SEEDS = 200
PORTION = 20
CORPUS = json.loads((Path(__file__).parent / "corpus.json").read_text())
"""Seeds that once failed, each with what was wrong."""

SEEDS_FOR_A_PLANT = 60
"""Within how many seeds every planted bug is found; most are found by the first."""


@pytest.mark.parametrize("first", range(0, SEEDS, PORTION))
def test_seeds(first: int) -> None:
    for seed in range(first, first + PORTION):
        assert run(seed).violations == [], f"python -m tests.simulation --seed {seed} --story"


@pytest.mark.parametrize("seed", [entry["seed"] for entry in CORPUS])
def test_seeds_that_once_failed(seed: int) -> None:
    assert run(seed).violations == [], f"python -m tests.simulation --seed {seed} --story"


@pytest.mark.parametrize("seed", [3, 12])
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    first, again = run(seed), run(seed)
    assert first.trace == again.trace
    assert first.digest == again.digest
    assert len(first.trace) > 100


@pytest.mark.parametrize("seed", [5, 31])
def test_the_same_seed_is_the_same_run_in_another_process(seed: int) -> None:
    """With other addresses and other hashes, as on another machine."""
    digests = set()
    for hash_seed in ("1", "2"):
        command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed)]
        told = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        )
        digests.add(told.stdout.partition(",")[0])
    assert digests == {f"seed {seed}: trace {run(seed).digest}"}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_bug_is_found(plant: str) -> None:
    found = find(plant, SEEDS_FOR_A_PLANT)
    assert found is not None, f"{plant} was not found in {SEEDS_FOR_A_PLANT} seeds"
