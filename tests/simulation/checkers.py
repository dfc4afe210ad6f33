"""The oracle: the shared checks of the promises, and checkers that need what only the simulator knows.

`SharedChecks` runs the former (`tests/promises`) on the transcripts and rows of the run. The others inspect
the hall; those in `connections.py` inspect connections. All are independent of the product's code.
"""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from itertools import combinations
from math import inf
from typing import TYPE_CHECKING

import trio

from actors import Door, Mailbox
from studymatch.pairing import ANSWER_LIMIT_S, Pairing
from studymatch.person.inbox import Inbox
from studymatch.person.session import Session
from studymatch.person.user import User
from studymatch.rules.lifecycle import SessionCause, State
from studymatch.rules.outbox import Outbox
from studymatch.rules.pool import Ticket
from studymatch.rules.records import LedgerMessage, SessionConnected, SessionEnded, SessionMatched
from tests.promises.checks import SIMULATOR, checks_with, violations
from tests.simulation.checker import Checker
from tests.simulation.connections import (
    AcceptedWordsArrive,
    FramesAreWhole,
    OneConnection,
    SaidIsHeard,
    WhatWaitsIsBounded,
)
from tests.simulation.departures import DEPARTURES
from tests.simulation.recorder import evidence_of
from web.conversation import Conversation
from web.server.direct import DirectSocket

if TYPE_CHECKING:
    from tests.simulation.world import World

IN_SESSION = (State.CONNECTING, State.CONNECTED)
TOLERANCE_S = 1e-6

CHECKS = checks_with(SIMULATOR)
"""The shared checks of every run."""


class LinksAreMutual(Checker):
    """At every step links are mutual, and nobody is linked with themselves or with two people."""

    promise = 1
    needs = "the links between the doors of actors"

    def step(self) -> None:
        paired: list[str] = []
        for one, other in self.world.pairs:
            if one.door.linked(other.door) is not other.door.linked(one.door):
                self.violated(f"{one.person.id} and {other.person.id} are linked one way only")
            if one.person.id == other.person.id:
                self.violated(f"{one.person.id} was matched with themselves")
            paired += one.person.id, other.person.id
        if len(set(paired)) < len(paired):
            for person, count in Counter(paired).items():
                if count > 1:
                    self.violated(f"{person} has {count} partners")


class ActorsAgree(Checker):
    """At rest, the two people of a session are each other's partner, and both are in it."""

    promise = 1
    needs = "the state of the actors"

    def rest(self) -> None:
        users = self.world.users()
        for person, user in users.items():
            scene = user._inbox.current
            if scene.state not in IN_SESSION or scene.partner is None:
                continue
            other = users.get(scene.partner.id)
            if other is None:
                self.violated(f"{person} has a partner who is not here")
                continue
            theirs = other._inbox.current
            if theirs.session != scene.session or theirs.partner is None or theirs.partner.id != person:
                self.violated(f"{person} is in {scene.session} with somebody who is in {theirs.session}")
            elif theirs.state is not scene.state:
                self.violated(f"{person} is {scene.state} and their partner {theirs.state}")
            elif theirs.initiator is scene.initiator:
                self.violated(f"in {scene.session} both or neither are the initiator")


class EverybodyIsSomewhere(Checker):
    """At rest, every connected person has an actor that considers them present."""

    promise = 6
    needs = "the state of the actors"

    def rest(self) -> None:
        users = self.world.users()
        for wire in self.world.wires.values():
            if not wire.greeted or wire.over or wire.busy or wire.code is not None:
                continue
            user = users.get(wire.person)
            if user is None:
                self.violated(f"{wire.person} is connected to nobody")
            elif not user._inbox.outgoing.present:
                self.violated(f"{wire.person} is connected, and taken to be away")


class TicketsAreTheSearching(Checker):
    """At rest, the pool holds one ticket for each person who searches and is present, and no others."""

    promise = 3
    needs = "the matcher's pool"

    def rest(self) -> None:
        pool = self.world.pool
        if pool is None:
            return
        tickets = Counter(ticket.user for ticket in pool if ticket.open)
        searching = {
            person
            for person, user in self.world.users().items()
            if user.state is State.SEARCHING and user._inbox.outgoing.present
        }
        for person in searching - set(tickets):
            self.violated(f"{person} searches and has no ticket")
        for person in set(tickets) - searching:
            self.violated(f"{person} has a ticket and does not search")
        for person, count in tickets.items():
            if count > 1:
                self.violated(f"{person} has {count} tickets")
        if len(pool) != len(tickets):
            self.violated("a closed ticket stays in the pool")


class Progress(Checker):
    """At rest, no two people who fit are searching, unless they are still kept apart."""

    promise = 3
    needs = "the matcher's pool"

    def rest(self) -> None:
        if self.world.pool is None:
            return
        now, apart_s = trio.current_time(), self.world.settings.apart_s
        for one, other in combinations([ticket for ticket in self.world.pool if ticket.open], 2):
            if any(other.criteria.get(name, value) != value for name, value in one.criteria.items()):
                continue
            apart = one.user in other.apart or other.user in one.apart
            waited = now - max(one.entered, other.entered) > apart_s + TOLERANCE_S
            if not apart or waited:
                self.violated(f"{one.user} and {other.user} fit and both search")


class TicketsKeepTheTime(Checker):
    """A search keeps its waiting time through absences, crashes of the matcher, and failed matches."""

    promise = 4
    needs = "the matcher's pool"

    def rest(self) -> None:
        pool = self.world.pool
        if pool is None:
            return
        for ticket in pool:
            user = self.world.users().get(ticket.user)
            if (
                user is not None
                and user.state is State.SEARCHING
                and ticket.since != user._inbox.current.since
            ):
                self.violated(f"{ticket.user}'s ticket has another waiting time than their page")


class PagesAgree(Checker):
    """At rest, the last state that a present page received is that of its actor."""

    promise = 6
    needs = "the state of the actors"

    def rest(self) -> None:
        for person, user in self.world.users().items():
            wire = self.world.wire_of(person)
            if wire is None or not user._inbox.outgoing.present or not wire.well:
                continue
            scene, last = user._inbox.current, wire.last_state
            if last is None:
                self.violated(f"{person} is present and was told nothing")
                continue
            if (last["state"], last["session"]) != (scene.state, scene.session):
                self.violated(f"{person} is {scene.state} and was told {last['state']}")
            sound = (last["sound"] or {}).get("name")
            if (sound == "ring") is not (scene.state is State.SEARCHING):
                self.violated(f"{person} hears {sound} while {scene.state}")


class LedgerIsToldOnce(Checker):
    """The ledger receives the match, the call and the end of every session in this order, each once."""

    promise = 8
    needs = "every record that the ledger received"

    def end(self) -> None:
        store = self.world.store
        for session in store.orphans:
            self.violated(f"{session} was connected or ended, and never matched")
        for session in store.nameless:
            self.violated(f"{session} has people without a name, so that there is no row of them")
        for session, begins in self.world.begins.items():
            if begins > 1:
                self.violated(f"{session} was told to the ledger as connected {begins} times")
        # After a restart the server cannot know whether the process before had already recorded an end that
        # one of the two was not told of. It records the end again, and the store keeps the first. Nothing
        # else may record an end twice.
        for session, ends in self.world.ends.items():
            if ends != 1:
                self.violated(f"{session} was told to the ledger as ended {ends} times")


class EverybodyIsServed(Checker):
    """After the faults have stopped, everybody is in a call, except people whom nobody fits."""

    promise = 5
    needs = "the state of the actors"

    def calm(self) -> None:
        users = self.world.users()
        stuck = [
            person for person, user in users.items() if user.state not in (State.CONNECTED, State.SEARCHING)
        ]
        for person in stuck:
            if self.world.is_trying(person) and not self.world.waits(person):
                self.violated(f"{person} is still {users[person].state}")


class WhoLeavesWaits(Checker):
    """People who left too many matches before a call have to wait before the next; others do not.

    This checker counts by itself, from the records: at most one match a minute is free, and one for each
    call. A match whose person is lost in the same moment does not count: they were never told of it, and
    their search goes on. A restart resets no count, unless the hall handed nothing over.
    """

    promise = 3
    needs = "every record that the ledger received, when it did"

    LEFT = (SessionCause.SKIPPED, SessionCause.ENDED, SessionCause.LOST, SessionCause.CONNECT_FAILED)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._beginnings = 0
        self._left: defaultdict[str, list[float]] = defaultdict(list)
        self._calls: Counter[str] = Counter()
        self._made_at: dict[str, float] = {}

    def recorded(self, record: LedgerMessage) -> None:
        if self._beginnings != self.world.beginnings:
            self._beginnings = self.world.beginnings
            self._left.clear()
            self._calls.clear()
        match record:
            case SessionConnected(session):
                self._calls.update(self.world.matched.get(session, ()))
            case SessionEnded(session, cause, str() as by) if cause in self.LEFT:
                unheard = cause is SessionCause.LOST and self._made_at[session] == trio.current_time()
                is_match = not (self.world.begins[session] or unheard)
                if is_match and self._was_answered(session, by):
                    self._left[by].append(trio.current_time())
            case SessionMatched(session=session, first=first, second=second):
                self._made_at[session] = trio.current_time()
                for person in (first, second):
                    self._check(person)

    def _was_answered(self, session: str, by: str) -> bool:
        """Whether the partner was connected all the time, and their page has sent something, or still could.

        What it sends in the moment of the end may arrive before or after the end.
        """
        first, second = self.world.matched[session]
        mate = second if by == first else first
        user = self.world.users().get(mate)
        lines = (line for what in ("away", "back") for line in self.world.lines.events(what))
        was_away = any(line.get("session") == session and line["actor"] == f"user {mate}" for line in lines)
        is_here = user is not None and user._inbox.outgoing.present and not was_away
        is_young = trio.current_time() < self._made_at[session] + ANSWER_LIMIT_S - TOLERANCE_S
        has_spoken = self.world.spoke_at.get((session, mate), inf) < trio.current_time()
        return is_here and (is_young or has_spoken)

    def _check(self, person: str) -> None:
        now, settings = trio.current_time(), self.world.settings
        lately = [at for at in self._left[person] if at > now - 60]
        free = settings.skips_burst + self._calls[person]
        if len(lately) >= free + 2 and now - lately[-1] < settings.skip_wait_s - TOLERANCE_S:
            self.violated(f"{person} left {len(lately)} matches and waited {now - lately[-1]:.1f} s")


class OnlyPlannedCrashes(Checker):
    """No actor crashes, except those that the plan made crash."""

    promise = 0
    needs = "the journal"

    def end(self) -> None:
        for line in self.world.lines.events("crashed"):
            if "planned" not in line["error"]:
                self.violated(f"{line['actor']} crashed: {line['error']}")


class NothingIsLeft(Checker):
    """When everybody has left, an open hall holds no more objects and tasks than before the first person
    came.

    This checker counts the live objects of the product's types and the running tasks, and compares them with
    the first moment of rest, at which nobody has connected. The garbage collector is off (see `world.run`),
    so objects in reference cycles count as left, too.
    """

    promise = 0
    needs = "the objects in memory"

    KINDS = (User, Inbox, Session, Pairing, Door, Mailbox, Ticket, Outbox, Conversation, DirectSocket)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._before: Counter[str] | None = None

    def rest(self) -> None:
        if self._before is None:
            gc.collect()
            self._before = self._census()

    def deserted(self) -> None:
        assert self._before is not None
        if left := self._census() - self._before:
            self.violated(f"when all have left there is still {dict(left)}")

    def _census(self) -> Counter[str]:
        # Not `isinstance`: a weak proxy, like that of `UsersMailbox`, claims the type of its object.
        types = [type(it) for it in gc.get_objects() if issubclass(type(it), self.KINDS)]
        census = Counter(next(kind.__name__ for kind in self.KINDS if issubclass(it, kind)) for it in types)
        return census + Counter(f"task {name}" for name in _tasks(trio.lowlevel.current_root_task()))


def _tasks(task: trio.lowlevel.Task | None) -> list[str]:
    """The names of all tasks below one."""
    children = [child for nursery in task.child_nurseries for child in nursery.child_tasks] if task else []
    return [child.name for child in children] + [name for child in children for name in _tasks(child)]


class SharedChecks(Checker):
    """The shared checks of `tests/promises`, on the transcripts and rows of the run."""

    needs = "transcripts and rows"

    def end(self) -> None:
        for found in violations(evidence_of(self.world), CHECKS):
            self.world.violation(found)


ALL: tuple[type[Checker], ...] = (
    LinksAreMutual,
    ActorsAgree,
    EverybodyIsSomewhere,
    TicketsAreTheSearching,
    Progress,
    TicketsKeepTheTime,
    PagesAgree,
    OneConnection,
    AcceptedWordsArrive,
    SaidIsHeard,
    LedgerIsToldOnce,
    EverybodyIsServed,
    WhoLeavesWaits,
    OnlyPlannedCrashes,
    FramesAreWhole,
    WhatWaitsIsBounded,
    NothingIsLeft,
    *DEPARTURES,
    SharedChecks,
)
"""The checkers of every run."""
