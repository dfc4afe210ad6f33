"""The soak: ``python -m tests.faults`` (`make soak`).

    python -m tests.faults --minutes 30 --people 200 --seed 7

Each line begins with the elapsed seconds. The exit code is 1 if the auditor found a violation; the last lines
show the violations, and what the people concerned saw.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

import trio

from tests.faults.postgres import a_postgres
from tests.faults.soak import Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="duration (default: %(default)s)")
    parser.add_argument("--people", type=int, default=60, help="people at a time (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the run (default: %(default)s)")
    given = parser.parse_args()
    soak = Soak(given.people, 60 * given.minutes, given.seed, partial(print, flush=True))
    with a_postgres() as postgres:
        return int(trio.run(soak.run, postgres) > 0)


if __name__ == "__main__":
    sys.exit(main())
