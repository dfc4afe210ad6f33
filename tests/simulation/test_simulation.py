"""Plays seeds of the simulator, checks that a seed is repeatable, and that the oracle finds planted bugs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.outlines import HOW_TO_RENEW, kept
from tests.simulation.outlines import SEEDS as OUTLINED
from tests.simulation.plants import PLANTS
from tests.simulation.report import Place, Strike
from tests.simulation.seeds import FIXED, SPACE, first_of
from tests.simulation.sweep import find, play
from tests.simulation.world import run

ROOT = Path(__file__).parent.parent.parent
PORTION = 20
CORPUS = json.loads((Path(__file__).parent / "corpus.json").read_text())
"""Seeds and faults in scenes that once failed, each with the reason."""

SEEDS_FOR_A_PLANT = 60
"""The number of seeds within which every planted bug is found; the first finds most."""


@pytest.mark.parametrize("first", range(0, FIXED, PORTION))
def test_seeds(first: int) -> None:
    for seed in range(first, first + PORTION):
        assert run(seed).violations == [], f"python -m tests.simulation --seed {seed} --story"


@given(st.binary(min_size=20, max_size=32))
def test_a_commit_has_seeds_of_its_own(commit: bytes) -> None:
    """They are not the fixed ones, are the same each time, and differ for the next commit."""
    first = first_of(commit.hex())
    assert FIXED <= first < FIXED + SPACE
    assert first == first_of(commit.hex())
    following = (int.from_bytes(commit, "big") + 1) % 256 ** len(commit)
    assert first != first_of(following.to_bytes(len(commit), "big").hex())


def test_the_seeds_of_a_commit_can_be_repeated() -> None:
    """The command that repeats them is printed, also if they pass."""
    commit = "8f14e45fceea167a5a36dedd4bea2543" + "0" * 8
    command = [
        sys.executable,
        "-m",
        "tests.simulation",
        "--from-commit",
        commit,
        "--seeds",
        "2",
        "--jobs",
        "1",
    ]
    played = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    first, result = played.stdout.splitlines()
    assert first == f'to repeat it: make sim ARGS="--first {first_of(commit)} --seeds 2"'
    assert result.startswith("2 seeds, 0 failed")


@pytest.mark.parametrize("entry", CORPUS, ids=lambda entry: entry["was"])
def test_what_once_failed(entry: dict[str, Any]) -> None:
    if "seed" in entry:
        report = run(entry["seed"])
    else:
        who, what, turn = entry["strike"]
        report = play(entry["scene"], Strike(Place(who, what), turn))
        assert report.struck
    assert report.violations == []


@pytest.mark.parametrize("seed", OUTLINED)
def test_the_same_seed_leads_to_the_same_as_elsewhere(seed: int) -> None:
    assert run(seed).outline == kept()[seed], HOW_TO_RENEW


@pytest.mark.parametrize("seed", [3, 12])
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    first, again = run(seed), run(seed)
    assert first.trace == again.trace
    assert first.digest == again.digest
    assert len(first.trace) > 100


@pytest.mark.parametrize("seed", [5, 31])
def test_the_same_seed_is_the_same_run_in_another_process(seed: int) -> None:
    """There objects have other addresses and strings other hashes, as on another machine."""
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
