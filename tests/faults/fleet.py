"""The fleet: simulated people with real WebSockets who behave like the page, on unreliable networks.

`live` is one person, who uses one tab after another. A `Tab` is one person to the server. It says hello,
searches, exchanges numbered signals, reports that media flow, chats, skips, ends, keeps its heartbeat, and
after every lost connection comes back with backoff and the resume key. Two in three number their frames and
repeat those that the server has not acknowledged; the others behave like older pages. The auditor checks the
transcripts afterwards.

Each person has a random generator, seeded from the fleet's seed; sockets make a run only nearly repeatable.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

import trio

from tests.promises.evidence import fits
from tests.promises.transcript import Frame, Transcript, What
from tests.support.person import Page, Person, open_person
from tests.support.raw_client import Closed, Refused

SUBJECTS = ("maths", "maths", "physics", None)
CANDIDATES = 3
"""The number of signals after an offer or an answer: trickled candidates."""

HANDSHAKE_LIMIT_S, PONG_LIMIT_S = 8.0, 6.0
BACKOFF_S = (0.2, 1.5)
"""The first and the longest pause before reconnecting."""

COUNT_FRAMES = 2 / 3
"""The probability that a person numbers their frames."""

FINAL = frozenset({4400, 4409, 1009})
"""The close codes after which the page stops; after 4401 it gets a new identity."""


class Hopeless(Exception):  # noqa: N818
    """The connection is given up: it is silent, or the person cut it."""


@dataclass(frozen=True)
class Behaviour:
    """How often people do what: mean seconds between two events, or probabilities."""

    vanish_every_s: float = 12.0
    away_most_s: float = 6.0
    stay_away: float = 0.2
    cancel: float = 0.03
    never_report: float = 0.1
    fail: float = 0.05
    leave: float = 0.15
    chat: float = 0.3


HUMAN = Behaviour()
STEADY = Behaviour(vanish_every_s=1e9, cancel=0.0, never_report=0.0, fail=0.0, leave=0.0)
"""People who do nothing that would end a call."""


@dataclass
class Fleet:
    """What all people of a fleet share. `address`: host and port of the proxy, or of the server itself.

    `new_guest` asks the server for an identity, and may raise OSError. When `quiet` is set, people do only
    what leads to a call, and stay in it; when `over` is set they leave. The first `unmatchable` visitors
    search for what nobody else does.
    """

    address: tuple[str, int]
    new_guest: Callable[[], Frame]
    seed: int
    behaviour: Behaviour = HUMAN
    unmatchable: int = 0
    quiet: trio.Event = field(default_factory=trio.Event)
    over: trio.Event = field(default_factory=trio.Event)
    tabs: list[Tab] = field(default_factory=list)

    @property
    def subjects(self) -> tuple[str | None, ...]:
        """What people search for. With `unmatchable` people nobody accepts every subject."""
        return tuple(subject for subject in SUBJECTS if subject or not self.unmatchable)

    @property
    def transcripts(self) -> list[Transcript]:
        """The transcripts of all tabs so far."""
        return [tab.transcript for tab in self.tabs]

    @property
    def present(self) -> list[Tab]:
        """The tabs that are open."""
        return [tab for tab in self.tabs if not tab.is_closed]

    def settled(self, people: int) -> bool:
        """Whether all people are connected, and everybody who can have a partner is in a call."""
        pages = [tab for tab in self.present if tab.is_welcome]
        left = [tab for tab in pages if tab.state.get("state") != "connected"]
        return len(pages) == people and not any(
            fits(one.transcript.criteria, other.transcript.criteria)
            for number, one in enumerate(left)
            for other in left[:number]
        )

    async def new_identity(self) -> Frame:
        """A guest of the server; asks until it gets one."""
        while True:
            with suppress(OSError, HTTPException):
                return await trio.to_thread.run_sync(self.new_guest)
            await trio.sleep(0.3)


@asynccontextmanager
async def running_fleet(fleet: Fleet, people: int) -> AsyncIterator[None]:
    """Run `people` people while the block is open; then they leave, and the block waits for them."""
    async with trio.open_nursery() as nursery:
        for number in range(people):
            nursery.start_soon(live, fleet, number)
        yield
        fleet.over.set()


async def live(fleet: Fleet, number: int) -> None:
    """Run one person, who uses one tab after another."""
    chance = random.Random(f"{fleet.seed}/{number}")
    while not fleet.over.is_set():
        guest = await fleet.new_identity()
        subject = f"loner {number}" if number < fleet.unmatchable else chance.choice(fleet.subjects)
        tab = Tab(fleet, chance, guest, {} if subject is None else {"subject": subject})
        fleet.tabs.append(tab)
        try:
            await tab.live()
        finally:
            tab.is_closed = True


class Tab(Page):
    """One browser tab of `guest`, who searches for `criteria`."""

    def __init__(self, fleet: Fleet, chance: random.Random, guest: Frame, criteria: dict[str, str]) -> None:
        counts_frames = chance.random() < COUNT_FRAMES
        super().__init__(guest["user"]["id"], guest["token"], criteria, numbers_frames=counts_frames)
        self.fleet = fleet
        self.chance = chance
        self.is_welcome = False
        self.is_closed = False
        self._ready: set[str] = set()
        self._failures = 0
        self._heartbeat_s = 25.0
        # Of the present connection:
        self._vanished = False
        self._pings: list[float] = []
        self._pinged_at = 0.0
        self._has_asked_to_search = False

    async def live(self) -> None:
        """Use one connection after another, until the tab is closed, or the fleet has to leave."""
        while not self.fleet.over.is_set() and not self.is_closed:
            code = await self._connection()
            self.is_welcome = False
            if code in FINAL or code == 4401:
                return
            with trio.move_on_after(self._pause_s(code)):
                await self.fleet.over.wait()
            self._failures += 1

    def _pause_s(self, code: int | None) -> float:
        first, most = BACKOFF_S
        backoff: float = min(most, first * 2**self._failures) * self.chance.uniform(0.5, 1.0)
        if self._vanished:
            backoff = self.chance.uniform(0, self.fleet.behaviour.away_most_s)
        elif code == 4503:
            backoff = max(backoff, self.chance.uniform(0, 1))
        return backoff

    # One connection

    async def _connection(self) -> int | None:
        """Use one connection from its handshake to its end.

        Returns the close code, 1006 if it broke, None if this side gave it up.
        """
        self._vanished = self._has_asked_to_search = False
        self._pings, self._pinged_at = [], trio.current_time()
        try:
            async with open_person(self.fleet.address, self, limit_s=HANDSHAKE_LIMIT_S) as person:
                await self._converse(person)
                return person.ended_with
        except Refused:
            return None

    async def _converse(self, person: Person) -> None:
        """Do everything on one connection until it closes or is given up."""
        try:
            async with trio.open_nursery() as nursery:
                await person.say_hello()
                nursery.start_soon(self._act, person)
                await self._listen(person)
        except* (Hopeless, Closed):
            pass

    async def _listen(self, person: Person) -> None:
        while True:
            came_back = bool(self.resume)
            frame = await person.hear()
            match frame["type"]:
                case "welcome":
                    await self._welcomed(person, frame, came_back)
                case "state":
                    self.is_welcome, self._has_asked_to_search = True, False
                    if frame["state"] == "connecting":
                        await self._meet(person, frame)
                case "signal" if frame["session"] == self.state.get("session"):
                    await self._answer(person, frame["data"])
                case "error":
                    self._has_asked_to_search = False
                case "pong":
                    self._pings.pop(0)

    async def _welcomed(self, person: Person, welcome: Frame, came_back: bool) -> None:
        if came_back and not welcome["resumed"] and self.chance.random() < 0.5:
            self.is_closed = True  # the session is lost: begin with a new tab
            raise Hopeless
        self._heartbeat_s = welcome["heartbeat_ms"] / 1000
        self._failures = 0
        if welcome["resumed"] and self._in_session:
            await self._resync(person)

    # The call

    @property
    def _in_session(self) -> bool:
        return self.state.get("state") in ("connecting", "connected")

    async def _meet(self, person: Person, frame: Frame) -> None:
        """A new match: the initiator sends its offer. A known one: repeat what may be lost."""
        session = frame["session"]
        if session in self._ready:
            await person.say("connected", session=session)
        elif frame["initiator"] and not self._words[session]:
            await self._describe(person, "offer")

    async def _describe(self, person: Person, kind: str) -> None:
        await self._signal(person, kind, "v=0\r\n" + "a=rtpmap\r\n" * self.chance.randrange(100, 500))
        for _ in range(CANDIDATES):
            await self._signal(person, "candidate")

    async def _resync(self, person: Person) -> None:
        """Negotiate again, because the last signals may be lost."""
        if self.state["initiator"]:
            await self._describe(person, "offer")
        else:
            await self._signal(person, "resync")

    async def _signal(self, person: Person, kind: str, text: str = "") -> None:
        data = self.words(self.state["session"]) | {"kind": kind, "text": text}
        await person.about("signal", data=data)

    async def _answer(self, person: Person, data: Frame) -> None:
        match data["kind"]:
            case "offer":
                await self._describe(person, "answer")
                await self._report(person)
            case "answer":
                await self._report(person)
            case "resync" if self.state["initiator"]:
                await self._describe(person, "offer")

    async def _report(self, person: Person) -> None:
        """Mostly report that media flow."""
        if self.state["state"] != "connecting":
            return
        session, luck, behaviour = self.state["session"], self.chance.random(), self.fleet.behaviour
        if self.fleet.quiet.is_set() or luck > behaviour.never_report + behaviour.fail:
            self._ready.add(session)
            await person.say("connected", session=session)
        elif luck < behaviour.fail:
            await person.say("failed", session=session, code="ice")

    # Actions of people

    async def _search(self, person: Person) -> None:
        """Search, at most once for each state from the server."""
        if not self._has_asked_to_search:
            self._has_asked_to_search = True
            await person.say("search", criteria=self.transcript.criteria)

    async def _act(self, person: Person) -> None:
        behaviour = self.fleet.behaviour
        vanish_at = trio.current_time() + self.chance.expovariate(1 / behaviour.vanish_every_s)
        beat_s = self._heartbeat_s * self.chance.uniform(0.6, 0.9)
        while True:
            with trio.move_on_after(self.chance.uniform(0.1, 0.6)):
                await self.fleet.over.wait()
            if self.fleet.over.is_set():
                await self._leave(person)
            now, is_quiet = trio.current_time(), self.fleet.quiet.is_set()
            if now > vanish_at and not is_quiet:
                self._vanish()
            if self._pings and now > self._pings[0] + PONG_LIMIT_S:
                raise Hopeless
            if self.is_welcome:
                beat_s = min(beat_s, self._heartbeat_s * 0.8)
                await self._press(person, is_quiet)
            if now > self._pinged_at + beat_s and self.is_welcome:  # more often than a page, as evidence
                self._pinged_at = trio.current_time()
                self._pings.append(self._pinged_at)
                await person.say("ping")

    def _vanish(self) -> None:
        """Lose the network, or the tab, without telling the server."""
        self._vanished = True
        if self.chance.random() < self.fleet.behaviour.stay_away:
            self.is_closed = True
        raise Hopeless

    async def _leave(self, person: Person) -> None:
        """Close the tab with a close frame as a browser does, or without one as after a power cut."""
        if self.is_welcome and self.chance.random() < 0.5:
            if self._in_session:
                await person.about("end")
            elif self.state.get("state") == "searching":
                await person.say("cancel")
        raise Hopeless

    async def _press(self, person: Person, is_quiet: bool) -> None:
        """Do one of the things that a person in this state might do."""
        luck, behaviour = self.chance.random(), self.fleet.behaviour
        session = self.state.get("session")
        match self.state.get("state"):
            case "idle":
                await self._search(person)
            case "ended" if self.state["search_again_ms"] is None:
                await self._search(person)
            case "searching" if not is_quiet and luck < behaviour.cancel:
                await person.say("cancel")
            case "connecting" if is_quiet and session not in self._ready:
                self._ready.add(str(session))
                await person.say("connected", session=session)
            case "connected" if not is_quiet and luck < behaviour.leave:
                await person.about(self.chance.choice(("skip", "skip", "end")))
            case "connected" if luck > 1 - behaviour.chat:
                await person.about("chat", text=json.dumps(self.words(self.state["session"])))


def seen(transcripts: list[Transcript]) -> Counter[Any]:
    """The number of received frames by type, or by state: shows whether a run covered enough."""
    counts: Counter[Any] = Counter()
    for transcript in transcripts:
        for entry in transcript.entries:
            if entry.what is What.HEARD:
                counts[entry.frame.get("state", entry.frame["type"])] += 1
                counts["resumed"] += bool(entry.frame.get("resumed"))
    return counts
