"""The checkers for pages that are closed or reloaded, and for the count of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from studymatch.rules.lifecycle import IN_SESSION, SessionCause, State
from studymatch.rules.records import LedgerMessage, SessionEnded
from tests.simulation.checker import Checker

if TYPE_CHECKING:
    from tests.simulation.network import Frame, Wire
    from tests.simulation.people import Page
    from tests.simulation.world import World

TOLERANCE_S = 1e-6
ON_THE_WAY_S = 2.5
"""How long a count may take to arrive: the longest delay of a connection, and pauses between recipients."""


@dataclass
class Gone:
    """A page has said `leaving` and closed its connection. `looked`: a moment of rest has passed since."""

    at: float
    server_run: int
    key: str
    looked: bool = False


class PagesThatGo(Checker):
    """A closed page leaves at once; in a session it does so exactly when the grace for reloads has passed.

    No session was ended by a person who neither asked for it nor said `leaving`.
    """

    promise = 6
    needs = "which pages the actors consider closed"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._gone: dict[str, Gone] = {}

    def closed(self, wire: Wire) -> None:
        self._gone.pop(wire.person, None)
        user = self.world.users().get(wire.person)
        if wire.farewell and wire.code is None and user is not None and self._is_newest(wire):
            # A conversation may end later than its connection, because it still had data to send.
            at = trio.current_time() if user._inbox.outgoing.present else user._inbox._away_since
            self._gone[wire.person] = Gone(at, self.world.server_runs, user.key)

    def _is_newest(self, wire: Wire) -> bool:
        """Whether no later connection of this person was welcomed, or may be because it has said hello."""
        asked_later = any(
            it.person == wire.person and it.heard_at > wire.heard_at for it in self.world.wires.values()
        )
        return self.world.wire_of(wire.person) is wire and not asked_later

    def rest(self) -> None:
        for person, gone in list(self._gone.items()):
            user = self.world.users().get(person)
            if user is None or user.key != gone.key or gone.server_run != self.world.server_runs:
                del self._gone[person]
                continue
            inbox = user._inbox
            if inbox.outgoing.present:
                del self._gone[person]
            elif trio.current_time() > gone.at + self.world.settings.closed_page_grace_s + TOLERANCE_S:
                self.violated(f"{person} closed the page at {gone.at:.3f} and is still here")
            elif not gone.looked and user.state not in IN_SESSION and inbox.current.since < gone.at:
                self.violated(f"{person} closed the page while {user.state} and is still here")
            gone.looked = True

    def recorded(self, record: LedgerMessage) -> None:
        match record:
            case SessionEnded(session, SessionCause.ENDED | SessionCause.LOST as cause, str() as by):
                self._check(session, cause, by)

    def _check(self, session: str, cause: SessionCause, by: str) -> None:
        asked = any(session in page.left for page in self.world.pages if page.person.id == by)
        user, wire, now = self.world.users().get(by), self.world.wire_of(by), trio.current_time()
        if asked or user is None or wire is None or user._farewell is not None:
            return
        wires = [it for it in self.world.wires.values() if it.person == by and it.heard_at >= wire.heard_at]
        if cause is SessionCause.ENDED and not any(it.farewell for it in wires):
            self.violated(f"{by} is said to have ended {session}, and neither said so nor that they go")
        gone, time_is_up = self._gone.get(by), user._inbox.scope.deadline <= now
        if gone is None or gone.server_run != self.world.server_runs or not time_is_up:
            return
        if user.state in IN_SESSION and now < gone.at + self.world.settings.closed_page_grace_s - TOLERANCE_S:
            self.violated(f"{by} has had {now - gone.at:.1f} s to come back to {session}")


class CountsAreTrue(Checker):
    """At rest, the count is correct; if it has not changed for a while, all pages have received it.

    The count includes people who are present, or have been away for a short time. The count that a searching
    person gets always includes that person.
    """

    promise = 0
    needs = "the state of the actors"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._truth, self._since = (0, 0), 0.0
        self._told: dict[int, tuple[int, int] | None] = {}
        self._told_at: dict[int, float] = {}
        self._states: dict[int, str] = {}

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        self._told_at.setdefault(wire.number, trio.current_time())
        match frame["type"]:
            case "welcome":
                self._told[wire.number] = None
            case "state":
                self._states[wire.number] = frame["state"]
            case "presence":
                self._told[wire.number] = frame["online"], frame["searching"]
                self._told_at[wire.number] = trio.current_time()
        self._look_at_who_searches(wire, frame)

    def _look_at_who_searches(self, wire: Wire, frame: Frame) -> None:
        """A person who searches gets the count right after the state, before any other frame."""
        told = self._told.get(wire.number)
        searches = self._states.get(wire.number) == State.SEARCHING and frame["type"] not in (
            "state",
            "welcome",
        )
        if searches and (told is None or told[1] < 1):
            self.violated(f"{wire.person} searches, and was told {told} before {frame['type']}")

    def rest(self) -> None:
        hall, truth = self.world.hall, self._count()
        if hall is None:
            return
        counted = hall.presence()
        if (counted.online, counted.searching) != truth:
            self.violated(f"counted are {counted}, and here are {truth}")
        if truth != self._truth:
            self._truth, self._since = truth, trio.current_time()
        # After a jump of the clock, frames that were sent before it may still be on their way.
        calm_since = max(self.world.plan.duration_s, self.world.trouble.jumped_at)
        if trio.current_time() > calm_since + ON_THE_WAY_S:
            self._look_at_the_pages()

    def _count(self) -> tuple[int, int]:
        now, counts_s = trio.current_time(), self.world.settings.closed_page_grace_s
        here = [
            user.state is State.SEARCHING
            for user in self.world.users().values()
            if user._inbox.outgoing.present or now < user._inbox._away_since + counts_s
        ]
        return len(here), sum(here)

    def _look_at_the_pages(self) -> None:
        # Two rounds, because one may have been on its way to a slow reader when the count changed.
        settled_at = trio.current_time() - 2 * self.world.settings.presence_every_s - ON_THE_WAY_S
        for person, user in self.world.users().items():
            wire = self.world.wire_of(person)
            if wire is None or not wire.well or not user._inbox.outgoing.present:
                continue
            told, state = self._told.get(wire.number), self._states.get(wire.number)
            if state is None or state in IN_SESSION or told == self._truth:
                continue
            if settled_at > max(self._since, self._told_at[wire.number], self.world.trouble.jumped_at):
                self.violated(f"{person} was told {told}, and here are {self._truth}")


DEPARTURES: tuple[type[Checker], ...] = (PagesThatGo, CountsAreTrue)
