"""One process of the crowd: its people, their loop, and the pipe to the conductor.

It does as the conductor says (`Order`) and tells how it goes (`Progress`) a few times a second; what it has
measured goes back whole at the end (`Outcome`). Connections are opened a few at a time, because hundreds of
handshakes at once measure the accept backlog and not the server; presses all at once.
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
from crowd.shared import CONNECTED, CONNECTING, ENDED, FROZEN, LOST, OUTSIDE, SEARCHING
from crowd.visitor import Visitor

HANDSHAKES_MAX = 100
"""Connections of one process that are being opened at a time."""
BATCH = 50
"""Of what happens to everybody at once, so many are done before sockets are looked at again: otherwise the
answers would wait, and the wait would be measured."""
PROGRESS_EVERY_S = 0.25


class Order(Enum):
    """What the conductor asks for."""

    CONNECT = "connect everybody"
    RAMP = "arrive one after another and press"
    PRESS = "press, everybody"
    STORM = "drop and come back"
    CLOSE = "let calls go on, press nothing more"
    STOP = "say what was measured"


@dataclass(slots=True)
class Progress:
    """How a process stands.

    `gave_up` counts those who will never arrive; `states` its people; `searching` those who search, by
    subject; `unsettled` those who will soon be in another state; `busy_s` is the CPU it has used so far.
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


@dataclass(slots=True)
class Outcome:
    """What a process has measured, who was where at the end, and how many still searched, by subject."""

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
    """Why a process could not do its part, in a sentence."""

    why: str


class Worker:
    """The people of one process (a `shared.Shared`), led through the pipe."""

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

    def run(self) -> None:
        """Until told to stop, or until the conductor is gone."""
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
        gc.freeze()  # nothing of this becomes garbage before the end
        gc.disable()  # and what comes is no cycles
        self.loop.watch(self._pipe, READ, self._obey)
        self._tell_progress()
        self.loop.run()

    def arrived(self) -> None:
        """Somebody is there for the first time: the next may connect."""
        self._progress.arrived += 1
        self._connect_next()

    def gave_up(self) -> None:
        """Somebody will never be there: the next may try."""
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
        """Everybody arrives at a time of their own, evenly over the ramp and over the processes."""
        step_s = self.plan.ramp_s / self.plan.people
        for number, visitor in zip(self._part.numbers, self._visitors, strict=True):
            self.loop.after(number * step_s, visitor.arrive)

    def _all(self, do: Callable[[Visitor], object]) -> None:
        """Do it for everybody, as quickly as this process can."""
        waiting = iter(self._visitors)

        def some() -> None:
            batch = list(islice(waiting, BATCH))
            for visitor in batch:
                do(visitor)
            if batch:
                self.loop.after(0, some)

        some()

    def _tell_progress(self) -> None:
        progress, measures = self._progress, self.measures
        progress.states = Counter(visitor.state for visitor in self._visitors)
        progress.searching = self._searching()
        progress.unsettled = sum(
            visitor.is_active and visitor.state in (OUTSIDE, CONNECTING, ENDED) for visitor in self._visitors
        )
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
        for visitor in self._visitors:
            visitor.depart()
        self.loop.stop()


def work(part: Part, pipe: Pipe) -> None:
    """What a process of the crowd does. An interrupt is the conductor's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        Worker(part, pipe).run()
    except NoGuestError as error:
        pipe.send(Failure(str(error)))
    except BrokenPipeError:
        pass  # the conductor has gone
