"""Sessions as the ledger records them, and the calls of store and queries that are measured on them.

Used by `benchmarks.database`: `Traffic` makes the records of one node, `Desk` prepares the calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from studymatch.ids import new_id
from studymatch.recording.ledger import Pace
from studymatch.recording.queries import Queries
from studymatch.recording.store import Store
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import (
    Entry,
    LedgerMessage,
    Node,
    SessionConnected,
    SessionEnded,
    SessionMatched,
)

SESSIONS_PER_MINUTE = 10_000
STAY_S, CONNECTING_S = 30.0, 1.0
OPEN = round(SESSIONS_PER_MINUTE / 60 * STAY_S)
"""The number of sessions that are open all the time."""
LARGE = 200
"""Calls (of users) in a large batch. A transaction of the ledger has at most 1,000 records, or 333 calls."""
CONNECTING = round(SESSIONS_PER_MINUTE / 60 * CONNECTING_S)

NAME = "Person 300"
"""The name of one person of `benchmarks.history`, who has sessions."""

Call = Callable[[Store], Awaitable[object]]
Question = Callable[[Queries], Awaitable[object]]


@dataclass
class Traffic:
    """Generates the records of `node`, in their order. Each person has one session.

    Once `OPEN` sessions are open, with each new session another one connects and the oldest ends.
    """

    node: Node
    open: deque[SessionMatched] = field(default_factory=deque)
    moved: deque[str] = field(default_factory=deque)
    """People in a session of another node who are matched here next."""

    def begin(self, ago_s: float = 0.0) -> list[LedgerMessage]:
        now, first, second = trio.current_time() - ago_s, new_id(), new_id()
        one = self.moved.popleft() if self.moved else first
        match = SessionMatched(new_id(), one, second, now, "Ada", "Ben")
        self.open.append(match)
        return [match]

    def step(self) -> list[LedgerMessage]:
        begun, connects, ends = self.begin(), self.open[-CONNECTING], self.open.popleft()
        now = trio.current_time()
        connected = SessionConnected(connects.session, now)
        return [*begun, connected, SessionEnded(ends.session, SessionCause.SKIPPED, ends.first, now)]

    def entries(self, steps: int) -> list[Entry]:
        return [Entry(self.node.id, record) for _ in range(steps) for record in self.step()]


@dataclass
class Desk:
    """Prepares the store's calls: the records of this node (`here`) and of another one (`there`)."""

    store: Store
    queries: Queries
    here: Traffic = field(default_factory=lambda: Traffic(Node(new_id(), "here")))
    there: Traffic = field(default_factory=lambda: Traffic(Node(new_id(), "there")))
    abandoned: int = 0

    async def open_sessions(self) -> None:
        """Claim both nodes, and bring `here` to its number of open sessions."""
        for traffic in (self.here, self.there):
            await self.store.renew_lease(traffic.node, 3600.0)
        await self._begin(self.here, OPEN)

    async def _begin(self, traffic: Traffic, sessions: int, ago_s: float = 0.0) -> None:
        records = [record for _ in range(sessions) for record in traffic.begin(ago_s)]
        await self.store.write([Entry(traffic.node.id, record) for record in records])

    async def batch(self, steps: int) -> Call:
        """Three records for each step; one of the people was in a session of the other node."""
        await self._begin(self.there, 1, ago_s=10.0)
        self.here.moved.append(self.there.open.pop().first)
        entries = self.here.entries(steps)
        return lambda store: store.write(entries)

    async def usual_batch(self) -> Call:
        return await self.batch(round(SESSIONS_PER_MINUTE / 60 * Pace().linger_s))

    async def large_batch(self) -> Call:
        return await self.batch(LARGE)

    async def lease(self) -> Call:
        return lambda store: store.renew_lease(self.here.node, Pace().lease_s)

    async def none_abandoned(self) -> Call:
        return lambda store: store.close_abandoned(self.here.node)

    async def thousand_abandoned(self) -> Call:
        """A thousand sessions of a node that holds no lease."""
        await self._begin(Traffic(Node(new_id(), "killed")), 1000)
        self.abandoned += 1000
        return lambda store: store.close_abandoned(self.here.node)

    async def start(self) -> Call:
        return lambda store: store.migrate()

    async def people(self) -> Question:
        return lambda queries: queries.people_named(NAME)

    async def sessions(self) -> Question:
        """Those of a person of the past."""
        [person] = (await self.queries.people_named(NAME)).rows
        return lambda queries: queries.sessions_of(person.id)

    async def still_open(self) -> Question:
        return lambda queries: queries.open_sessions()

    async def days(self) -> Question:
        return lambda queries: queries.days()
