"""The waiting pool, after any sequence of steps, against a model that knows no shortcut."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, invariant, multiple, rule

from studymatch.rules.pool import CRITERIA, Pool, Ticket
from tests.support.tickets import Door, ticket

APART_S = 5.0


class Model:
    """The same promises, kept by looking at everybody each time."""

    def __init__(self) -> None:
        self.arrived: list[Ticket[Door]] = []

    def in_order(self) -> list[Ticket[Door]]:
        return sorted((t for t in self.arrived if t.open), key=lambda t: (not t.head, t.since))

    def remove(self, *leaving: Ticket[Door]) -> None:
        self.arrived = [t for t in self.arrived if t not in leaving]

    def offer(self, newcomer: Ticket[Door], now: float) -> Ticket[Door] | None:
        fitting = [t for t in self.in_order() if fit(t, newcomer)]
        free = [t for t in fitting if not kept_apart(t, newcomer)]
        ripe = [t for t in fitting if ripe_at(t, newcomer) <= now]
        for partner in free + ripe:
            self.remove(partner)
            return partner
        self.arrived.append(newcomer)
        return None

    def pairs(self) -> list[tuple[Ticket[Door], Ticket[Door]]]:
        return [(a, b) for a, b in combinations(self.in_order(), 2) if fit(a, b)]

    def due(self) -> float | None:
        return min((ripe_at(a, b) for a, b in self.pairs()), default=None)

    def pair_due(self, now: float) -> list[tuple[Ticket[Door], Ticket[Door]]]:
        taken = []
        while ripe := [(a, b) for a, b in self.pairs() if ripe_at(a, b) <= now]:
            self.remove(*ripe[0])
            taken.append(ripe[0])
        return taken


def fit(a: Ticket[Door], b: Ticket[Door]) -> bool:
    return all(
        a.criteria[name] == b.criteria[name] for name in CRITERIA if name in a.criteria and name in b.criteria
    )


def kept_apart(a: Ticket[Door], b: Ticket[Door]) -> bool:
    return a.user in b.apart or b.user in a.apart


def ripe_at(a: Ticket[Door], b: Ticket[Door]) -> float:
    return max(a.entered, b.entered) + APART_S


SOME_USERS = "abcdefgh"
USERS = st.sampled_from(SOME_USERS)
SECONDS = st.integers(0, 6)
WANTED = st.fixed_dictionaries(
    {},
    optional={"subject": st.sampled_from(["maths", "law", "art"]), "language": st.sampled_from(["en", "fr"])},
)
MET = st.sampled_from(["", "", SOME_USERS[:4], SOME_USERS]) | st.sets(USERS)
SEEKERS = st.fixed_dictionaries(
    {"user": USERS, "head": st.booleans(), "waited": SECONDS, "wanted": WANTED, "apart": MET}
)


class PoolAndModel(RuleBasedStateMachine):
    """People come, go, vanish and come back; the pool and the model must agree at every step."""

    tickets = Bundle("tickets")

    def __init__(self) -> None:
        super().__init__()
        self.pool: Pool[Door] = Pool(APART_S)
        self.model = Model()
        self.now = 0.0
        self.drained_at = 0.0

    @rule(target=tickets, seekers=st.lists(SEEKERS, min_size=1, max_size=5))
    def search(self, seekers: list[dict[str, Any]]) -> MultipleResults[Ticket[Door]]:
        newcomers = [
            replace(
                ticket(who["user"]),
                since=self.now - who["waited"],
                entered=self.now,
                head=who["head"],
                criteria=who["wanted"],
                apart=frozenset(who["apart"]),
            )
            for who in seekers
        ]
        for newcomer in newcomers:
            self.come_back(newcomer)
        return multiple(*newcomers)

    @rule(ticket=tickets)
    def come_back(self, ticket: Ticket[Door]) -> None:
        if not ticket.open:
            assert self.pool.offer(ticket, self.now) is None
        elif any(waiting.user == ticket.user for waiting in self.model.in_order()):
            with pytest.raises(ValueError, match="do not wait yet"):
                self.pool.offer(ticket, self.now)
        else:
            assert self.pool.offer(ticket, self.now) is self.model.offer(ticket, self.now)

    @rule(ticket=tickets)
    def withdraw(self, ticket: Ticket[Door]) -> None:
        expected = ticket if ticket in self.model.in_order() else None
        withdrawn = self.pool.withdraw(ticket.id)
        assert withdrawn is expected or not ticket.open
        self.model.remove(ticket)

    @rule(ticket=tickets)
    def vanish(self, ticket: Ticket[Door]) -> None:
        ticket.door.open = False

    @rule(seconds=SECONDS)
    def let_pass(self, seconds: int) -> None:
        self.now += seconds

    @rule(ask_first=st.booleans())
    def pair_due(self, ask_first: bool) -> None:
        if ask_first:
            assert self.pool.due() == self.model.due()
        assert self.pool.pair_due(self.now) == self.model.pair_due(self.now)
        self.drained_at = self.now

    @invariant()
    def the_same_people_wait_in_the_same_order(self) -> None:
        inside = list(self.pool)
        assert [t for t in inside if t.open] == self.model.in_order()
        assert len(self.pool) == len(inside)
        assert all(t.id in self.pool for t in inside)

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        for a, b in combinations([t for t in self.pool if t.open], 2):
            assert not fit(a, b) or (kept_apart(a, b) and ripe_at(a, b) > self.drained_at)


PoolAndModel.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestPoolAndModel = PoolAndModel.TestCase
