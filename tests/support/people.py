"""Simulated people: browser tabs that use a real hall without a socket, on any clock.

A `Tab` is the transport itself: `frames` holds what the hall writes to it, and the real protocol decodes what
it sends. `a_hall` is a real hall with a store in memory.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio
import trio.testing

from actors import Door, Mailbox
from actors.testing import Lines
from studymatch.hall import Chance, Hall, open_hall
from studymatch.messages import Detached, Guest, PageMessage, Refused
from studymatch.patience import Debt
from studymatch.person.saved import SavedPerson
from studymatch.person.user import User
from studymatch.recording.ledger import Ledger, Pace
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.people import Person
from studymatch.rules.protocol import (
    ResumeRequest,
    decode,
)
from studymatch.rules.records import (
    Entry,
    LedgerMessage,
    Node,
    SessionConnected,
    SessionEnded,
    SessionMatched,
)
from studymatch.settings import Settings

Frame = dict[str, Any]


class Tab:
    """A browser tab of one person, as the connection that the hall writes to."""

    build: str | None = "the build"

    def __init__(self, building: Building, name: str, person: Person | None = None) -> None:
        self.building = building
        self.person = person or Person(building.new_id(), name)
        self.frames: list[Frame] = []
        self.code: CloseCode | None = None
        self.user: User | None = None
        self.door: Door[PageMessage] | None = None
        self.credits = 0
        building.tabs.append(self)

    # What the hall does with its connection

    def write(self, frames: Sequence[bytes]) -> None:
        assert self.code is None, "nothing may be written after the hall hung up"
        self.frames += map(json.loads, frames)

    def credit(self) -> None:
        self.credits += 1

    def hang_up(self, code: CloseCode) -> None:
        if self.code is None:
            self.code = code

    # What the person does

    async def open(self, resume: Tab | None = None, *, key: str | None = None, seq: int | None = None) -> Tab:
        """Connect; with `resume`, as the tab that was connected before and dropped."""
        request = None
        if resume is not None:
            request = ResumeRequest(key or resume.key, resume.seq if seq is None else seq)
        self.user, self.door = await self.building.hall.arrive(Guest(self.person), self, request)
        await until_quiet()
        return self

    async def drop(self) -> None:
        """The connection drops."""
        self.drop_at_once()
        await until_quiet()

    def drop_at_once(self) -> None:
        """The connection drops, and no other task runs meanwhile."""
        self.tell(Detached())

    def tell(self, message: PageMessage) -> None:
        """Tell the actor what the connection hears."""
        assert self.door is not None
        self.door.tell(message)

    async def come_back(self, building: Building | None = None, **how: Any) -> Tab:
        """A new connection of the same page, perhaps to the server after a restart."""
        return await Tab(building or self.building, self.person.name, self.person).open(self, **how)

    def say_at_once(self, kind: str, **fields: Any) -> None:
        """Send a frame, without letting other tasks run."""
        self.tell(decode(json.dumps({"type": kind, **fields})))

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a frame, and let all tasks run until they wait."""
        self.say_at_once(kind, **fields)
        await until_quiet()

    async def refuse(self, code: str) -> None:
        """Simulate a frame that the edge has refused."""
        self.tell(Refused(code, "no"))
        await until_quiet()

    async def about(self, kind: str, **fields: Any) -> None:
        """Send a frame about the current session."""
        await self.say(kind, session=self.session, **fields)

    # What the person has seen

    def all(self, kind: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == kind]

    @property
    def states(self) -> list[str]:
        return [frame["state"] for frame in self.all("state")]

    @property
    def last(self) -> Frame:
        return self.all("state")[-1]

    @property
    def state(self) -> str:
        return str(self.last["state"])

    @property
    def session(self) -> str:
        return str(self.last["session"])

    @property
    def key(self) -> str:
        return str(self.all("welcome")[-1]["resume"]["key"])

    @property
    def seq(self) -> int:
        return int(self.frames[-1]["seq"])


async def until_quiet() -> None:
    """Let all tasks run until they wait for a message or for the clock."""
    await trio.testing.wait_all_tasks_blocked()


@dataclass
class RememberingStore:
    """A store that keeps all records in memory, in order."""

    entries: list[Entry] = field(default_factory=list)

    async def write(self, batch: Sequence[Entry]) -> None:
        await trio.lowlevel.checkpoint()
        self.entries.extend(batch)

    async def renew_lease(self, node: Node, lease_s: float) -> None:
        await trio.lowlevel.checkpoint()

    async def close_abandoned(self, node: Node) -> int:
        await trio.lowlevel.checkpoint()
        return 0


@dataclass
class Building:
    """A hall, with its journal, records and settings for tests."""

    hall: Hall
    store: RememberingStore
    lines: Lines
    settings: Settings
    ids: count[int] = field(default_factory=count)
    session_ids: count[int] = field(default_factory=lambda: count(1))
    tabs: list[Tab] = field(default_factory=list)
    saved_people: tuple[SavedPerson, ...] = ()
    debts: tuple[Debt, ...] = ()

    def new_id(self) -> str:
        return f"00000000-0000-7000-8000-{next(self.ids):012x}"

    async def tab(self, name: str) -> Tab:
        """A new person, connected and idle."""
        return await Tab(self, name).open()

    async def searching(self, name: str, **criteria: str) -> Tab:
        """A new person who has pressed Find Partner."""
        tab = await self.tab(name)
        await tab.say("search", criteria=criteria)
        return tab

    async def pair(self, one: str = "Ada", other: str = "Ben") -> tuple[Tab, Tab]:
        """Two new people, just matched; the initiator first."""
        first, second = await self.searching(one), await self.searching(other)
        assert first.state == second.state == "connecting"
        return (first, second) if first.last["initiator"] else (second, first)

    async def call(self, one: str = "Ada", other: str = "Ben") -> tuple[Tab, Tab]:
        """Two new people in a call; the initiator first."""
        first, second = await self.pair(one, other)
        await first.about("connected")
        await second.about("connected")
        assert first.state == second.state == "connected"
        return first, second

    def records(self, session: str) -> list[LedgerMessage]:
        """The records of a session."""
        return [
            entry.record
            for entry in self.store.entries
            if isinstance(entry.record, SessionMatched | SessionConnected | SessionEnded)
            and entry.record.session == session
        ]

    def moves(self) -> list[tuple[str, str, str | None]]:
        """Every change of state in the journal: from, to, cause."""
        return [(line["from"], line["to"], line.get("cause")) for line in self.lines.events("moved")]


@asynccontextmanager
async def a_hall(
    *, after: Building | None = None, away_s: float = 0.0, **settings: Any
) -> AsyncIterator[Building]:
    """A real hall with a store in memory and repeatable ids; with `after`, that one after a restart."""
    lines, chosen = Lines(), Settings(**settings)
    store = after.store if after else RememberingStore()
    ids = after.session_ids if after else count(1)
    chance = Chance(
        new_id=lambda: f"00000000-0000-7000-9000-{next(ids):012x}", new_key=lambda: f"key {next(ids)}"
    )
    with TemporaryDirectory() as folder:
        ledger = Ledger(
            Mailbox(),
            store,
            Node("00000000-0000-7000-a000-000000000001", "test"),
            Path(folder) / "unwritten.jsonl",
            lines.journal("ledger"),
            pace=Pace(linger_s=0.0),
        )
        async with open_hall(chosen, ledger, chance=chance, journal_for=lines.journal) as hall:
            building = Building(hall, store, lines, chosen, session_ids=ids)
            if after is not None:
                building.ids = after.ids
                hall.restore(after.saved_people, away_s, after.debts)
            yield building
            building.saved_people, building.debts = hall.hand_over(), hall.debts()
            await hall.deserted()
