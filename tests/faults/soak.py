"""A long run: a fleet through the proxy against the real server, with restarts of server and database.

It is made of watches of some minutes. In each the fleet sails through faults, then through a calm in which
everybody has to find somebody; then all leave, and the auditor looks at what they saw and at their rows. The
server stays the same from watch to watch, but for its restarts, which the seed draws like all the rest. Its
memory and descriptors are sampled once a second and told; what is to be made of them is not decided here.

Twenty thousand encounters in a row, with memory and descriptors held flat, are `test_flat.py`: they need a
faster client than the fleet, which spends most of its time being human.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import trio

from tests.faults.auditor import violations
from tests.faults.evidence import Evidence
from tests.faults.fleet import HUMAN, Behaviour, Fleet, running_fleet, seen
from tests.faults.postgres import Postgres, terminate_writers
from tests.faults.proxy import plans
from tests.faults.server_under_test import PATIENT_S, ServerUnderTest, a_server_under_test
from tests.faults.transcript import Transcript

ROUND_S = 300.0
"""How long people stay at most: their transcripts are kept that long."""

AWAY_S = (0.5, 6.0)
"""From and to: how long the database is away."""

WAYS = ((3, HUMAN), (25, Behaviour(leave=0.01, stay_away=0.5)))
"""The grace of the server in seconds, and how people are. With the shorter one many are lost; with the longer
one those who stay can be seen to be told of it.
"""

STORY_ENTRIES = 60
"""How much of a transcript is told of each person that a violation names."""

Say = Callable[[str], None]

in_thread = trio.to_thread.run_sync


class Soak:
    """One run of `seconds` with `people` and everything that `seed` draws. `say` is told every line.

    `peace_s`: from and to, how long nothing is restarted.
    """

    def __init__(
        self,
        people: int,
        seconds: float,
        seed: int,
        say: Say,
        peace_s: tuple[float, float] = (6.0, 20.0),
    ) -> None:
        self._people = people
        self._seconds = seconds
        self._seed = seed
        self._say = say
        self._peace_s = peace_s
        self._chance = random.Random(seed)
        self._began = time.monotonic()

    async def run(self, postgres: Postgres) -> int:
        """Everything. Returns how many violations there were."""
        database = await in_thread(postgres.new_database)
        found = 0
        grace_s, behaviour = self._chance.choice(WAYS)
        house_of_seed = a_server_under_test(database, plan_of=plans(self._seed), grace_s=grace_s)
        async with house_of_seed as tested, trio.open_nursery() as nursery:
            nursery.start_soon(self._sample, tested)
            end = time.monotonic() + self._seconds
            while (left_s := end - time.monotonic()) > 0 and not found:
                fleet = tested.fleet(self._chance.getrandbits(32), behaviour)
                found += await self._round(tested, fleet, postgres, min(ROUND_S, left_s))
            nursery.cancel_scope.cancel()
        self._tell(f"{found} violations; seed {self._seed}, {self._people} people")
        return found

    async def _round(self, tested: ServerUnderTest, fleet: Fleet, postgres: Postgres, seconds: float) -> int:
        tested.proxy.calm = False
        tested.kills.clear()
        async with running_fleet(fleet, self._people):
            end = time.monotonic() + seconds
            while (left_s := end - time.monotonic()) > 0:
                await trio.sleep(min(left_s, self._chance.uniform(*self._peace_s)))
                if time.monotonic() < end:
                    await self._trouble(tested, postgres)
            tested.proxy.stop_faults()
            fleet.quiet.set()
            has_settled = await self._settles(fleet)
        evidence = await tested.evidence(fleet.transcripts)
        found = violations(evidence)
        found += [f"crashed: {line}" for line in tested.warnings() if line["level"] == "error"]
        if not has_settled:
            found.append(f"NobodyWaits: not everybody found somebody within {PATIENT_S:g} s of calm")
        heard = ", ".join(f"{count} {kind}" for kind, count in seen(fleet.transcripts).most_common())
        self._tell(f"round over: {len(fleet.tabs)} people, {len(evidence.rows)} sessions; heard {heard}")
        for line in story(evidence, found) if found else ():
            self._say(line)
        return len(found)

    async def _settles(self, fleet: Fleet) -> bool:
        with trio.move_on_after(PATIENT_S):
            while not fleet.settled(self._people):  # noqa: ASYNC110
                await trio.sleep(0.2)
            return True
        return False

    async def _trouble(self, tested: ServerUnderTest, postgres: Postgres) -> None:
        """One thing that the seed draws, to its end."""
        away_s = self._chance.uniform(*AWAY_S)
        trouble = self._chance.choice(
            ("restart", "kill", "terminate", "stop", "crash", "freeze", "restart both")
        )
        self._tell(f"trouble: {trouble}, {away_s:.1f} s")
        match trouble:
            case "restart":
                await self._stop(tested)
                await tested.start()
            case "kill":
                await tested.ready()
                await trio.sleep(1)  # what is told now is written down within hundredths of a second
                await tested.kill()
                await tested.start()
            case "terminate":
                await in_thread(terminate_writers, tested.conninfo)
            case "freeze":
                await in_thread(postgres.freeze)
                await trio.sleep(away_s)
                await in_thread(postgres.thaw)
            case "stop" | "crash":
                await in_thread(postgres.stop, signal.SIGQUIT if trouble == "crash" else signal.SIGINT)
                await trio.sleep(away_s)
                await in_thread(postgres.start)
            case "restart both":
                await in_thread(postgres.stop)
                await trio.sleep(away_s)
                await self._stop(tested)
                await in_thread(postgres.start)
                await tested.start()

    async def _stop(self, tested: ServerUnderTest) -> None:
        if code := await tested.stop():
            raise RuntimeError(f"the server stopped with exit code {code}")

    async def _sample(self, tested: ServerUnderTest) -> None:
        while True:
            await trio.sleep(1)
            if (pid := tested.pid) is not None and (used := usage(pid)) is not None:
                resident, descriptors = used
                self._tell(f"{resident / 2**20:6.1f} MB  {descriptors:5d} descriptors")

    def _tell(self, what: str) -> None:
        self._say(f"{time.monotonic() - self._began:7.1f} s  {what}")


def usage(pid: int) -> tuple[int, int] | None:
    """Resident bytes and open descriptors of a process; None if it has just gone."""
    try:
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return resident, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def story(evidence: Evidence, found: list[str]) -> Iterator[str]:
    """What is wrong, and what those whom the first violation names saw of it."""
    yield from found
    sessions = [session for session in evidence.told if session in found[0]]
    for row in evidence.rows:
        if row.id in sessions:
            yield f"recorded: {row}"
    for transcript in evidence.transcripts:
        if transcript.person in found[0]:
            yield f"{transcript.person} {transcript.criteria}"
            yield from _about(transcript, sessions)


def _about(transcript: Transcript, sessions: list[str]) -> list[str]:
    """What a transcript says of these sessions; without any, how it ends."""
    entries = transcript.entries
    if sessions:
        entries = [entry for entry in entries if entry.frame.get("session", sessions[0]) in sessions]
    return [f"  {entry}" for entry in entries[-STORY_ENTRIES:]]
