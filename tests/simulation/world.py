"""Whole halls of people, simulated from a seed, against faults, under the eyes of an oracle.

`run(seed)` is one run; its `Report` has the violations and the story. Everything that decides is real: user,
matcher and ledger actors, the protocol's types, and the session logic at the socket's edge (`web.socket`).
What is substituted are bytes (`network`), the clock (trio's `MockClock`), ids and chance, and SQL (`store`).
Scheduling is seeded too, so the same seed is the same run, step by step, on every machine.

    world.py      one run: the hall, its people, the faults, the checkers
    people.py     what simulated people do
    network.py    connections that delay, stall, break and go silent
    store.py      a store that is slow, down, or fails after it has committed
    faults.py     what goes wrong, and when: drawn by the seed
    seams.py      where the oracle looks on, and where crashes are planned
    checkers.py   the oracle: one small object for each thing that must hold
    plants.py     bugs to plant, so that the oracle is known to notice them
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
from trio.testing import MockClock

from actors import Mailbox
from actors.testing import Lines
from studymatch.hall import Chance, Hall, open_hall
from studymatch.handover import Memento
from studymatch.ledger import Ledger, Pace
from studymatch.lifecycle import SessionCause
from studymatch.messages import Person, Seeker
from studymatch.pool import Pool
from studymatch.records import LedgerMessage, Node, SessionEnded, SessionMatched
from studymatch.settings import Settings
from studymatch.stage import Stage
from studymatch.user import User
from tests.simulation.checkers import ALL, Checker
from tests.simulation.faults import Countdown, Plan, PlannedError
from tests.simulation.network import Frame, Wire
from tests.simulation.people import Human, Page
from tests.simulation.plants import PLANTS
from tests.simulation.seams import watching
from tests.simulation.store import SimulatedStore
from web.socket import Reception

CALM_S = 120.0
"""How long people may take to find each other once the faults have stopped.

The longest way: a connection that went silent (62.5 s), its grace (15 s), a match that does not become a call
(15 s), and being kept apart (5 s).
"""

PAST_MAX = 20
"""Violations kept of one run; more say nothing more."""


@dataclass
class Report:
    """What came of a seed."""

    seed: int
    violations: list[str]
    trace: list[str]
    seen: Counter[str]

    @property
    def digest(self) -> str:
        """Two runs with the same digest were the same."""
        return hashlib.sha256("\n".join(self.trace).encode()).hexdigest()[:16]

    def story(self, about: Sequence[str] = ()) -> str:
        """The trace, or what of it concerns some people or sessions."""
        return "\n".join(line for line in self.trace if not about or any(it in line for it in about))


class WatchedLines(Lines):
    """The journal of the run, told into its story."""

    def __init__(self, story: Callable[[str], None]) -> None:
        super().__init__()
        self._story = story

    def append(self, line: dict[str, Any]) -> None:
        super().append(line)
        left_out = ("level", "file")  # the name of a temporary file is never the same
        said = " ".join(
            f"{name.rstrip('_')}={value}"
            for name, value in line.items()
            if value is not None and name not in left_out
        )
        self._story(said)


class WatchedMailbox(Mailbox[LedgerMessage]):
    """The ledger's mailbox; the oracle sees what it is told."""

    __slots__ = ("_heard",)

    def __init__(self, heard: Callable[[LedgerMessage], None]) -> None:
        super().__init__()
        self._heard = heard

    def tell(self, message: LedgerMessage) -> bool:
        taken = super().tell(message)
        if taken:
            self._heard(message)
        return taken


def clock_that_tells(at_rest: Callable[[], None]) -> MockClock:
    """Trio's jumping clock, which tells somebody whenever everybody waits and time is about to pass."""
    clock = MockClock(autojump_threshold=0)
    jump = clock._autojump

    def tell_and_jump() -> None:
        at_rest()
        jump()

    clock._autojump = tell_and_jump  # type: ignore[method-assign]
    return clock


class World(trio.abc.Instrument):
    """Everything there is in one run."""

    def __init__(self, seed: int, plan: Plan | None, checkers: Sequence[type[Checker]]) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.plan = plan or Plan.draw(self.chance)
        self.settings = Settings()
        self.clock = clock_that_tells(self._rest)
        self.trace: list[str] = []
        self.lines = WatchedLines(self.story)
        self.violations: list[str] = []
        self.seen: Counter[str] = Counter()
        self.quiet = False
        self.over = False
        self.before: Counter[str] = Counter()
        # What the oracle looks at
        self.pages: list[Page] = []
        self.pairs: list[tuple[Seeker, Seeker]] = []
        self.pool: Pool[Seeker] | None = None
        self.matched: dict[str, tuple[str, str]] = {}
        self.ends: Counter[str] = Counter()
        self.accepted: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._wires: dict[str, Wire] = {}
        self._numbers = count(1)
        self._ids = count(1)
        self._tokens: dict[str, Person] = {}
        self._hall: Hall | None = None
        self._reception: Reception | None = None
        self._nursery: trio.Nursery | None = None
        self._user_crash = Countdown(self.plan.user_crashes)
        self._user_cancel = Countdown(self.plan.user_cancels)
        self._matcher_crashes = dict(self.plan.matcher_crashes)
        self._matcher_turns = 0
        self._shutdown_at = self.plan.shutdown_at
        self._left: tuple[Memento, ...] = ()
        self.store = SimulatedStore()
        self._checkers = [checker(self) for checker in checkers]

    # For the oracle

    def violation(self, what: str) -> None:
        told = f"[{self.clock.current_time():.3f}] {what}"
        if len(self.violations) < PAST_MAX:
            self.violations.append(told)
            self.trace.append("VIOLATION " + told)

    def story(self, event: str, *, quietly: bool = False) -> None:
        self.trace.append(f"{self.clock.current_time():.4f} {event}")

    def users(self) -> dict[str, User]:
        return {} if self._hall is None else self._hall._users

    def wire_of(self, person: str) -> Wire | None:
        return self._wires.get(person)

    def is_trying(self, person: str) -> bool:
        """Whether there is a page that is well, and does what it can to get this person into a call."""
        wire = self._wires.get(person)
        return wire is not None and wire.well

    def page_told(self, page: Page, wire: Wire, frame: Frame) -> None:
        self.seen[frame["type"] if frame["type"] != "state" else frame["state"]] += 1
        for checker in self._checkers:
            checker.told(page, wire, frame)

    def before_task_step(self, task: trio.lowlevel.Task) -> None: ...

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.pairs = [pair for pair in self.pairs if pair[0].door._links or pair[1].door._links]
        for checker in self._checkers:
            checker.step()

    def _rest(self) -> None:
        for checker in self._checkers:
            checker.rest()

    # For the people

    def new_page(self, name: str) -> Page:
        number = next(self._ids)
        person = Person(f"{name}-{number}", name)
        page = Page(person, f"token of {person.id}")
        self._tokens[page.token] = person
        self.pages.append(page)
        return page

    def connect(self) -> Wire:
        wire = Wire(next(self._numbers), self.plan.delay_s * self.chance.random(), self._sent)
        assert self._nursery is not None
        self._nursery.start_soon(self._converse, wire)
        return wire

    def second_tab(self, page: Page) -> None:
        assert self._nursery is not None
        self.story(f"{page.person.name} opens a second tab")
        self._nursery.start_soon(self._second_tab, page)

    async def _second_tab(self, first: Page) -> None:
        page = Page(first.person, first.token)
        self.pages.append(page)
        human = Human(self, 0)
        human.name = f"{first.person.name}'s second tab"
        await human.use(page)

    async def _converse(self, wire: Wire) -> None:
        with suppress(PlannedError), wire.scope:
            if self._reception is not None:
                await self._reception.converse(wire)
        wire.conversation_over()

    # The run

    async def main(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_open)
            nursery.start_soon(self._fail)
            async with trio.open_nursery() as people:
                self._nursery = people
                for number in range(self.plan.people):
                    people.start_soon(Human(self, number + 1).live)
                await trio.sleep(self.plan.duration_s)
                self.story("the faults stop")
                self.quiet = True
                self.store.down, self.store.slow_s = False, 0.0
                await trio.sleep(CALM_S)
                for checker in self._checkers:
                    checker.calm()
                self.story("everybody leaves")
                self.over = True
                await trio.sleep(4 * self.settings.heartbeat_s)
                people.cancel_scope.cancel()
            await trio.sleep(2 * self.settings.grace_s)
            if self.users():
                self.violation(f"World: {list(self.users())} are still here")
            nursery.cancel_scope.cancel()

    def check_the_end(self) -> None:
        for checker in self._checkers:
            checker.end()

    async def _keep_open(self) -> None:
        """One hall after another: the plan may shut one down in the middle."""
        with TemporaryDirectory() as folder:
            while True:
                try:
                    await self._one_hall(Path(folder))
                finally:
                    self._hall = self._reception = self.pool = None

    async def _one_hall(self, folder: Path) -> None:
        mailbox = WatchedMailbox(self._heard)
        node = Node(f"node {next(self._ids)}", "simulated")
        ledger = Ledger(
            mailbox,
            self.store,
            node,
            folder / "unwritten.jsonl",
            self.lines.journal("ledger"),
            pace=Pace(memory_max=10**9),
            wall_clock=trio.current_time,
        )
        chance = Chance(new_id=lambda: f"s{next(self._ids)}", new_key=lambda: f"key {next(self._ids)}")
        async with open_hall(self.settings, ledger, chance=chance, journal_for=self.lines.journal) as hall:
            self._hall = hall
            self._reception = Reception(hall, self._tokens.get, self.settings)
            hall.restore(self._left, away_s=0.0)
            self._left = ()
            at, self._shutdown_at = self._shutdown_at, None
            if at is None:
                await trio.sleep_forever()
            await trio.sleep_until(at)
            self.story("the server restarts")
            self._left = hall.hand_over()
            await self._reception.deserted()

    async def _fail(self) -> None:
        """Outages of the database, and jumps of the clock, when the plan has them."""
        moments = [(at, "jump", by) for at, by in self.plan.jumps]
        for at, lasts_s, kind in self.plan.outages:
            moments += [(at, kind, lasts_s), (min(at + lasts_s, self.plan.duration_s), "mend", 0.0)]
        for at, kind, much in sorted(moments):
            await trio.sleep_until(at)
            self.story(f"fault: {kind} {much:.1f}")
            match kind:
                case "jump":
                    self.clock.jump(much)
                case "down":
                    self.store.down = True
                case "slow":
                    self.store.slow_s = much
                case "after_commit":
                    self.store.fails_after_commit += 1
                case "crash":
                    self.store.crashes += 1
                case "mend":
                    self.store.down, self.store.slow_s = False, 0.0

    def _heard(self, record: LedgerMessage) -> None:
        if isinstance(record, SessionMatched):
            self.matched[record.session] = (record.first, record.second)
        elif isinstance(record, SessionEnded) and record.cause is not SessionCause.RESTARTING:
            self.ends[record.session] += 1

    def _sent(self, wire: Wire, frame: Frame) -> None:
        if frame["type"] == "welcome":
            self._wires[frame["user"]["id"]] = wire

    # Called from the seams (`seams.watching`)

    def user_turn(self, stage: Stage) -> None:
        """A user has taken a message."""
        if self.quiet:
            return
        if self._user_crash.step():
            raise PlannedError("planned: a user crashes")
        if self._user_cancel.step():
            self.story(f"fault: {stage.person.id} is cancelled")
            stage.scope.cancel()

    def pool_turn(self, pool: Pool[Seeker], *, before: bool) -> None:
        """The matcher's pool is about to change, or has changed."""
        self.pool = pool
        if self.quiet:
            return
        self._matcher_turns += before
        if self._matcher_crashes.get(self._matcher_turns) is before:
            del self._matcher_crashes[self._matcher_turns]
            self.pool = None
            raise PlannedError("planned: the matcher crashes")


def run(seed: int, *, plan: Plan | None = None, checkers: Sequence[type[Checker]] = ALL) -> Report:
    """Run one seed, with its own plan or another."""
    world = World(seed, plan, checkers)
    with deterministic(seed), watching(world):
        trio.run(world.main, clock=world.clock, instruments=[world])
    world.check_the_end()
    return Report(seed, world.violations, world.trace, world.seen)


def find(plant: str, seeds: int) -> Report | None:
    """The first of so many seeds that notices a planted bug; None: none does."""
    for seed in range(seeds):
        with PLANTS[plant]():
            report = run(seed)
        if report.violations:
            return report
    return None


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Trio's scheduling drawn from the seed; these are trio's own hooks for that, if not public ones."""
    internals: Any = trio._core._run
    before = internals._ALLOW_DETERMINISTIC_SCHEDULING
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True
    internals._r.seed(seed)
    try:
        yield
    finally:
        internals._ALLOW_DETERMINISTIC_SCHEDULING = before
