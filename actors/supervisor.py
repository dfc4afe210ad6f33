"""Supervision: which actors are restarted after a crash, which are not, and when to give up.

Nested scopes are the supervision tree: they start in order and stop in reverse. There are three kinds:

* A *service* (`serving`) is needed by all others. It is restarted when it crashes; if it crashes too often
  (`Intensity`), the error propagates and ends the process, rather than leave it running without the service.
  A service that the others can do without for a while, such as a database, is restarted without limit, after
  growing pauses (`Backoff`).
* A member of a *crew* (`open_crew`) stands for one person or connection. Its crash is reported once, with
  its last events, and affects no other actor.
* *Helpers* (`open_helpers`) are tasks of one actor: they end with it, and if one crashes, the actor crashes.

The names and the restart intensity come from Erlang/OTP (`supervisor`: permanent and temporary children,
intensity and period).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from actors.journal import Journal
from actors.tracebacks import let_go

Run = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Intensity:
    """The number of crashes within a period, in seconds, after which a service is still restarted."""

    restarts: int = 3
    period_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses in seconds before a service that crashes repeatedly is restarted. They double each time."""

    first_s: float = 0.5
    most_s: float = 30.0
    sound_s: float = 60.0
    """After a run that lasted this long, the pauses start again with `first_s`."""


class TooManyRestartsError(Exception):
    """A service crashed more often than its intensity allows; the last crash is the ``__cause__``."""


async def keep_running(run: Run, journal: Journal, intensity: Intensity) -> None:
    """Run `run` until it returns; after a crash, report it and run it again at once.

    There is no pause, so that those who depend on the service notice as little as possible; the intensity
    bounds how often this can happen.

    Raises:
        TooManyRestartsError: `run` crashed more than `intensity.restarts` times within
            `intensity.period_s` seconds of trio's clock.
    """
    crashes: deque[float] = deque()
    while True:
        try:
            return await run()
        except Exception as error:
            journal.crash(error)
            now = trio.current_time()
            crashes.append(now)
            while crashes[0] < now - intensity.period_s:
                crashes.popleft()
            if len(crashes) > intensity.restarts:
                raise TooManyRestartsError(
                    f"{journal.actor} crashed {len(crashes)} times in {intensity.period_s:g} s"
                ) from error
            let_go(error)


async def keep_trying(run: Run, journal: Journal, backoff: Backoff) -> None:
    """Run `run` until it returns; after a crash, report it, sleep as `backoff` says, and run it again.

    This never gives up. It is for services that the others can do without for a while.
    """
    pause_s = backoff.first_s
    while True:
        began = trio.current_time()
        try:
            return await run()
        except Exception as error:
            journal.crash(error)
            let_go(error)
        if trio.current_time() - began >= backoff.sound_s:
            pause_s = backoff.first_s
        await trio.sleep(pause_s)
        pause_s = min(2 * pause_s, backoff.most_s)


@asynccontextmanager
async def serving(
    run: Run, journal: Journal, restarts: Intensity | Backoff, stop: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Keep `run` running while the block is open: by `keep_running`, or by `keep_trying` with a `Backoff`.

    On leaving, `stop` asks the service to finish, and the block waits for it; without `stop` the service is
    cancelled. `stop` is also called if the block fails or is cancelled. What the service does to finish must
    have a time limit of its own.

    Raises:
        ExceptionGroup: like any nursery, with what the block raised and with TooManyRestartsError (see
            `keep_running`), which cancels the block.
    """
    async with trio.open_nursery() as nursery:
        if isinstance(restarts, Backoff):
            nursery.start_soon(keep_trying, run, journal, restarts)
        else:
            nursery.start_soon(keep_running, run, journal, restarts)
        try:
            yield
        finally:
            if stop is None:
                nursery.cancel_scope.cancel()
            else:
                stop()


@asynccontextmanager
async def open_helpers() -> AsyncIterator[trio.Nursery]:
    """A nursery for tasks that are needed while the block is open; leaving cancels and awaits them.

    This function also cancels them if the block fails. If trio's nursery did, the cancellation would refer to
    the frame of the nursery's ``__aexit__``, and that frame to the exceptions: a reference cycle, which keeps
    everything that the tasks refer to in memory until the next garbage collection.
    """
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        finally:
            nursery.cancel_scope.cancel()


class Crew:
    """Actors that come and go; when one crashes, the others are not affected."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery

    def hire(self, run: Run, journal: Journal) -> None:
        """Start an actor. Its crash becomes one report in `journal`."""
        self._nursery.start_soon(self._work, run, journal, name=journal.actor)

    @staticmethod
    async def _work(run: Run, journal: Journal) -> None:
        try:
            await run()
        except Exception as error:
            journal.crash(error)
            let_go(error)


@asynccontextmanager
async def open_crew() -> AsyncIterator[Crew]:
    """A crew that exists while the block is open; leaving cancels and awaits its remaining members."""
    async with open_helpers() as nursery:
        yield Crew(nursery)
