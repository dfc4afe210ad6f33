"""Injects the faults of one run at their moments: by the clock, or where an actor is.

The patches in `seams` call this at every moment of a possible fault: where an actor waits, gets or has taken
a message, and where the matcher's pool changes. The plan decides which faults occur; or there is one
`Strike`, which is how the sweep covers all moments of a scene. When the world is quiet no fault occurs.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import trio

from studymatch.messages import Seeker
from studymatch.person.inbox import Inbox
from studymatch.rules.pool import Pool
from tests.simulation.faults import Countdown, PlannedError
from tests.simulation.network import Wire
from tests.simulation.report import Place, Strike

if TYPE_CHECKING:
    from tests.simulation.world import World


class Trouble:
    """The faults of `world`. `places`: how often the run reached each point of a possible fault."""

    def __init__(self, world: World, strike: Strike | None) -> None:
        self.places: Counter[Place] = Counter()
        self.struck = False
        self.jumped_at = 0.0
        self._world = world
        self._strike = strike
        self._user_crash = Countdown(world.plan.user_crashes)
        self._user_cancel = Countdown(world.plan.user_cancels)
        self._matcher_crashes = dict(world.plan.matcher_crashes)
        self._matcher_turns = 0

    async def strike_in_time(self) -> None:
        """Run the planned outages of the database and jumps of the clock."""
        moments = [(at, "jump", by) for at, by in self._world.plan.jumps]
        moments += [(at, how, 0.0) for at, how in self._world.plan.shutdowns]
        for at, lasts_s, kind in self._world.plan.outages:
            moments += [(at, kind, lasts_s), (min(at + lasts_s, self._world.plan.duration_s), "mend", 0.0)]
        for at, kind, much in sorted(moments):
            await trio.sleep_until(at)
            self._world.story(f"fault: {kind} {much:.1f}")
            match kind:
                case "restart" | "stop":
                    self._world.close_the_hall(kind)
                case "jump":
                    self._world.clock.jump(much)
                    self.jumped_at = trio.current_time()
                case "down":
                    self._world.store.down = True
                case "slow":
                    self._world.store.slow_s = much
                case "after_commit":
                    self._world.store.fails_after_commit += 1
                case "crash":
                    self._world.store.crashes += 1
                case "mend":
                    self._world.store.down, self._world.store.slow_s = False, 0.0

    def here(self, who: str, what: str) -> bool:
        """Count this point; returns whether the one fault of this run occurs here and now."""
        if self._world.quiet:
            return False
        place = Place(who, what)
        self.places[place] += 1
        if self._strike != (place, self.places[place]):
            return False
        self.struck = True
        self._world.story(f"fault: {who} {what}")
        return True

    def crash_here(self, who: str, what: str) -> None:
        if self.here(who, what):
            raise PlannedError(f"planned: {who} {what}")

    def user_waits(self, inbox: Inbox) -> None:
        """A user is about to call `receive`."""
        if self.here(inbox.person.name, "is cancelled where they wait"):
            inbox.scope.cancel()

    def user_told(self, inbox: Inbox) -> None:
        """A user has a new message, and has not had their turn yet."""
        if self.here(inbox.person.name, "is cancelled with a message waiting"):
            inbox.scope.cancel()

    def user_took(self, inbox: Inbox) -> None:
        """A user has taken a message."""
        self.crash_here(inbox.person.name, "crashes on a message")
        for how in ("restart", "stop"):
            if self.here("the hall", f"closes ({how})"):
                self._world.close_the_hall(how)
        if self._world.quiet:
            return
        if self._user_crash.step():
            raise PlannedError("planned: a user crashes")
        if self._user_cancel.step():
            self._world.story(f"fault: {inbox.person.id} is cancelled")
            inbox.scope.cancel()

    def wire_acts(self, wire: Wire) -> None:
        """The server is about to read from a connection or to write to it."""
        if self.here(wire.person.partition("-")[0], "loses the connection where the server reads or writes"):
            wire.lose("break")

    def pool_turn(self, pool: Pool[Seeker], *, before: bool) -> None:
        """The matcher's pool is about to change, or has changed."""
        self._world.pool = pool
        self.crash_here("the matcher", f"crashes {'before' if before else 'after'} its pool changes")
        if self._world.quiet:
            return
        self._matcher_turns += before
        if self._matcher_crashes.get(self._matcher_turns) is before:
            del self._matcher_crashes[self._matcher_turns]
            raise PlannedError("planned: the matcher crashes")
