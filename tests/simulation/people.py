"""Simulated people: they search, cancel, skip, chat, vanish, come back, open a second tab, and send nonsense.

A `Page` is one browser tab with its successive connections. It stores what it received, as a real page does;
`recorder.py` writes the transcript that the checks read. Most pages number their frames, and repeat them
until the server has acknowledged them; some behave like older pages without numbers. When the world is quiet,
everybody cooperates: they come back, search, and report that media flow.

The `Page` of `tests/support/person.py` is another one, because it is always correct. Pages here forget or
mistake their key, repeat too much, speak before the welcome, and open second tabs.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from math import ceil
from typing import TYPE_CHECKING, Any

import trio

from studymatch.rules.people import Person
from tests.simulation.network import Frame, Wire
from web.conversation import CREDIT

if TYPE_CHECKING:
    from tests.simulation.world import World

LOCKSTEP_S = 0.5
"""With lockstep, people act at multiples of this interval, so that much happens at the same moment."""

DANCE = '{"type":"dance"}'
NONSENSE = (
    "",
    "[]",
    DANCE,
    '{"type":"skip"}',
    '{"type":"chat","session":"x","text":""}',
    '{"type":"hello","version":1,"token":"again"}',
    '{"type":"state","state":"connected"}',
)


@dataclass
class Told:
    """A frame that reached a page, its connection, and the time."""

    at: float
    wire: int
    frame: Frame


class Manner(Enum):
    """The version of a page: whether it numbers its frames, and what it repeats."""

    NUMBERED = "it numbers its frames, and says again what the server has not heard"
    HASTY = "the same, but it says again also what it could know to have been heard"
    PLAIN = "it knows of no numbers"


class Departure(Enum):
    """What a page does after it has said `leaving`."""

    CLOSED = "it is closed for good"
    RELOADED = "it comes back with its key"
    STAYED = "the person changes their mind"


@dataclass
class Said:
    """A frame that a page has sent, and when."""

    at: float
    n: int
    frame: Frame


@dataclass
class Page:
    """One tab of one person.

    `left` are the sessions that it asked to end. `numbered` are its frames to its current actor, `kept` those
    that are not yet acknowledged; `greeted_on` is the connection of its last welcome.
    """

    person: Person
    token: str
    told: list[Told] = field(default_factory=list)
    said: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    left: set[str] = field(default_factory=set)
    state: Frame | None = None
    key: str | None = None
    old_key: str | None = None
    seq: int = 0
    wire: Wire | None = None
    manner: Manner = Manner.NUMBERED
    numbered: list[Said] = field(default_factory=list)
    kept: list[Said] = field(default_factory=list)
    greeted_on: Wire | None = None
    greeted_at: float = 0.0
    departure: Departure | None = None

    def say(self, wire: Wire, frame: Frame) -> None:
        """Send a frame now; a numbered one only after the welcome on this connection."""
        if self.manner is Manner.PLAIN or frame["type"] in ("ping", "leaving"):
            wire.say(json.dumps(frame))
            return
        said = Said(trio.current_time(), len(self.numbered) + 1, frame)
        self.numbered.append(said)
        self.kept.append(said)
        if self.greeted_on is wire:
            self._write(wire, said)

    def _write(self, wire: Wire, said: Said) -> None:
        wire.say(json.dumps({**said.frame, "n": said.n}))

    def _say_again(self, wire: Wire, welcome: Frame) -> None:
        """After a welcome, repeat the frames that the actor has not handled; to a new actor nothing."""
        self.greeted_on, self.greeted_at = wire, trio.current_time()
        if not welcome["resumed"]:
            self.numbered, self.kept = [], []
        if self.manner is not Manner.HASTY:
            self._forget(welcome["heard"])
        for said in self.kept:
            self._write(wire, said)

    def _forget(self, heard: int) -> None:
        self.kept = [said for said in self.kept if said.n > heard]

    def take(self, wire: Wire, frame: Frame) -> None:
        self.told.append(Told(trio.current_time(), wire.number, frame))
        self.seq = frame.get("seq", self.seq)  # a refusal of the hello has no number
        match frame["type"]:
            case "welcome":
                if self.key not in (None, frame["resume"]["key"]):
                    self.old_key = self.key
                self.key = frame["resume"]["key"]
                self._say_again(wire, frame)
            case "pong":
                self._forget(frame["heard"])
            case "state":
                self.state = frame
            case "partner" if self.state is not None and self.state["partner"] is not None:
                self.state["partner"]["away"] = frame["away"]


class Human:
    """A person whose actions are drawn from their own random generator and the plan."""

    forgetful = 0.15
    """How often a page that comes back has no key, a wrong one or an old one."""

    manners: tuple[Manner, ...] = (Manner.NUMBERED, Manner.NUMBERED, Manner.HASTY, Manner.PLAIN)
    """The versions of the page that people may have; one of them is drawn."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"P{number}"
        self.chance = random.Random(world.chance.random())
        self.subject = f"subject {self.chance.randrange(world.plan.subjects)}"
        self.flaky = self.chance.random() < world.plan.vanishing
        self.never_connects = self.chance.random() < world.plan.never_connects
        # A separate generator: people's actions must not depend on which versions there are.
        self.manner = random.Random(f"{world.seed} {self.name}").choice(self.manners)
        self.departures = random.Random(f"{world.seed} {self.name} parting")

    async def live(self) -> None:
        """Use one tab after another until the run ends."""
        await self.pause(0, 5)
        while not self.world.over:
            page = self.world.new_page(self.name)
            await self.use(page)
            await self.pause(0, 5)

    async def use(self, page: Page) -> None:
        """Use a tab from its first connection until it is closed for good."""
        page.manner = self.manner
        while not self.world.over:
            page.wire = wire = self.world.connect(page)
            wire.say(json.dumps(self.hello(page)))
            try:
                closed = await self.sit(page, wire)
            finally:
                page.wire = None
                self.world.recorder.closed(wire)
            if closed or page.departure is Departure.CLOSED or self.has_enough():
                self.world.story(f"{self.name} closes the tab")
                return
            if self.world.quiet:
                await trio.sleep(0.1)
            elif page.departure is Departure.RELOADED:
                await self.load_again()
            else:
                await self.stay_away()

    def has_enough(self) -> bool:
        """Whether they close the tab after it has lost its connection."""
        return not self.world.quiet and self.chance.random() < (0.02 if self.flaky else 0.2)

    async def stay_away(self) -> None:
        """Wait until the page connects again."""
        await self.pause(0, self.chance.choice([1, 4] if self.flaky else [1, 4, 15, 40]))

    async def load_again(self) -> None:
        """Wait until the page has been reloaded: mostly within the grace for that."""
        await trio.sleep(self.departures.choice([0.0, 0.1, 0.5, 3.0, 4.5, 8.0]))
        if self.world.plan.lockstep:
            await self.in_step()

    def hello(self, page: Page) -> Frame:
        frame: Frame = {"type": "hello", "version": 1, "token": page.token}
        if page.key is None:
            return frame
        key: str | None = page.key
        if not self.world.quiet and self.chance.random() < self.forgetful:
            key = self.chance.choice([None, "a wrong key", page.old_key])
        if key is not None:
            frame["resume"] = {"key": key, "seq": page.seq}
        return frame

    async def sit(self, page: Page, wire: Wire) -> bool:
        """Use one connection. Returns True if the server does not want this tab back."""
        heard = False
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                nonlocal heard
                try:
                    while True:
                        frame = await wire.hear()
                        page.take(wire, frame)
                        self.world.page_told(page, wire, frame)
                except trio.EndOfChannel:
                    heard = True
                nursery.cancel_scope.cancel()

            nursery.start_soon(listen)
            while True:
                await self.think()
                if self.world.over or self.act(page, wire):
                    nursery.cancel_scope.cancel()
                    break
        if self.world.over and not heard:
            wire.lose("close")
        return wire.code == 4409

    async def think(self) -> None:
        """Wait between two actions. In lockstep everybody acts at the same moments."""
        if self.world.quiet:
            await trio.sleep(self.chance.uniform(1, 6))
        elif self.world.plan.lockstep:
            await trio.sleep(self.chance.choice([0.0, LOCKSTEP_S, LOCKSTEP_S, 4 * LOCKSTEP_S]))
            await self.in_step()
        else:
            await trio.sleep(self.chance.choice([0.0, 0.05, 0.5, self.chance.uniform(0, 4), 5.0]))

    async def pause(self, least_s: float, most_s: float) -> None:
        await trio.sleep(self.chance.uniform(least_s, most_s))
        if self.world.plan.lockstep:
            await self.in_step()

    async def in_step(self) -> None:
        now = trio.current_time()
        await trio.sleep_until(LOCKSTEP_S * ceil(now / LOCKSTEP_S))

    # One action

    def act(self, page: Page, wire: Wire) -> bool:
        """Do one thing, or nothing. Returns True if the connection was lost."""
        plan, wild = self.world.plan, 1.0 if self.world.quiet else self.chance.random()
        vanishing = plan.vanishing * (0.8 if self.flaky else 0.2)
        page.departure = None
        if not self.world.quiet and self.departures.random() < plan.departure:
            return self.part(page, wire)
        if wild < vanishing:
            how = self.chance.choice(["close", "break", "silent"])
            self.world.story(f"{self.name} loses the network ({how})")
            wire.lose(how)
            return True
        if wild < vanishing + plan.stalling / 5:
            self.world.story(f"{self.name} stops reading")
            wire.stall()
        elif not self.world.quiet and self.chance.random() < plan.mischief:
            self.mischief(page, wire)
        elif page.state is not None:
            self.sensible(page, wire, page.state)
        return False

    def part(self, page: Page, wire: Wire) -> bool:
        """The page says `leaving`, or only closes as browsers do. Returns True if it then leaves."""
        page.departure = self.departures.choice(list(Departure))
        if page.departure is not Departure.STAYED and self.departures.random() < 0.3:
            self.world.story(f"{self.name} closes the page")
            wire.close_page()
            return True
        self.say(page, wire, "leaving")
        if page.departure is Departure.STAYED:
            return False
        wire.lose("close")
        return True

    def sensible(self, page: Page, wire: Wire, state: Frame) -> None:  # noqa: C901 (one case for each thing to do)
        quiet, roll = self.world.quiet, self.chance.random()
        session = state["session"]
        match state["state"]:
            case "idle":
                self.say(page, wire, "search", criteria={"subject": self.subject})
                if not quiet and roll < self.world.plan.impatience / 2:
                    self.say(page, wire, "cancel")  # in the same step
            case "searching" if not quiet and roll < self.world.plan.impatience / 4:
                self.say(page, wire, "cancel")
            case "searching":
                self.say(page, wire, "ping")
            case "connecting" if not quiet and roll < self.world.plan.impatience / 2:
                kind = self.chance.choice(["skip", "end", "failed"])
                self.say(page, wire, kind, session=session)
            case "connecting":
                self.signal(page, wire, session)
                if quiet or (roll < 0.7 and not self.never_connects):
                    self.say(page, wire, "connected", session=session)
            case "connected" if not quiet and roll < self.world.plan.impatience:
                self.say(page, wire, self.chance.choice(["skip", "skip", "end"]), session=session)
            case "connected" if roll < 0.4:
                self.signal(page, wire, session)
            case "connected" if roll < 0.8:
                self.chat(page, wire, session)
            case "connected":
                self.say(page, wire, "ping")
            case "ended" if state["search_again_ms"] is None:
                self.say(page, wire, "search", criteria={"subject": self.subject})

    def mischief(self, page: Page, wire: Wire) -> None:  # noqa: C901 (one mischief in each branch)
        """Send frames that are late, repeated, out of order, nonsense or many, or open a second tab."""
        sessions = [told.frame["session"] for told in page.told if told.frame.get("session")]
        match self.chance.randrange(7):
            case 0:
                nonsense = self.chance.choice(NONSENSE)
                if nonsense == DANCE:
                    page.say(wire, json.loads(nonsense))  # a frame that is refused has a number, too
                else:
                    wire.say(nonsense)
            case 1 if sessions:
                kind = self.chance.choice(["skip", "end", "failed", "connected"])
                self.say(page, wire, kind, session=self.chance.choice(sessions))
            case 2 if sessions:
                for _ in range(2):
                    self.say(page, wire, self.chance.choice(["skip", "connected"]), session=sessions[-1])
            case 3:
                for kind in self.chance.choice(
                    [["search"], ["cancel"], ["search", "cancel"], ["cancel", "search"]]
                ):
                    self.say(page, wire, kind)
            case 4 if self.chance.random() < 0.3:
                self.world.second_tab(page)
            case 5 if sessions:
                self.chance.choice([self.signal, self.chat])(page, wire, self.chance.choice(sessions))
            case 6:
                self.torrent(page, wire)
            case _:
                self.say(page, wire, "ping")

    def torrent(self, page: Page, wire: Wire) -> None:
        """Send more at once than the server handles before it pauses the connection."""
        self.say(page, wire, self.chance.choice(["search", "cancel", "ping"]))
        for _ in range(2 * CREDIT):
            self.say(page, wire, "ping")

    def signal(self, page: Page, wire: Wire, session: str) -> None:
        self.say(page, wire, "signal", session=session, data=self.words(page, session))

    def chat(self, page: Page, wire: Wire, session: str) -> None:
        self.say(page, wire, "chat", session=session, text=json.dumps(self.words(page, session)))

    def words(self, page: Page, session: str) -> Frame:
        """A payload with its sender and number, so that the oracle knows what should arrive where."""
        sent = page.said[session]
        sent.append(len(sent) + 1)
        return {"by": page.person.id, "in": session, "n": sent[-1]}

    def say(self, page: Page, wire: Wire, kind: str, **fields: Any) -> None:
        if kind in ("skip", "end", "failed"):
            page.left.add(fields["session"])
        self.world.story(f"{self.name} says {kind}")
        page.say(wire, {"type": kind, **fields})
