"""Leads a run: starts the crowd's processes, sends them orders, and measures the server meanwhile.

A run has phases. Visitors are registered; then all connect at once (a herd) or one after another (a ramp),
and press *Find Partner*; when the run's time is over they stop pressing, and when nothing changes any more
the conductor checks where everybody is. It reads the clock and /proc twice a second, and sleeps in between.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait

from crowd.measures import Measures
from crowd.pairs import Pairs, disagreements
from crowd.plan import HERD, Part, Plan
from crowd.server_watch import Usage, usage
from crowd.worker import Failure, Order, Outcome, Progress, work

SAMPLE_EVERY_S = 0.5
IDLE_LIMIT_S = 30.0
"""The conductor ends the connecting phase when nobody has arrived for this long."""
SETTLE_LIMIT_S = 25.0
"""The limit for matches to become calls and for lost visitors to be given up: the grace of 15 s, and 10 s."""
CALM_S = 0.6
"""The pause between two phases, so that the cost of one is not counted for the next."""
STOP_LIMIT_S = 30.0


class RunFailedError(Exception):
    """The run failed. The text says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of a run `at_s` seconds after the first press. Counts are totals since the beginning."""

    at_s: float
    server: Usage | None
    states: Counter[str]
    arrived: int
    begun: int
    ended: int
    frames: int
    wrong: int
    crowd_busy_s: float


@dataclass(slots=True)
class Run:
    """The measurements of a run. `marks`: the samples at which the phases began, by name."""

    plan: Plan
    server_pid: int | None
    started: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    marks: dict[str, Sample] = field(default_factory=dict)
    measures: Measures = field(default_factory=Measures)
    worst_turn_s: float = 0.0


Show = Callable[[str, Sample, int], None]
"""Called with the phase, a sample, and the number of registered visitors."""


class Conductor:
    """Makes one run."""

    def __init__(self, plan: Plan, server_pid: int | None, show: Show) -> None:
        self.run = Run(plan, server_pid)
        self._plan = plan
        self._show = show
        self._phase = "enrolling"
        self._latest: dict[Pipe, Progress] = {}
        self._outcomes: list[Outcome] = []
        self._zero = time.monotonic()
        self._next_sample = 0.0

    def lead(self) -> Run:
        """Make the run from beginning to end.

        Raises:
            RunFailedError: a process of the crowd, or the server, has failed.
        """
        with self._processes() as pipes:
            self._latest = {pipe: Progress() for pipe in pipes}
            self._until(lambda: all(progress.ready for progress in self._latest.values()), None)
            self._mark("begun")
            if self._plan.arrive == HERD:
                self._order("connecting", Order.CONNECT)
                self._until_all_arrived()
                self._rest(CALM_S)
                self._mark("connected")
            self._zero = self.run.started = time.monotonic()
            self._mark("pressed")
            self._order("running", Order.PRESS if self._plan.arrive == HERD else Order.RAMP)
            self._go_on()
            self._mark("closed")
            self._order("settling", Order.CLOSE)
            self._until_quiet()
            self._order("stopping", Order.STOP)
            self._until(lambda: len(self._outcomes) == len(pipes), STOP_LIMIT_S)
        if len(self._outcomes) < self._plan.processes:
            raise RunFailedError("A process of the crowd did not say what it measured.")
        conclude(self.run, self._outcomes)
        return self.run

    @contextmanager
    def _processes(self) -> Iterator[list[Pipe]]:
        context = multiprocessing.get_context("spawn")
        pipes: list[Pipe] = []
        processes = []
        try:
            for index in range(self._plan.processes):
                ours, theirs = context.Pipe()
                part = Part(self._plan, index, self._plan.processes)
                process = context.Process(
                    target=work, args=(part, theirs), name=f"crowd {index + 1}", daemon=True
                )
                process.start()
                theirs.close()
                pipes.append(ours)
                processes.append(process)
            yield pipes
        finally:
            for pipe in pipes:
                pipe.close()
            for process in processes:
                process.join(STOP_LIMIT_S)
                if process.exitcode is None:
                    process.kill()
                    process.join()

    def _go_on(self) -> None:
        """Wait until the run's time or calls are over, with the storm in between."""
        plan = self._plan
        if plan.arrive != HERD:
            self._rest(min(plan.ramp_s, plan.run_s))
            self._mark("ramped")
        if plan.storm_share and plan.storm_at_s < plan.run_s:
            self._rest(self._zero + plan.storm_at_s - time.monotonic())
            self._mark("storm")
            self._order("storm", Order.STORM)
        left_s = self._zero + plan.run_s - time.monotonic()
        calls = plan.calls or sys.maxsize
        self._until(lambda: self._sum("ended") >= calls or self._server_is_gone(), left_s)

    def _until_all_arrived(self) -> None:
        arrived, since = 0, time.monotonic()

        def all_or_no_more() -> bool:
            nonlocal arrived, since
            now_arrived = self._sum("arrived")
            if now_arrived > arrived:
                arrived, since = now_arrived, time.monotonic()
            here_or_never = arrived + self._sum("gave_up")
            return here_or_never >= self._plan.people or time.monotonic() > since + IDLE_LIMIT_S

        self._until(all_or_no_more, None)

    def _until_quiet(self) -> None:
        """Wait until nothing has changed for `CALM_S`, the server has ended, or `SETTLE_LIMIT_S` has passed.

        Nothing changes when at most one visitor per subject searches, and nobody is between two states. Each
        process must have reported that after `CALM_S`: one that was held up does not know yet.
        """
        last_busy = time.monotonic()

        def is_quiet() -> bool:
            nonlocal last_busy
            searching = sum((progress.searching for progress in self._latest.values()), Counter[int]())
            if self._sum("unsettled") or max(searching.values(), default=0) > 1:
                last_busy = time.monotonic()
            oldest = min(progress.at for progress in self._latest.values())
            return oldest > last_busy + CALM_S or self._server_is_gone()

        self._until(is_quiet, SETTLE_LIMIT_S)

    def _server_is_gone(self) -> bool:
        return self.run.samples[0].server is not None and self.run.samples[-1].server is None

    def _sum(self, name: str) -> int:
        return sum(getattr(progress, name) for progress in self._latest.values())

    def _order(self, phase: str, order: Order) -> None:
        self._phase = phase
        for pipe in self._latest:
            pipe.send(order)

    def _rest(self, duration_s: float) -> None:
        self._until(lambda: False, duration_s)

    def _until(self, is_over: Callable[[], bool], limit_s: float | None) -> None:
        """Receive from the processes, and take samples, until `is_over` or for `limit_s`."""
        end = None if limit_s is None else time.monotonic() + limit_s
        while not is_over():
            now = time.monotonic()
            if end is not None and now >= end:
                return
            if now >= self._next_sample:
                self._next_sample = now + SAMPLE_EVERY_S
                self._take_sample()
            self._listen(min(self._next_sample, end or self._next_sample) - now)

    def _listen(self, timeout_s: float) -> None:
        for pipe in wait(list(self._latest), max(0.0, timeout_s)):
            assert isinstance(pipe, Pipe)
            try:
                told = pipe.recv()
            except EOFError:
                raise RunFailedError("A process of the crowd has ended; the lines above say why.") from None
            match told:
                case Progress():
                    self._latest[pipe] = told
                case Outcome():
                    self._outcomes.append(told)
                    del self._latest[pipe]
                case Failure(why):
                    raise RunFailedError(why)

    def _take_sample(self) -> Sample:
        progresses = list(self._latest.values())
        sample = Sample(
            at_s=time.monotonic() - self._zero,
            server=usage(self.run.server_pid) if self.run.server_pid else None,
            states=sum((progress.states for progress in progresses), Counter()),
            arrived=self._sum("arrived"),
            begun=self._sum("begun"),
            ended=self._sum("ended"),
            frames=self._sum("frames"),
            wrong=self._sum("wrong"),
            crowd_busy_s=sum(progress.busy_s for progress in progresses),
        )
        if self.run.started and self._phase != "stopping":
            self.run.samples.append(sample)
        self._show(self._phase, sample, self._sum("enrolled"))
        return sample

    def _mark(self, name: str) -> None:
        self.run.marks[name] = self._take_sample()


def conclude(run: Run, outcomes: Sequence[Outcome]) -> None:
    """Add up the measurements of the processes, and compare what their visitors were told."""
    measures, pairs = run.measures, Pairs()
    for outcome in outcomes:
        measures.merge(outcome.measures)
        run.worst_turn_s = max(run.worst_turn_s, outcome.worst_turn_s)
        for wrong in pairs.merge(outcome.halves):
            measures.note("matched_twice", wrong)
    absent = frozenset[str]().union(*(outcome.absent for outcome in outcomes))
    unsteady = frozenset[str]().union(*(outcome.unsteady for outcome in outcomes))
    present = [each for outcome in outcomes for each in outcome.present]
    for wrong in (*pairs.one_sided(unsteady), *disagreements(present, absent)):
        measures.note("ghost", wrong)
    for person, partner in measures.failed_with:
        if unsteady.isdisjoint((person, partner)):
            measures.note("failed_call", f"{person} with {partner}")
    searching = sum((outcome.searching for outcome in outcomes), Counter[int]())
    for count in searching.values():
        for _ in range(count - 1):
            measures.note("never_matched", f"{count} people search at the end for the same, and find nobody")
