"""The fleet: simulated people with real WebSockets who behave like the page, on unreliable networks.

`live` is one person, who uses one tab after another. A `Tab` is one person to the server; it owns the resume
key, the last state that it received, and its `Transcript`. It says hello, searches, exchanges numbered
signals, reports that media flow, chats, skips, ends, keeps its heartbeat, and after every lost connection
comes back with backoff and the resume key. Two in three number their frames and repeat those that the server
has not acknowledged; the others behave like older pages. The auditor checks the transcripts afterwards.

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
from trio_websocket import ConnectionClosed

from tests.faults.wire import Hopeless, Wire, open_wire
from tests.promises.evidence import fits
from tests.promises.transcript import Frame, Transcript, What

SUBJECTS = ("maths", "maths", "physics", None)
CANDIDATES = 3
"""The number of signals after an offer or an answer: trickled candidates."""

PONG_LIMIT_S = 6.0
BACKOFF_S = (0.2, 1.5)
"""The first and the longest pause before reconnecting."""

COUNT_FRAMES = 2 / 3
"""The probability that a person numbers their frames."""

FINAL = frozenset({4400, 4409, 1009})
"""The close codes after which the page stops; after 4401 it gets a new identity."""


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
        left = [tab for tab in pages if tab.page.get("state") != "connected"]
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


class Tab:
    """One browser tab of `guest`, who searches for `criteria`."""

    def __init__(self, fleet: Fleet, chance: random.Random, guest: Frame, criteria: dict[str, str]) -> None:
        self.fleet = fleet
        self.chance = chance
        self.transcript = Transcript(guest["user"]["id"], criteria)
        self.page: Frame = {}
        self.is_welcome = False
        self.is_closed = False
        self._token = guest["token"]
        self._resume: Frame | None = None
        self._counts_frames = chance.random() < COUNT_FRAMES
        self._said = 0
        self._unheard: list[Frame] = []
        self._numbers: Counter[str] = Counter()
        self._ready: set[str] = set()
        self._failures = 0
        self._heartbeat_s = 25.0
        self._vanished = False
        self._code: int | None = None

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
        self._code, self._vanished = None, False
        async with open_wire(self.fleet.address, self.transcript) as wire:
            if wire is not None:
                await self._converse(wire)
                wire.closed(self._code)
        return self._code

    async def _converse(self, wire: Wire) -> None:
        """Do everything on one connection until it closes or is given up."""
        hello: Frame = {"type": "hello", "version": 1, "token": self._token}
        try:
            async with trio.open_nursery() as nursery:
                await wire.say(hello | ({"resume": dict(self._resume)} if self._resume else {}))
                nursery.start_soon(self._act, wire)
                await self._listen(wire)
        except* Hopeless:
            pass
        except* ConnectionClosed:
            self._code = wire.close_code

    async def _listen(self, wire: Wire) -> None:  # noqa: C901 (one case for each frame)
        while True:
            frame = await wire.hear()
            if "heard" in frame:
                self._unheard = [said for said in self._unheard if said["n"] > frame["heard"]]
            if frame["type"] == "welcome":
                self._welcomed(frame)
                for said in self._unheard:
                    await wire.say(said)
            elif self._resume is not None:
                self._resume["seq"] = frame["seq"]
            match frame["type"]:
                case "welcome" if frame["resumed"] and self._in_session:
                    await self._resync(wire)
                case "state":
                    self.page, self.is_welcome = frame, True
                    if frame["state"] == "connecting":
                        await self._meet(wire, frame)
                case "signal" if frame["session"] == self.page.get("session"):
                    await self._answer(wire, frame["data"])
                case "error":
                    wire.may_ask_again()

    def _welcomed(self, frame: Frame) -> None:
        if self._resume is not None and not frame["resumed"] and self.chance.random() < 0.5:
            self.is_closed = True  # the session is lost: begin with a new tab
            raise Hopeless
        if not frame["resumed"]:
            self.page, self._said, self._unheard = {}, 0, []
        self._resume = {"key": frame["resume"]["key"], "seq": frame["seq"]}
        self._heartbeat_s = frame["heartbeat_ms"] / 1000
        self._failures = 0

    async def _say(self, wire: Wire, frame: Frame) -> None:
        """Send a frame; if it is numbered, keep it until the server has acknowledged it."""
        if self._counts_frames:
            self._said += 1
            frame = frame | {"n": self._said}
            self._unheard.append(frame)
        await wire.say(frame)

    # The call

    @property
    def _in_session(self) -> bool:
        return self.page.get("state") in ("connecting", "connected")

    async def _meet(self, wire: Wire, frame: Frame) -> None:
        """A new match: the initiator sends its offer. A known one: repeat what may be lost."""
        session = frame["session"]
        if session in self._ready:
            await self._say(wire, {"type": "connected", "session": session})
        elif frame["initiator"] and not self._numbers[session]:
            await self._describe(wire, "offer")

    async def _describe(self, wire: Wire, kind: str) -> None:
        await self._signal(wire, kind, "v=0\r\n" + "a=rtpmap\r\n" * self.chance.randrange(100, 500))
        for _ in range(CANDIDATES):
            await self._signal(wire, "candidate")

    async def _resync(self, wire: Wire) -> None:
        """Negotiate again, because the last signals may be lost."""
        if self.page["initiator"]:
            await self._describe(wire, "offer")
        else:
            await self._signal(wire, "resync")

    async def _signal(self, wire: Wire, kind: str, text: str = "") -> None:
        data = self._numbered(kind) | {"text": text}
        await self._say(wire, {"type": "signal", "session": self.page["session"], "data": data})

    def _numbered(self, kind: str) -> Frame:
        """A unique payload: its sender, its session and its sequence number."""
        session = self.page["session"]
        self._numbers[session] += 1
        return {"by": self.transcript.person, "in": session, "n": self._numbers[session], "kind": kind}

    async def _answer(self, wire: Wire, data: Frame) -> None:
        match data["kind"]:
            case "offer":
                await self._describe(wire, "answer")
                await self._report(wire)
            case "answer":
                await self._report(wire)
            case "resync" if self.page["initiator"]:
                await self._describe(wire, "offer")

    async def _report(self, wire: Wire) -> None:
        """Mostly report that media flow."""
        if self.page["state"] != "connecting":
            return
        session, luck, behaviour = self.page["session"], self.chance.random(), self.fleet.behaviour
        if self.fleet.quiet.is_set() or luck > behaviour.never_report + behaviour.fail:
            self._ready.add(session)
            await self._say(wire, {"type": "connected", "session": session})
        elif luck < behaviour.fail:
            await self._say(wire, {"type": "failed", "session": session, "code": "ice"})

    # Actions of people

    async def _search(self, wire: Wire) -> None:
        """Search, at most once for each state from the server."""
        if not wire.has_asked_to_search:
            wire.has_asked_to_search = True
            await self._say(wire, {"type": "search", "criteria": self.transcript.criteria})

    async def _act(self, wire: Wire) -> None:
        behaviour = self.fleet.behaviour
        vanish_at = trio.current_time() + self.chance.expovariate(1 / behaviour.vanish_every_s)
        beat_s = self._heartbeat_s * self.chance.uniform(0.6, 0.9)
        while True:
            with trio.move_on_after(self.chance.uniform(0.1, 0.6)):
                await self.fleet.over.wait()
            if self.fleet.over.is_set():
                await self._leave(wire)
            now, is_quiet = trio.current_time(), self.fleet.quiet.is_set()
            if now > vanish_at and not is_quiet:
                self._vanish()
            if wire.waits_for_pong_since is not None and now > wire.waits_for_pong_since + PONG_LIMIT_S:
                raise Hopeless
            if self.is_welcome:
                beat_s = min(beat_s, self._heartbeat_s * 0.8)
                await self._press(wire, is_quiet)
            if now > wire.pinged_at + beat_s and self.is_welcome:  # more often than a page, as evidence
                await wire.ping()

    def _vanish(self) -> None:
        """Lose the network, or the tab, without telling the server."""
        self._vanished = True
        if self.chance.random() < self.fleet.behaviour.stay_away:
            self.is_closed = True
        raise Hopeless

    async def _leave(self, wire: Wire) -> None:
        """Close the tab with a close frame as a browser does, or without one as after a power cut."""
        if self.is_welcome and self.chance.random() < 0.5:
            if self._in_session:
                await self._say(wire, {"type": "end", "session": self.page["session"]})
            elif self.page.get("state") == "searching":
                await self._say(wire, {"type": "cancel"})
        raise Hopeless

    async def _press(self, wire: Wire, is_quiet: bool) -> None:
        """Do one of the things that a person in this state might do."""
        luck, behaviour = self.chance.random(), self.fleet.behaviour
        session = self.page.get("session")
        match self.page.get("state"):
            case "idle":
                await self._search(wire)
            case "ended" if self.page["search_again_ms"] is None:
                await self._search(wire)
            case "searching" if not is_quiet and luck < behaviour.cancel:
                await self._say(wire, {"type": "cancel"})
            case "connecting" if is_quiet and session not in self._ready:
                self._ready.add(str(session))
                await self._say(wire, {"type": "connected", "session": session})
            case "connected" if not is_quiet and luck < behaviour.leave:
                await self._say(
                    wire, {"type": self.chance.choice(("skip", "skip", "end")), "session": session}
                )
            case "connected" if luck > 1 - behaviour.chat:
                text = json.dumps(self._numbered("chat"))
                await self._say(wire, {"type": "chat", "session": session, "text": text})


def seen(transcripts: list[Transcript]) -> Counter[Any]:
    """The number of received frames by type, or by state: shows whether a run covered enough."""
    counts: Counter[Any] = Counter()
    for transcript in transcripts:
        for entry in transcript.entries:
            if entry.what is What.HEARD:
                counts[entry.frame.get("state", entry.frame["type"])] += 1
                counts["resumed"] += bool(entry.frame.get("resumed"))
    return counts
