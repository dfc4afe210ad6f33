"""Simulates a whole hall of people from a seed, with faults, and checks it with an oracle.

`run(seed)` makes one run; its `Report` has the violations and the story. All code that decides is the
product's: actors, protocol, conversations, and the direct path of their frames (`web.server.direct`). The
simulator substitutes the kernel's sockets (`kernel`, `network`), the clock (trio's `MockClock`), ids, random
numbers and SQL (`store`). It seeds the scheduling, so a seed gives the same run on every machine.

    world.py        one run: the hall, its people, the faults, the checkers
    people.py       what simulated people do
    scripts.py      people who follow a script, and small scenes
    network.py      connections that delay, stall, break and go silent
    kernel.py       the sockets and the epoll under the product's poller
    store.py        a store that is slow, down, or fails after it has committed
    faults.py       which faults occur, and when: drawn from the seed
    trouble.py      injects them
    sweep.py        scenes, with one fault at each possible moment
    seeds.py        which seeds belong to a commit
    seams.py        patches through which the oracle observes and crashes happen
    recorder.py     writes the transcripts of the pages, and collects the evidence for the shared checks
    checkers.py     the oracle: the shared checks (`tests/promises`), and checkers that inspect the hall
    connections.py  checkers of connections and of the frames on them
    departures.py   checkers of closed and reloaded pages, and of the count of people
    plants.py       bugs to plant, as tests of the oracle; plants_of_*.py: more of them, by what they concern
"""

from __future__ import annotations

import gc
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import cast

import trio

from studymatch.hall import Chance, Hall, open_hall
from studymatch.messages import Guest, Seeker
from studymatch.patience import Debt
from studymatch.person.saved import SavedPerson
from studymatch.person.user import User
from studymatch.recording.ledger import Ledger, Pace
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.people import Person
from studymatch.rules.pool import Pool
from studymatch.rules.records import LedgerMessage, Node, SessionConnected, SessionEnded, SessionMatched
from studymatch.settings import Settings
from tests.simulation.checker import Checker
from tests.simulation.checkers import ALL
from tests.simulation.faults import Plan, PlannedError
from tests.simulation.kernel import Kernel
from tests.simulation.network import BUFFERS, Frame, WatchedConversation, Wire
from tests.simulation.people import Human, Page
from tests.simulation.recorder import Recorder
from tests.simulation.report import Report, Strike
from tests.simulation.scripts import Actor
from tests.simulation.seams import LedgersMailbox, WatchedLines, clock_that_tells, deterministic, watching
from tests.simulation.store import SimulatedStore
from tests.simulation.trouble import Trouble
from web.reception import Reception
from web.server import ServerLimits
from web.server.direct import DirectSocket
from web.server.poller import Poller

BURST, FIRST_WAIT_S, OUTBOX_MAX = 2, 4.0, 24
"""So few matches are free, and so few frames may wait for a browser, that people reach the limits."""

PAST_MAX = 20
"""The most violations that a report contains."""


class World(trio.abc.Instrument):
    """The objects of one run: hall, people, faults and checkers."""

    def __init__(
        self, seed: int, plan: Plan | None, checkers: Sequence[type[Checker]], strike: Strike | None
    ) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.plan = plan or Plan.draw(self.chance, random.Random(f"{seed} parting"))
        self.settings = Settings(
            skips_burst=BURST,
            skip_wait_s=FIRST_WAIT_S,
            skip_wait_max_s=2 * FIRST_WAIT_S,
            outbox_max=OUTBOX_MAX,
            signals_burst=OUTBOX_MAX,
        )
        self.beginnings = 0
        self.clock = clock_that_tells(self._rest)
        self.server_runs = 0
        self.trace: list[str] = []
        self.lines = WatchedLines(self.story)
        self.violations: list[str] = []
        self.seen: Counter[str] = Counter()
        self.quiet = False
        self.over = False
        # What the oracle inspects
        self.pages: list[Page] = []
        self.pairs: list[tuple[Seeker, Seeker]] = []
        self.pool: Pool[Seeker] | None = None
        self.matched: dict[str, tuple[str, str]] = {}
        self.begins: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.accepted: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self.spoke_at: dict[tuple[str, str], float] = {}
        self.dealt_with: Counter[tuple[str, int]] = Counter()
        self.wires: dict[int, Wire] = {}
        self.recorder = Recorder()
        self.stopped_at: list[float] = []
        self.trouble = Trouble(self, strike)
        self.kernel = Kernel(seed)
        # Parts of the run
        self.store = SimulatedStore(lambda what: self.trouble.crash_here("the ledger", what))
        self._newest: dict[str, Wire] = {}
        self._numbers = count(1)
        self._ids = count(1)
        self._tokens: dict[str, Guest] = {}
        self._hall: Hall | None = None
        self._server: tuple[Reception, Poller] | None = None
        self._nursery: trio.Nursery | None = None
        self._order: str | None = None
        self._ordered = trio.Event()
        self._left: tuple[SavedPerson, ...] = ()
        self._owed: tuple[Debt, ...] = ()
        self._checkers = [checker(self) for checker in checkers]
        self._steps = [it.step for it in self._checkers if type(it).step is not Checker.step]
        self._rests = [it.rest for it in self._checkers if type(it).rest is not Checker.rest]
        self._tolds = [it.told for it in self._checkers if type(it).told is not Checker.told]

    # For the oracle

    def violation(self, what: str) -> None:
        told = f"[{self.clock.current_time():.3f}] {what}"
        if len(self.violations) < PAST_MAX:
            self.violations.append(told)
            self.trace.append("VIOLATION " + told)

    def story(self, event: str) -> None:
        self.trace.append(f"{self.clock.current_time():.4f} {event}")

    @property
    def hall(self) -> Hall | None:
        return self._hall

    def users(self) -> dict[str, User]:
        return {} if self._hall is None else self._hall._users

    def sockets(self) -> list[DirectSocket]:
        """The server's ends of all open connections."""
        return [] if self._server is None else list(self._server[1]._sockets.values())

    def waits(self, person: str) -> bool:
        """Whether a person has been asked to wait before they search again."""
        hall = self._hall
        return hall is not None and hall.accounts.after_skip(person, trio.current_time()) is not None

    def wire_of(self, person: str) -> Wire | None:
        return self._newest.get(person)

    def is_trying(self, person: str) -> bool:
        """Whether this person has a working page that does what it can to get into a call."""
        wire = self._newest.get(person)
        return wire is not None and wire.well

    def page_told(self, page: Page, wire: Wire, frame: Frame) -> None:
        self.seen[frame["type"] if frame["type"] != "state" else frame["state"]] += 1
        self.recorder.heard(wire, frame)
        for told in self._tolds:
            told(page, wire, frame)

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.pairs:
            self.pairs = [pair for pair in self.pairs if pair[0].door._links or pair[1].door._links]
        for step in self._steps:
            step()

    def _rest(self) -> None:
        for rest in self._rests:
            rest()

    # For the people

    def new_page(self, name: str) -> Page:
        number = next(self._ids)
        person = Person(f"{name}-{number}", name)
        page = Page(person, f"token of {person.id}")
        self._tokens[page.token] = Guest(person)
        self.pages.append(page)
        return page

    def connect(self, page: Page) -> Wire:
        slow = not self.quiet and self.chance.random() < self.plan.slow_reading
        wire = Wire(
            next(self._numbers),
            page.person.id,
            delay_s=self.plan.delay_s * self.chance.random(),
            read_s=self.chance.uniform(0, 2) if slow else 0.0,
            buffer_bytes=BUFFERS[-1] if self.quiet else self.kernel.chance.choice(BUFFERS),
            kernel=self.kernel,
            acts=self.trouble.wire_acts,
            on_sent=self._sent,
            on_said=self.recorder.said,
        )
        self.wires[wire.number] = wire
        self.recorder.opened(page, wire)
        assert self._nursery is not None
        self._nursery.start_soon(self._adopt, wire)
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

    async def _adopt(self, wire: Wire) -> None:
        """The handshake is over: the server takes the connection, if there is one."""
        if self._server is None:
            wire.refuse()
            self._conversation_over(wire)
            return
        reception, poller = self._server
        conversation = WatchedConversation(reception, wire, self._conversation_over)
        poller.adopt(cast("socket", wire.socket), conversation, b"")

    def _conversation_over(self, wire: Wire) -> None:
        self.recorder.over(wire)
        for checker in self._checkers:
            checker.closed(wire)

    def connection_failed(self, error: Exception) -> None:
        """The poller has closed a connection because its turn raised `error`."""
        if not isinstance(error, PlannedError):
            self.violation(f"World: a connection failed with {error!r}")

    # The run

    async def main(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.kernel.timetable.run)
            nursery.start_soon(self._keep_open)
            nursery.start_soon(self.trouble.strike_in_time)
            async with trio.open_nursery() as people:
                self._nursery = people
                for human in self._people():
                    people.start_soon(human.live)
                await trio.sleep(self.plan.duration_s)
                self._calm_down()
                await trio.sleep(self.plan.calm_s)
                for checker in self._checkers:
                    checker.calm()
                self.story("everybody leaves")
                self.over = True
                await trio.sleep(4 * self.settings.heartbeat_s)
                people.cancel_scope.cancel()
            await trio.sleep(2 * self.settings.grace_s)
            for checker in self._checkers:
                checker.deserted()
            nursery.cancel_scope.cancel()

    def _people(self) -> list[Human]:
        if self.plan.scripts:
            return [Actor(self, script) for script in self.plan.scripts]
        return [Human(self, number + 1) for number in range(self.plan.people)]

    def _calm_down(self) -> None:
        self.story("the faults stop")
        self.quiet = True
        self.store.down, self.store.slow_s = False, 0.0
        for wire in self.wires.values():
            wire.read_again()

    def check_the_end(self) -> None:
        for checker in self._checkers:
            checker.end()

    async def _keep_open(self) -> None:
        """Run one hall after another: the plan may close one in the middle."""
        with TemporaryDirectory() as folder:
            while True:
                try:
                    await self._one_server(Path(folder))
                finally:
                    self._hall = self._server = self.pool = None

    async def _one_server(self, folder: Path) -> None:
        """Run one hall and its connections, which may outlast it by their last frames."""
        poller = Poller(ServerLimits())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(poller.run)
            await self._one_hall(folder, poller)
            self._server = None
            poller.go_away()
            poller.adopted_last()

    async def _one_hall(self, folder: Path, poller: Poller) -> None:
        ledger = Ledger(
            LedgersMailbox(self),
            self.store,
            Node(f"node {next(self._ids)}", "simulated"),
            folder / "unwritten.jsonl",
            self.lines.journal("ledger"),
            pace=Pace(memory_max=10**9),
            wall_clock=trio.current_time,
        )
        chance = Chance(new_id=lambda: f"s{next(self._ids)}", new_key=lambda: f"key {next(self._ids)}")
        async with open_hall(self.settings, ledger, chance=chance, journal_for=self.lines.journal) as hall:
            self._hall = hall
            self.server_runs += 1
            reception = Reception(hall, self._tokens.get, self.settings, self.lines.journal)
            self._server = reception, poller
            hall.restore(self._left, away_s=0.0, debts=self._owed)
            self._left, self._owed = (), ()
            if await self._next_order() == "restart":
                self._left, self._owed = hall.hand_over(), hall.debts()
                for wire in self.wires.values():
                    wire.saved = True
                await reception.deserted()
            else:
                self.beginnings += 1
                self.stopped_at.append(trio.current_time())
                self._server = None
                for wire in self.wires.values():
                    wire.lose("break")

    async def _next_order(self) -> str:
        """Wait until the hall has to close, and say how: handing over (`restart`), or at once (`stop`)."""
        while self._order is None:
            self._ordered = trio.Event()
            await self._ordered.wait()
        order, self._order = self._order, None
        self.story(f"fault: the hall closes ({order})")
        return order

    def close_the_hall(self, how: str) -> None:
        self._order = how
        self._ordered.set()

    def recorded(self, record: LedgerMessage) -> None:
        """The ledger has received a record."""
        for checker in self._checkers:
            checker.recorded(record)
        if isinstance(record, SessionMatched):
            self.matched[record.session] = (record.first, record.second)
        elif isinstance(record, SessionConnected):
            self.begins[record.session] += 1
        elif isinstance(record, SessionEnded) and record.cause is not SessionCause.RESTARTING:
            self.ends[record.session] += 1

    def _sent(self, wire: Wire, frame: Frame) -> None:
        if frame["type"] == "welcome":
            wire.greeted = True
            self._newest[frame["user"]["id"]] = wire


def run(
    seed: int,
    *,
    plan: Plan | None = None,
    checkers: Sequence[type[Checker]] = ALL,
    strike: Strike | None = None,
) -> Report:
    """Run one seed, with its own plan or another; `strike` is one more fault."""
    gc.freeze()  # the checkers need not count the objects that exist already
    was_on = gc.isenabled()
    gc.disable()  # no object of a person may depend on it: see NothingIsLeft
    try:
        return _report(World(seed, plan, checkers, strike))
    finally:
        if was_on:
            gc.enable()
        gc.collect()  # the world has reference cycles, which the next run would freeze for good
        gc.unfreeze()


def _report(world: World) -> Report:
    try:
        with deterministic(world.seed), watching(world):
            trio.run(world.main, clock=world.clock, instruments=[world])
        world.check_the_end()
    except Exception as error:
        world.violation(f"World: the run ended with {error!r}")
    moves = [
        f"{line['at']} {line['actor']} {line['from']} {line['to']} {line.get('cause')} {line.get('session')}"
        for line in world.lines.events("moved")
    ]
    trouble = world.trouble
    return Report(
        world.seed, world.violations, world.trace, world.seen, moves, trouble.places, trouble.struck
    )
