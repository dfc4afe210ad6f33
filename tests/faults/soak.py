"""A long run: a fleet uses the real server through the proxy, with restarts of server and database.

It consists of rounds of some minutes. In each the fleet runs with faults, then without, and everybody has to
find a partner; then all leave, and the auditor checks their transcripts and rows. The server runs through all
rounds, except for the restarts that the seed draws. The soak prints the server's memory and descriptors once
a second, but does not judge them.

`test_flat.py` checks that memory and descriptors stay flat over twenty thousand encounters. It uses a faster
client, because the people of the fleet wait most of the time.
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
from tests.faults.fleet import HUMAN, Behaviour, Fleet, running_fleet, seen
from tests.faults.postgres import Postgres, terminate_writers
from tests.faults.proxy import plans
from tests.faults.server_under_test import PATIENT_S, ServerUnderTest, a_server_under_test
from tests.promises.evidence import Evidence
from tests.promises.transcript import Transcript

ROUND_S = 300.0
"""The longest duration of a round; transcripts are kept in memory for that time."""

AWAY_S = (0.5, 6.0)
"""The range of the time in seconds for which the database is down."""

WAYS = ((3, HUMAN), (25, Behaviour(leave=0.01, stay_away=0.5)))
"""The server's grace in seconds, and people's behaviour. With the shorter grace many people are lost; with
the longer one their partners have time to be told that they are away.
"""

STORY_ENTRIES = 60
"""The number of transcript lines printed for each person whom a violation names."""

Say = Callable[[str], None]

in_thread = trio.to_thread.run_sync


class Soak:
    """One run of `seconds` with `people`; all random choices come from `seed`. `say` gets every line.

    `peace_s`: the range of the time in seconds between two restarts.
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
        """Make the run. Returns the number of violations."""
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
        """Cause one disturbance that the seed draws, and wait for its end."""
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
                await trio.sleep(1)  # by then the database holds what people have been told
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
    """Resident bytes and open descriptors of a process; None if it has just ended."""
    try:
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return resident, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def story(evidence: Evidence, found: list[str]) -> Iterator[str]:
    """The violations, and what the people whom the first one names saw."""
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
    """The lines of a transcript about these sessions; without sessions, its last lines."""
    entries = transcript.entries
    if sessions:
        entries = [entry for entry in entries if entry.frame.get("session", sessions[0]) in sessions]
    return [f"  {entry}" for entry in entries[-STORY_ENTRIES:]]
