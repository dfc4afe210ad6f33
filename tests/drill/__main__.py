"""The drill: ``python -m tests.drill`` (`make drill`).

    python -m tests.drill                       every attack, with 200 people in calls
    python -m tests.drill --short               a few seconds each, with fewer attackers
    python -m tests.drill --only pings vanish

The drill starts servers and attacks them with one process after another, while people talk to each other. It
prints a line for each attack with its effects on them. The exit code is 1 if an attack exceeded the limits:
see `verdict`.

A busy machine also delays messages and newcomers. The kernel reports how long the server waited for a core;
the drill multiplies the limits of delays by the resulting slowdown. If that is more than three, it cannot
judge delays, and prints so. If delays were too long or could not be judged, or memory was not freed, the
drill repeats the attack, up to three times in all, and the last result counts: a real problem occurs every
time, while memory that the allocator holds in fragments is reused by the next attack. All other harm fails at
once.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import trio

from crowd.server_watch import Usage, usage
from tests.drill.attacks import ATTACKS
from tests.drill.core_time import core_time
from tests.drill.grounds import by_ground
from tests.drill.people import Experience, People
from tests.drill.target import Target
from tests.drill.verdict import HEADINGS, KEPT_MAX_BYTES, Noticed, Pace, row
from tests.support.server import Server
from web.server import open_files

ROOT = Path(__file__).parent.parent.parent
TRIES = 3
REST_LIMIT_S = 40.0
"""The time within which memory has to be freed."""
LOOK_S = 0.25


class Drill:
    """One server, its people, and the duration and size of each attack."""

    def __init__(self, server: Server, people: int, seconds: float, size: int) -> None:
        host, _, port = server.address.removeprefix("http://").rpartition(":")
        self._target = Target(host, int(port))
        self._pid = server.process.pid
        self._people = People(self._target, people)
        self._seconds = seconds
        self._size = size

    async def run(self, names: list[str]) -> list[str]:
        """Make each attack in turn; returns the violations."""
        wrong: list[str] = []
        async with trio.open_nursery() as nursery:
            await nursery.start(self._people.run)
            for name in names:
                noticed = await self._attacked(name)
                say(row(noticed))
                for what in noticed.wrongs():
                    say(f"    WRONG: {what}")
                    wrong.append(f"{name}: {what}")
                for what in noticed.untold():
                    say(f"    NOT TOLD, the machine is too busy with other programs: {what}")
                say(
                    f"    the attack: {noticed.done}; the server was busy for {noticed.busy:.0%} of it,"
                    f" and slower {noticed.stretch:.1f} times because of other programs"
                )
            nursery.cancel_scope.cancel()
        return wrong

    async def _attacked(self, name: str) -> Noticed:
        for _ in range(TRIES):
            noticed = await self._once(name)
            if noticed.harm() or not (noticed.kept() or noticed.late()):
                break
        return noticed

    async def _once(self, name: str) -> Noticed:
        quiet = await self._quiet()
        at_first = self._usage()
        before, began, core = at_first.rss_bytes, trio.current_time(), core_time(self._pid)
        during = self._people.new_phase()
        most = [before]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_memory, most)
            nursery.start_soon(self._people.newcomers)
            report = await self._attack(name)
            nursery.cancel_scope.cancel()
        busy = (self._usage().cpu_s - at_first.cpu_s) / (trio.current_time() - began)
        stretch = core_time(self._pid).stretch_since(core)
        # What happens after this line does not count for this attack.
        self._people.new_phase()
        after = await self._memory_at_rest(before)
        return Noticed(
            attack=name,
            quiet=quiet,
            during=pace(during),
            lost=during.lost,
            came=during.came,
            let_in=during.let_in,
            met=during.met,
            memory_before=before,
            memory_most=max(most),
            memory_after=after,
            harmed=report["harmed"],
            done=report["done"],
            busy=busy,
            stretch=stretch,
        )

    async def _quiet(self) -> Pace:
        """Measure the delays without an attack."""
        quiet = self._people.new_phase()
        with trio.move_on_after(self._seconds):
            await self._people.newcomers()
        return pace(quiet)

    async def _attack(self, name: str) -> dict[str, dict[str, int]]:
        """Run the attack in a separate process; returns its report."""
        arguments = [name, self._target.authority, str(self._seconds), str(self._size)]
        command = [sys.executable, "-m", "tests.drill.attacks", *arguments]
        ended = await trio.run_process(command, capture_stdout=True, cwd=ROOT)
        report: dict[str, dict[str, int]] = json.loads(ended.stdout)
        return report

    def _usage(self) -> Usage:
        used = usage(self._pid)
        assert used is not None, "the server has gone"
        return used

    async def _watch_memory(self, seen: list[int]) -> None:
        while True:
            await trio.sleep(LOOK_S)
            seen.append(self._usage().rss_bytes)

    async def _memory_at_rest(self, before: int) -> int:
        """The memory after the attack: the first that is low enough, or the last within the limit."""
        with trio.move_on_after(REST_LIMIT_S):
            while True:
                await trio.sleep(LOOK_S)
                if self._usage().rss_bytes <= before + KEPT_MAX_BYTES // 2:
                    break
        return self._usage().rss_bytes


def pace(noticed: Experience) -> Pace:
    """The delays of a phase."""
    return Pace(
        noticed.delay_ms(0.5), noticed.delay_ms(0.99), noticed.welcome_ms(0.5), noticed.welcome_ms(0.9)
    )


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=200, help="people in calls (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=15.0, help="duration of each attack (default: %(default)s)"
    )
    parser.add_argument("--size", type=int, default=20, help="sockets of each attack (default: %(default)s)")
    parser.add_argument("--short", action="store_true", help="4 s an attack, 60 people, 8 sockets")
    parser.add_argument("--only", nargs="*", choices=ATTACKS, default=list(ATTACKS), help="these attacks")
    given = parser.parse_args()
    people, seconds, size = (60, 4.0, 8) if given.short else (given.people, given.seconds, given.size)
    open_files.allow()
    for heading in HEADINGS:
        say(heading)
    wrong: list[str] = []
    for ground, names in by_ground(given.only):
        with ground.server() as server:
            drill = Drill(server, min(people, ground.people_max), seconds, size)
            wrong += trio.run(drill.run, names)
    say(f"{len(given.only)} attacks, {len(wrong)} wrongs" + "".join(f"\n  {what}" for what in wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
