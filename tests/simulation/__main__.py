"""Runs seeds: ``python -m tests.simulation`` (`make sim`).

    python -m tests.simulation --seeds 1000 --minutes 5     so many seeds, for at most so long
    python -m tests.simulation --from-commit 1f2e3d         the seeds of a commit
    python -m tests.simulation --seed 4711                  one seed: its violations
    python -m tests.simulation --seed 4711 --story          and every event in order
    python -m tests.simulation --seed 4711 --story --about P2 s17
    python -m tests.simulation --scene "a call, and a skip" --strike "Ada" "crashes on a message" 3 --story
    python -m tests.simulation --plants                     what finds each planted bug, and how soon
    python -m tests.simulation --renew                      rewrite the outlines of some seeds (`outlines.py`)

It prints one line for each failure, with the command that repeats it. The exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import count

from tests.simulation.outlines import renew
from tests.simulation.plants import PLANTS
from tests.simulation.report import Place, Report, Strike
from tests.simulation.scripts import SCENES
from tests.simulation.seeds import first_of
from tests.simulation.sweep import find, play
from tests.simulation.world import run

BAR = 30
SEEDS_A_LINE = 500


def main() -> int:
    given = _arguments()
    if given.renew:
        renew()
        return 0
    if given.plants:
        return _plants(given)
    if given.scene is not None:
        return _scene(given)
    if given.seed is not None:
        return _one(run(given.seed), given)
    if given.from_commit is not None:
        given.first = first_of(given.from_commit)
        print(f'to repeat it: make sim ARGS="--first {given.first} --seeds {given.seeds}"', flush=True)
    return _many(given)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=200, help="number of seeds (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument(
        "--from-commit", metavar="HASH", help="derive the first seed from the hash of a commit, and print it"
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="time limit (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="run this one seed")
    parser.add_argument("--scene", choices=SCENES, metavar="NAME", help="play this one scene")
    parser.add_argument(
        "--strike",
        nargs=3,
        metavar=("WHO", "WHAT", "TURN"),
        help="the fault to inject in the scene, and at which occurrence",
    )
    parser.add_argument("--plants", action="store_true", help="plant each bug, and print which seed finds it")
    parser.add_argument(
        "--renew", action="store_true", help="rewrite outlines.json, the outlines of some seeds"
    )
    parser.add_argument("--story", action="store_true", help="print every event of the run")
    parser.add_argument(
        "--about", nargs="*", default=[], help="print only events of these people or sessions"
    )
    given = parser.parse_args()
    if given.from_commit is not None and not re.fullmatch("[0-9a-f]{6,64}", given.from_commit):
        parser.error("--from-commit needs the hash of a commit, in hexadecimal")
    if given.strike and not (given.scene and given.strike[2].isdecimal()):
        parser.error("--strike needs a --scene, and a number as its third value: at which occurrence")
    return given


def _scene(given: argparse.Namespace) -> int:
    """Play one scene, perhaps with one fault."""
    if given.strike is None:
        return _one(play(given.scene), given)
    who, what, turn = given.strike
    report = play(given.scene, Strike(Place(who, what), int(turn)))
    if not report.struck:
        print(f"{who} {what} {turn} times: that does not happen in this scene. What does, and how often:")
        for place, turns in sorted(report.places.items()):
            print(f'  "{place.who}" "{place.what}" {turns}')
        return 2
    return _one(report, given)


def _one(report: Report, given: argparse.Namespace) -> int:
    if given.story:
        print(report.story(given.about))
    print(f"seed {report.seed}: trace {report.digest}, {dict(report.seen)}")
    for violation in report.violations:
        print(f"  {violation}")
    return int(bool(report.violations))


def _plants(given: argparse.Namespace) -> int:
    """Print how many seeds it takes to find each planted bug."""
    missed = 0
    for plant in PLANTS:
        found = find(plant, given.seeds)
        if found is None:
            missed += 1
            print(f"{plant}: not found in {given.seeds} seeds")
        else:
            where, report = found
            print(f"{plant}: found by {where}: {report.found[0]}", flush=True)
    print(f"{len(PLANTS) - missed} of {len(PLANTS)} planted bugs found")
    return int(missed > 0)


def _many(given: argparse.Namespace) -> int:
    began, failed, seen, done = time.monotonic(), 0, Counter[str](), 0
    deadline = began + 60 * given.minutes
    with ProcessPoolExecutor(given.jobs) as pool:
        waiting = (pool.submit(run, seed) for seed in count(given.first))
        under_way = [next(waiting) for _ in range(min(given.seeds, 4 * given.jobs))]
        started = len(under_way)
        while under_way:
            report = under_way.pop(0).result()
            done += 1
            seen += report.seen
            if report.violations:
                failed += 1
                _wipe()
                print(f"seed {report.seed}: {report.violations[0]}")
                print(f"  python -m tests.simulation --seed {report.seed} --story")
            _progress(done, given.seeds, time.monotonic() - began)
            if started < given.seeds and time.monotonic() < deadline:
                under_way.append(next(waiting))
                started += 1
    _wipe()
    elapsed_s = time.monotonic() - began
    print(f"{done} seeds, {failed} failed, {60 * done / elapsed_s:.0f} a minute; frames seen: {dict(seen)}")
    return int(failed > 0)


def _progress(done: int, seeds: int, elapsed_s: float) -> None:
    """Show a bar on a terminal, and a line now and then elsewhere."""
    so_far = f"{done}/{seeds}, {60 * done / elapsed_s:.0f} a minute"
    if sys.stderr.isatty():
        filled = BAR * done // seeds
        sys.stderr.write(f"\r[{'#' * filled}{'.' * (BAR - filled)}] {so_far} ")
        sys.stderr.flush()
    elif done % SEEDS_A_LINE == 0:
        print(so_far, file=sys.stderr, flush=True)


def _wipe() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


if __name__ == "__main__":
    sys.exit(main())
