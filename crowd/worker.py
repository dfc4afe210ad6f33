"""One process of the crowd: its visitors, their loop, and the pipe to the conductor.

It follows the conductor's orders (`Order`), reports its state (`Progress`) a few times a second, and sends
all measurements at the end (`Outcome`). It opens at most `HANDSHAKES_MAX` connections at a time, because more
would measure the accept backlog and not the server; visitors press all at once.
"""

from __future__ import annotations

import gc
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import islice
from multiprocessing.connection import Connection as Pipe

from crowd.connection import Connection, Owner
from crowd.guests import NoGuestError, enrol
from crowd.loop import READ, Loop
from crowd.measures import Measures
from crowd.pairs import Half, Pairs, Present
from crowd.plan import Part
from crowd.shared import CONNECTED, CONNECTING, FROZEN, LOST, OUTSIDE, SEARCHING
from crowd.visitor import Visitor

HANDSHAKES_MAX = 100
"""The number of connections that one process opens at the same time."""
BATCH = 50
"""When an order concerns all visitors, so many act before the loop reads sockets again: otherwise the answers
would wait, and the wait would be measured."""
PROGRESS_EVERY_S = 0.25


class Order(Enum):
    """An order of the conductor."""

    CONNECT = "connect everybody"
    RAMP = "arrive one after another and press"
    PRESS = "press, everybody"
    STORM = "drop and come back"
    CLOSE = "let calls go on, press nothing more"
    STOP = "say what was measured"


@dataclass(slots=True)
class Progress:
    """The state of a process.

    `gave_up` counts visitors who will never arrive, `states` visitors by state, `searching` those who search,
    by subject, and `unsettled` those whose state is about to change; `busy_s` is the CPU used so far. `at` is
    the time of the report on the monotonic clock, which all processes share.
    """

    ready: bool = False
    enrolled: int = 0
    arrived: int = 0
    gave_up: int = 0
    states: Counter[str] = field(default_factory=Counter)
    begun: int = 0
    ended: int = 0
    wrong: int = 0
    frames: int = 0
    busy_s: float = 0.0
    searching: Counter[int] = field(default_factory=Counter)
    unsettled: int = 0
    at: float = 0.0


@dataclass(slots=True)
class Outcome:
    """The measurements of a process, its visitors' final sessions, and who still searched, by subject."""

    measures: Measures
    halves: dict[str, Half]
    present: list[Present]
    searching: Counter[int]
    absent: frozenset[str]
    unsteady: frozenset[str]
    worst_turn_s: float
    busy_s: float


@dataclass(slots=True)
class Failure:
    """The reason why a process failed, in a sentence."""

    why: str


class Worker:
    """The visitors of one process (a `shared.Shared`), controlled through the pipe."""

    def __init__(self, part: Part, pipe: Pipe) -> None:
        self.plan = part.plan
        self.loop = Loop()
        self.dialect = part.plan.dialect()
        self.measures = Measures()
        self.pairs = Pairs()
        self.unsteady: set[str] = set()
        self.pressing = False
        self.closing = False
        self._part = part
        self._pipe = pipe
        self._progress = Progress()
        self._visitors: list[Visitor] = []
        self._to_connect: Iterable[Visitor] = iter(())
        self._next_progress = 0.0
        self._has_finished = False

    def run(self) -> None:
        """Run until the conductor closes the pipe, which it does when it has every process's outcome."""
        names = (f"Visitor {number + 1}" for number in self._part.numbers)
        guests = enrol(
            self.plan.target,
            names,
            make_guests=self.plan.make_guests,
            needed=self.dialect.needs_guests,
            enrolled=self._enrolled,
        )
        self._visitors = [
            Visitor(self, number, guest.token, guest.id)
            for number, guest in zip(self._part.numbers, guests, strict=True)
        ]
        self._progress.enrolled = len(guests)
        self._progress.ready = True
        gc.freeze()  # none of these objects becomes garbage before the end
        gc.disable()  # later objects form no cycles
        self.loop.watch(self._pipe, READ, self._obey)
        self._tell_progress()
        self.loop.run()

    def arrived(self) -> None:
        """A visitor has connected for the first time: let the next one connect."""
        self._progress.arrived += 1
        self._connect_next()

    def gave_up(self) -> None:
        """A visitor will never connect: let the next one try."""
        self._progress.gave_up += 1
        self._connect_next()

    def connect(self, owner: Owner, number: int, *, deflate: bool) -> Connection:
        """Begin to connect person `number`."""
        target = self.plan.target
        return Connection(self.loop, owner, target, self.dialect.path, target.source(number), deflate=deflate)

    def _enrolled(self, count: int) -> None:
        self._progress.enrolled = count
        now = time.monotonic()
        if now >= self._next_progress:
            self._next_progress = now + PROGRESS_EVERY_S
            self._pipe.send(self._progress)

    def _obey(self, _events: int) -> None:
        try:
            order = self._pipe.recv()
        except EOFError:
            for visitor in self._visitors:
                visitor.depart()
            self.loop.stop()
            return
        match order:
            case Order.CONNECT:
                self._to_connect = iter(self._visitors)
                for _ in range(HANDSHAKES_MAX):
                    self._connect_next()
            case Order.RAMP:
                self.pressing = True
                self._ramp()
            case Order.PRESS:
                self.pressing = True
                self._all(Visitor.press)
            case Order.STORM:
                self._all(lambda visitor: visitor.storm() if visitor.storms else None)
            case Order.CLOSE:
                self.closing = True
            case Order.STOP:
                self._finish()

    def _connect_next(self) -> None:
        visitor = next(iter(self._to_connect), None)
        if visitor is not None:
            visitor.arrive()

    def _ramp(self) -> None:
        """Schedule the visitors' arrivals, evenly over the ramp and over the processes."""
        step_s = self.plan.ramp_s / self.plan.people
        for number, visitor in zip(self._part.numbers, self._visitors, strict=True):
            self.loop.after(number * step_s, visitor.arrive)

    def _all(self, do: Callable[[Visitor], object]) -> None:
        """Call `do` for each visitor, as quickly as this process can."""
        waiting = iter(self._visitors)

        def some() -> None:
            batch = list(islice(waiting, BATCH))
            for visitor in batch:
                do(visitor)
            if batch:
                self.loop.after(0, some)

        some()

    def _tell_progress(self) -> None:
        if self._has_finished:
            return
        progress, measures = self._progress, self.measures
        progress.states = Counter(visitor.state for visitor in self._visitors)
        progress.searching = self._searching()
        progress.unsettled = sum(not visitor.is_settled for visitor in self._visitors)
        progress.at = time.monotonic()
        progress.begun, progress.ended = len(measures.begun), len(measures.ended)
        progress.wrong = measures.wrong.total()
        progress.frames = measures.frames_sent + measures.frames_heard
        progress.busy_s = time.process_time()
        self._pipe.send(progress)
        self.loop.after(PROGRESS_EVERY_S, self._tell_progress)

    def _searching(self) -> Counter[int]:
        return Counter(
            visitor.subject for visitor in self._visitors if visitor.is_active and visitor.state == SEARCHING
        )

    def _finish(self) -> None:
        present = [
            Present(visitor.id, visitor.session, visitor.partner)
            for visitor in self._visitors
            if visitor.session is not None and visitor.state in (CONNECTING, CONNECTED)
        ]
        absent = frozenset(
            visitor.id for visitor in self._visitors if visitor.state in (OUTSIDE, LOST, FROZEN)
        )
        outcome = Outcome(
            self.measures,
            self.pairs.halves,
            present,
            self._searching(),
            absent,
            frozenset(self.unsteady),
            self.loop.worst_turn_s,
            time.process_time(),
        )
        self._pipe.send(outcome)
        self._has_finished = True


def work(part: Part, pipe: Pipe) -> None:
    """Run one process of the crowd. It ignores SIGINT, which the conductor handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        Worker(part, pipe).run()
    except NoGuestError as error:
        pipe.send(Failure(str(error)))
    except BrokenPipeError:
        pass  # the conductor has ended
