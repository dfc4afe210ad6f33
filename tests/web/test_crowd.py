"""Two hundred people search, skip, fail and vanish at random for twenty seconds, over real sockets.

Server, hall and crowd share one trio loop here, so that afterwards it can be seen what is left in memory.
Everybody writes a transcript, on which the shared checks of the promises run (`tests/promises`).
The seed is printed by pytest when the test fails; sockets make a run only nearly repeatable.
"""

from __future__ import annotations

import gc
import json
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import trio

from actors import Door, Mailbox
from studymatch.pairing import Pairing
from studymatch.person.user import User
from studymatch.rules.outbox import Outbox
from studymatch.rules.pool import Ticket
from studymatch.rules.records import PersonArrived, fold
from tests.promises.checks import CROWD, checks_with, violations
from tests.promises.evidence import Evidence, Row, Rules
from tests.promises.transcript import Transcript, What
from tests.support.people import Building, a_hall
from tests.support.person import Page, Person, open_person
from tests.support.raw_client import Closed, Refused
from web.app import create_app
from web.conversation import Conversation
from web.identity import Identities
from web.reception import Reception
from web.server import ServerLimits, open_listeners, serve

CHECKS = checks_with(CROWD)
"""The checks of the promises that everybody's transcripts and the records allow."""

PEOPLE = 200
RUSH_S, RUSH_MAX_S = 20.0, 60.0
"""How long the rush lasts at least; and at most, if on a slow machine not everything has happened by then."""

HANDSHAKE_LIMIT_S = 8.0

KINDS = ("searching", "connecting", "connected", "ended", "chat", "partner", "resumed")
"""What has to happen in the rush."""

SETTINGS: dict[str, Any] = {
    "grace_s": 2.0,
    "connect_limit_s": 3.0,
    "apart_s": 1.0,
    "search_again_s": 0.1,
    "presence_every_s": 1.0,
    # People here leave matches, search and come again far more often than people do.
    **dict.fromkeys(("skips_burst", "address_skips_burst"), 100_000),
    **dict.fromkeys([f"{whose}searches_burst" for whose in ("", "address_", "person_")], 100_000),
    **dict.fromkeys([f"{whose}hellos_burst" for whose in ("", "address_", "person_")], 100_000),
}


@dataclass
class Crowd:
    """What everybody has in common, and what was seen from outside."""

    address: tuple[str, int]
    identities: Identities
    chance: random.Random
    quiet: trio.Event = field(default_factory=trio.Event)
    over: trio.Event = field(default_factory=trio.Event)
    transcripts: list[Transcript] = field(default_factory=list)
    pages: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)


class Visitor:
    """One simulated browser tab after another, each a new person, for as long as the crowd lasts."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.chance = random.Random(crowd.chance.random())

    async def live(self) -> None:
        while not self.crowd.over.is_set():
            guest, token = self.crowd.identities.new_guest("Visitor")
            page = Page(guest.id, token, clock=trio.current_time)
            self.crowd.transcripts.append(page.transcript)
            while True:
                await self.visit(page)
                if self.crowd.quiet.is_set() or self.chance.random() < 0.5:
                    break
                await trio.sleep(self.chance.uniform(0, 3))  # within the grace, or not
            self.crowd.pages.pop(page.person, None)

    async def visit(self, page: Page) -> None:
        """One connection."""
        with suppress(Refused):
            async with open_person(self.crowd.address, page, limit_s=HANDSHAKE_LIMIT_S) as link:
                with suppress(Closed):
                    await link.say_hello()
                    await self.talk(link)

    async def talk(self, link: Person) -> None:
        vanish_at = trio.current_time() + self.chance.expovariate(1 / 8)
        has_state = False
        while True:
            limit = self.crowd.over if self.crowd.quiet.is_set() else None
            if limit is None and trio.current_time() > vanish_at:
                return
            frame = None
            with trio.move_on_after(self.chance.uniform(0.05, 1.0)):
                frame = await link.hear()
            if self.crowd.over.is_set():
                return
            if frame is not None:
                match frame["type"]:
                    case "welcome":
                        self.crowd.seen["resumed"] += frame["resumed"]
                    case "state":
                        has_state = True
                        self.crowd.pages[link.page.person] = frame
                        self.crowd.seen[frame["state"]] += 1
                    case "error":
                        assert frame["code"] == "not_now", frame
                    case kind:
                        self.crowd.seen[kind] += 1
            if has_state:
                await self.act(link, settled=frame is None)

    async def act(self, link: Person, *, settled: bool) -> None:
        """Do what somebody in this state might do; once it is quiet, only what leads to a call."""
        wild = self.chance.random() if not self.crowd.quiet.is_set() else 0.0
        session = link.state["session"]
        match link.state["state"]:
            case "idle":
                await link.say("search")
            case "searching" if settled and wild > 0.9:
                await link.say("cancel")
            case "connecting" if wild > 0.95:
                await link.say(self.chance.choice(["failed", "skip", "end"]), session=session)
            case "connecting" if wild < 0.9:
                await link.say("signal", session=session, data=link.page.words(session))
                await link.say("connected", session=session)
            case "connected" if wild > 0.7:
                await link.say(self.chance.choice(["skip", "skip", "end"]), session=session)
            case "connected" if wild > 0.4:
                await link.say("chat", session=session, text=json.dumps(link.page.words(session)))
            case "ended" if settled and link.state["search_again_ms"] is None:
                await link.say("search")


@asynccontextmanager
async def a_server() -> AsyncIterator[tuple[Building, tuple[str, int], Identities]]:
    identities = Identities(("a secret for the crowd",), 3600)
    limits = ServerLimits()
    async with a_hall(**SETTINGS) as building, trio.open_nursery() as nursery:
        reception = Reception(building.hall, identities.recognise, building.settings)
        stop = trio.Event()
        listeners = open_listeners("127.0.0.1", 0, limits=limits)
        start = partial(serve, create_app(reception, identities), listeners, limits=limits, stop=stop)
        await nursery.start(start)
        yield building, listeners[0].getsockname(), identities
        stop.set()


def left_in_memory() -> Counter[str]:
    """How many objects of a person's are alive."""
    gc.collect()
    kinds = (User, Door, Mailbox, Ticket, Pairing, Outbox, Conversation)
    return Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, kinds))


@pytest.mark.parametrize("seed", [20261124])
async def test_a_crowd(seed: int) -> None:
    async with a_server() as (building, address, identities):
        crowd = Crowd(address, identities, random.Random(seed))
        memory, tasks = left_in_memory(), trio.lowlevel.current_statistics().tasks_living
        async with trio.open_nursery() as nursery:
            for _ in range(PEOPLE):
                nursery.start_soon(Visitor(crowd).live)
            await trio.sleep(RUSH_S)
            with trio.move_on_after(RUSH_MAX_S - RUSH_S):
                while not all(crowd.seen[kind] for kind in KINDS):  # noqa: ASYNC110
                    await trio.sleep(0.5)
            crowd.quiet.set()
            await calm(crowd)
            check_what_everybody_sees(crowd)
            crowd.over.set()
        with trio.fail_after(150):
            while len(building.hall) > 0:  # noqa: ASYNC110
                await trio.sleep(0.5)
        await trio.sleep(1)
        assert building.lines.events("crashed") == []
        assert left_in_memory() - memory == Counter()
        assert trio.lowlevel.current_statistics().tasks_living <= tasks
    check_the_records(building, crowd)
    assert violations(evidence_of(building, crowd), CHECKS) == []
    for kind in KINDS:
        assert crowd.seen[kind] > 0, f"the crowd was too tame: {crowd.seen}"


async def calm(crowd: Crowd) -> None:
    """Wait until whoever vanished is lost, and every match has become a call: seconds, on a free machine."""
    with trio.fail_after(150):
        while len(in_calls(crowd)) < PEOPLE:  # noqa: ASYNC110
            await trio.sleep(0.5)


def in_calls(crowd: Crowd) -> list[dict[str, Any]]:
    """The pages in a call that their partner's page shows too: either may still be told that it is over."""
    connected = {person: page for person, page in crowd.pages.items() if page["state"] == "connected"}
    partners = [(page, connected.get(page["partner"]["id"])) for page in connected.values()]
    return [page for page, other in partners if other is not None and other["session"] == page["session"]]


def check_what_everybody_sees(crowd: Crowd) -> None:
    """Nobody searches while another does, and the partner of everybody's partner is they."""
    searching = [page for page in crowd.pages.values() if page["state"] == "searching"]
    assert len(searching) <= 1
    assert len(crowd.pages) == PEOPLE
    for person, page in crowd.pages.items():
        if page["state"] in ("connecting", "connected"):
            other = crowd.pages[page["partner"]["id"]]
            assert other["session"] == page["session"]
            assert other["partner"]["id"] == person
            assert other["initiator"] is not page["initiator"]


def check_the_records(building: Building, crowd: Crowd) -> None:
    """Every session that anybody saw is recorded from its match to its end, once each."""
    records: defaultdict[str, list[str]] = defaultdict(list)
    for entry in building.store.entries:
        if not isinstance(entry.record, PersonArrived):
            records[entry.record.session].append(type(entry.record).__name__)
    told = {
        entry.frame["session"] for page in crowd.transcripts for entry in page.frames(What.HEARD, "state")
    }
    for session in told - {None}:
        assert records[session] in (
            ["SessionMatched", "SessionEnded"],
            ["SessionMatched", "SessionConnected", "SessionEnded"],
        )


def evidence_of(building: Building, crowd: Crowd) -> Evidence:
    """What everybody saw, and what is recorded: of the same clock, because all share one process."""
    rules = Rules(
        grace_s=SETTINGS["grace_s"],
        apart_s=SETTINGS["apart_s"],
        heartbeat_s=building.settings.heartbeat_s,
        search_again_s=SETTINGS["search_again_s"],
        clocks_s=0.01,
    )
    sessions = fold(building.store.entries).sessions
    assert all(row.matched_at is not None for row in sessions.values())
    rows = [Row.of(session, row) for session, row in sessions.items()]
    return Evidence(crowd.transcripts, rows, rules)
