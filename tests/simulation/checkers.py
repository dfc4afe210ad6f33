"""The oracle: what must hold, one small object for each thing, apart from whatever brings it about.

A checker is told of moments: `step` (a task has run until it waits), `rest` (everybody waits, and time is
about to pass), `told` (a frame has reached a page), `calm` (faults have stopped and time has passed), `end`
(everybody has left and the hall has closed). It raises nothing; it tells the world of a violation.
"""

from __future__ import annotations

import gc
from collections import Counter, defaultdict
from itertools import combinations
from typing import TYPE_CHECKING

import trio

from actors import Door, Mailbox
from studymatch.lifecycle import EDGES, State
from studymatch.outbox import Outbox
from studymatch.pairing import Pairing
from studymatch.pool import Ticket
from studymatch.user import User

if TYPE_CHECKING:
    from tests.simulation.network import Frame, Wire
    from tests.simulation.people import Page
    from tests.simulation.world import World

IN_SESSION = (State.CONNECTING, State.CONNECTED)
TOLERANCE_S = 1e-6


class Checker:
    """Notices nothing. The name of a checker is the name of its class."""

    def __init__(self, world: World) -> None:
        self.world = world

    def violated(self, what: str) -> None:
        self.world.violation(f"{type(self).__name__}: {what}")

    def step(self) -> None: ...
    def rest(self) -> None: ...
    def told(self, page: Page, wire: Wire, frame: Frame) -> None: ...
    def calm(self) -> None: ...
    def end(self) -> None: ...


class LinksAreMutual(Checker):
    """The partner of my partner is me, at every step; nobody is linked with themselves or with two."""

    def step(self) -> None:
        partners: Counter[str] = Counter()
        for one, other in self.world.pairs:
            if one.door.linked(other.door) is not other.door.linked(one.door):
                self.violated(f"{one.person.id} and {other.person.id} are linked one way only")
            if one.person.id == other.person.id:
                self.violated(f"{one.person.id} was matched with themselves")
            partners[one.person.id] += 1
            partners[other.person.id] += 1
        for person, count in partners.items():
            if count > 1:
                self.violated(f"{person} has {count} partners")


class PartnersAgree(Checker):
    """At rest, two in one session are each other's partner, and both are in it."""

    def rest(self) -> None:
        users = self.world.users()
        for person, user in users.items():
            scene = user._stage.scene
            if scene.state not in IN_SESSION or scene.partner is None:
                continue
            other = users.get(scene.partner.id)
            if other is None:
                self.violated(f"{person} has a partner who is not here")
                continue
            theirs = other._stage.scene
            if theirs.session != scene.session or theirs.partner is None or theirs.partner.id != person:
                self.violated(f"{person} is in {scene.session} with somebody who is in {theirs.session}")
            elif theirs.state is not scene.state:
                self.violated(f"{person} is {scene.state} and their partner {theirs.state}")
            elif theirs.initiator is scene.initiator:
                self.violated(f"in {scene.session} both or neither are the initiator")


class TicketsAreTheSearching(Checker):
    """At rest, the tickets in the pool are those of the people who search and are present, once each."""

    def rest(self) -> None:
        pool = self.world.pool
        if pool is None:
            return
        tickets = Counter(ticket.user for ticket in pool if ticket.open)
        searching = {
            person
            for person, user in self.world.users().items()
            if user.state is State.SEARCHING and user._stage.browser.present
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
    """At rest, no two who fit search, unless they are kept apart and one has not yet waited for that."""

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


class WaitingTimeIsKept(Checker):
    """A search that goes on counts on: through absences, crashes of the matcher, and matches that fail."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._since: dict[str, float] = {}

    def rest(self) -> None:
        pool = self.world.pool
        if pool is None:
            return
        for ticket in pool:
            user = self.world.users().get(ticket.user)
            if user is not None and user.state is State.SEARCHING and ticket.since != user._stage.scene.since:
                self.violated(f"{ticket.user}'s ticket has another waiting time than their page")


class PagesAgree(Checker):
    """At rest, what a present page was last told is the truth."""

    def rest(self) -> None:
        for person, user in self.world.users().items():
            wire = self.world.wire_of(person)
            if wire is None or not user._stage.browser.present or not wire.well:
                continue
            told = [frame for frame in wire.sent if frame["type"] == "state"]
            if not told:
                self.violated(f"{person} is present and was told nothing")
                continue
            scene, last = user._stage.scene, told[-1]
            if (last["state"], last["session"]) != (scene.state, scene.session):
                self.violated(f"{person} is {scene.state} and was told {last['state']}")
            sound = (last["sound"] or {}).get("name")
            if (sound == "ring") is not (scene.state is State.SEARCHING):
                self.violated(f"{person} hears {sound} while {scene.state}")


class NumbersRise(Checker):
    """Over one connection frames are numbered without a gap; over all of a page's, they only rise."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._last: dict[int, tuple[int, int]] = {}

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        seq = frame["seq"]
        over, last = self._last.get(id(page), (wire.number, 0))
        if frame["type"] == "welcome" and not frame["resumed"]:
            last = seq - 1
        if seq <= last or (over == wire.number and seq != last + 1 and frame["type"] != "welcome"):
            self.violated(f"{page.person.id} got number {seq} after {last}")
        self._last[id(page)] = (wire.number, seq)


class MovesAreLegal(Checker):
    """A page that saw every change was led along legal edges only."""

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        states = [told for told in page.told if told.frame["type"] == "state"]
        if frame["type"] != "state" or len(states) < 2 or states[-2].wire != wire.number:
            return
        source, target = (State(told.frame["state"]) for told in states[-2:])
        if (source, target) not in EDGES:
            self.violated(f"{page.person.id} was led from {source} to {target}")


class SignalsArriveOnce(Checker):
    """What one says reaches the partner of that session only, once and in order, and is not lost."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._got: defaultdict[tuple[str, str], list[int]] = defaultdict(list)

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        if frame["type"] != "signal":
            return
        data, session = frame["data"], frame["session"]
        row = self.world.matched.get(session)
        if row is None or {data["from"], page.person.id} != set(row):
            self.violated(f"{page.person.id} got a signal of {data['from']} in {session}")
        if data["session"] != session:
            self.violated(f"{page.person.id} got a signal of {data['session']} in {session}")
        got = self._got[session, page.person.id]
        if got and data["n"] <= got[-1]:
            self.violated(f"{page.person.id} got signal {data['n']} after {got[-1]} in {session}")
        got.append(data["n"])

    def calm(self) -> None:
        for page in self.world.pages:
            if page.state is None or page.wire is None or page.state["state"] != "connected":
                continue
            session = page.state["session"]
            accepted = self.world.accepted[session, page.state["partner"]["id"]]
            got = self._got[session, page.person.id]
            settled = accepted[: len(accepted) - page.wire.unread - 3]
            if page.wire.well and not set(settled) <= set(got):
                self.violated(f"{page.person.id} lacks signals of {session}: {set(settled) - set(got)}")


class EveryMatchEnds(Checker):
    """On a page, a match is followed by its end, or by a start from scratch; never by another match."""

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        if frame["type"] != "state" or frame["session"] is None:
            return
        before = [
            told.frame
            for told in page.told[:-1]
            if told.frame["type"] in ("state", "welcome") and told.wire == wire.number
        ]
        if before and before[-1]["type"] == "state":
            last = before[-1]
            if last["state"] in ("connecting", "connected") and last["session"] != frame["session"]:
                self.violated(f"{page.person.id} went from {last['session']} to {frame['session']}")


class SearchesAgain(Checker):
    """Whoever skipped, or was left, and has not asked for anything else, searches again by itself."""

    CAUSES = ("skipped", "partner_skipped", "partner_ended", "partner_lost")

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        asked_to_stop = page.kinds & {"end", "failed"}
        if frame["type"] != "state" or asked_to_stop:
            return
        if frame["cause"] in self.CAUSES and frame["search_again_in"] is None:
            self.violated(f"{page.person.id} is left in ended for {frame['cause']}")
        if frame["state"] == "idle" and frame["cause"] == "ended":
            self.violated(f"{page.person.id} never asked to stop")


class Recorded(Checker):
    """Every session is recorded once, in order: matched, perhaps connected, ended."""

    def end(self) -> None:
        store = self.world.store
        for session in store.orphans:
            self.violated(f"{session} was connected or ended, and never matched")
        for session, row in store.rows.items():
            if row.ended_at is None:
                self.violated(f"{session} has no end")
            elif not row.matched_at <= (row.connected_at or row.matched_at) <= row.ended_at:
                self.violated(f"{session} was recorded out of order")
        for page in self.world.pages:
            for told in page.told:
                about = told.frame.get("session")
                if about is None:
                    continue
                if about not in store.rows:
                    self.violated(f"{page.person.id} was told of {about}, which is not recorded")
                elif told.frame.get("state") == "connected" and store.rows[about].connected_at is None:
                    self.violated(f"{about} was connected, and is not recorded so")
        # A life that begins cannot know whether the one before had already told of an end that one of the
        # two had not heard of; it tells of it again, and the store keeps the first. Nobody else may.
        for session, ends in self.world.ends.items():
            if ends != 1:
                self.violated(f"{session} was told to the ledger as ended {ends} times")


class EverybodyIsServed(Checker):
    """After the faults have stopped, everybody is in a call, but for those whom nobody fits."""

    def calm(self) -> None:
        users = self.world.users()
        stuck = [
            person for person, user in users.items() if user.state not in (State.CONNECTED, State.SEARCHING)
        ]
        for person in stuck:
            if self.world.is_trying(person):
                self.violated(f"{person} is still {users[person].state}")


class OnlyPlannedCrashes(Checker):
    """Nobody crashes but those whom the plan made crash."""

    def end(self) -> None:
        for line in self.world.lines.events("crashed"):
            if "planned" not in repr(line["exc_info"]):
                self.violated(f"{line['actor']} crashed: {line['exc_info']!r}")


class NothingIsLeft(Checker):
    """When all have left there is nothing in memory but what was there before."""

    KINDS = (User, Door, Mailbox, Ticket, Pairing, Outbox)

    def __init__(self, world: World) -> None:
        super().__init__(world)

    def end(self) -> None:
        self.world.pairs.clear()
        self.world.pool = None
        gc.collect()
        left = Counter(type(it).__name__ for it in gc.get_objects() if isinstance(it, self.KINDS))
        left -= self.world.before
        if left:
            self.violated(f"left in memory: {dict(left)}")


ALL: tuple[type[Checker], ...] = (
    LinksAreMutual,
    PartnersAgree,
    TicketsAreTheSearching,
    Progress,
    WaitingTimeIsKept,
    PagesAgree,
    NumbersRise,
    MovesAreLegal,
    SignalsArriveOnce,
    EveryMatchEnds,
    SearchesAgain,
    Recorded,
    EverybodyIsServed,
    OnlyPlannedCrashes,
)
"""The checkers of every run. `NothingIsLeft` looks at the whole process and is asked for by itself."""
