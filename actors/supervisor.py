"""Supervision: who is started again when it crashes, who is not, and when to give up.

Nested scopes are the supervision tree, so start and stop order are the order of the blocks. Two kinds
of actors exist. A *service* (`serving`) is needed by everybody: it is started again when it crashes,
and when it crashes too often the crash goes up and ends the process, rather than leave it half alive.
Where everybody else can go on without it, as without a database, it is started again for ever, with
growing pauses (`Backoff`).
A member of a *crew* (`open_crew`) stands for one person or connection: its crash is reported once,
with the last things that happened to it, and is nobody else's business.
*Helpers* (`open_helpers`) belong to one actor: they end with it, and their crash is its own.

The names and the idea of a restart intensity are Erlang/OTP's (`supervisor`: permanent and temporary
children, intensity and period).
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
    """How many crashes within how many seconds a service is forgiven."""

    restarts: int = 3
    period_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """The pauses, in seconds, before a service that crashes again and again is run again: they double."""

    first_s: float = 0.5
    most_s: float = 30.0
    sound_s: float = 60.0
    """After a run that lasted this long the pauses begin with the first again."""


class TooManyRestartsError(Exception):
    """A service crashed more often than its intensity allows; the last crash is the ``__cause__``."""


async def keep_running(run: Run, journal: Journal, intensity: Intensity) -> None:
    """Run `run` until it returns; after a crash report it and run it again, at once.

    There is no pause between restarts: whoever depends on a service should notice as little as
    possible, and the intensity bounds how often it can happen.

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
    """Run `run` until it returns; after a crash report it and run it again, after the pause of `backoff`.

    This never gives up. It is for what others can do without for a while.
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
    """Keep `run` running while the block is open: `keep_running`, or with a `Backoff` `keep_trying`.

    On leaving, `stop` asks the service to finish and it is awaited; without `stop` it is cancelled. If
    the block itself fails or is cancelled, `stop` is still called, and what the service does then must
    be bounded by itself or by a shield of its own.

    Raises:
        ExceptionGroup: as any nursery, of what the block raised and of TooManyRestartsError (see
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

    They are cancelled here also if the block fails. If that were left to trio's nursery, what cancels the
    tasks would keep the frame of the nursery's end, and that the exceptions: a reference cycle, through
    which all that the tasks know would stay in memory until the next collection.
    """
    async with trio.open_nursery() as nursery:
        try:
            yield nursery
        finally:
            nursery.cancel_scope.cancel()


class Crew:
    """Actors that come and go, each of which may crash without anybody else noticing."""

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
    """A crew for as long as the block is open; leaving cancels whoever is still there, and awaits them."""
    async with open_helpers() as nursery:
        yield Crew(nursery)
