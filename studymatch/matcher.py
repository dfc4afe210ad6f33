"""The matcher: the one actor that decides who meets whom.

It owns the `Pool`, and handles each message in the step in which it is sent. It pairs two people and links
their doors in one synchronous step. So "partner of" is symmetric at every moment, and when one of the two
leaves, the other is notified, even if neither has handled the match yet.

While a ticket waits, its door is linked with the *desk*, a door of this run of the matcher. When a user
leaves the search, their door closes, which rings the desk: the matcher withdraws the ticket. When the matcher
crashes, the desk closes, which rings everybody who waits: they offer their tickets again, to the mailbox,
which outlives the crash. So no ticket is lost, and none stays behind.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import assert_never

import trio

from actors import Door, Journal, Mailbox, link
from studymatch.messages import (
    Asked,
    Matched,
    MatcherLost,
    MatcherMessage,
    Offer,
    Seeker,
    Withdrawn,
)
from studymatch.pairing import bind
from studymatch.patience import Patience
from studymatch.rules.pool import Pool, Ticket
from studymatch.rules.records import LedgerMessage, SessionMatched


class Matcher:
    """Pairs the tickets that arrive in `mailbox`. `new_id` makes the ids of sessions."""

    def __init__(
        self,
        mailbox: Mailbox[MatcherMessage],
        ledger: Mailbox[LedgerMessage],
        patience: Patience,
        *,
        new_id: Callable[[], str],
        apart_s: float,
        journal: Journal,
    ) -> None:
        self._mailbox = mailbox
        self._ledger = ledger
        self._patience = patience
        self._new_id = new_id
        self._apart_s = apart_s
        self._journal = journal

    async def run(self) -> None:
        """Match until cancelled. Run it again after a crash; it starts with an empty pool."""
        pool: Pool[Seeker] = Pool(self._apart_s)
        with Door(self._mailbox) as desk:
            while True:
                await self._take_turns(pool, desk)
                self._pair_due(pool, desk)

    async def _take_turns(self, pool: Pool[Seeker], desk: Door[MatcherMessage]) -> None:
        """Handle messages in the step in which they are sent, until two who were kept apart may meet."""
        with trio.CancelScope(deadline=_when(pool.due())) as alarm:

            def handle_in_place(message: MatcherMessage) -> bool:
                self._turn(pool, desk, message)
                if (due := _when(pool.due())) < alarm.deadline:
                    alarm.deadline = due
                return True

            await self._mailbox.receive(handle_in_place)

    def _turn(self, pool: Pool[Seeker], desk: Door[MatcherMessage], message: MatcherMessage) -> None:
        """Handle one message, in one synchronous step."""
        match message:
            case Offer(ticket):
                self._offer(pool, desk, ticket)
            case Withdrawn(ticket_id):
                pool.withdraw(ticket_id)
            case Asked(answer):
                answer.tell(len(pool))
            case _:
                assert_never(message)

    def _pair_due(self, pool: Pool[Seeker], desk: Door[MatcherMessage]) -> None:
        """Pair those who were kept apart. (A method, so that no local variable keeps a ticket alive.)"""
        for first, second in pool.pair_due(trio.current_time()):
            self._pair(desk, first, second)

    def _offer(self, pool: Pool[Seeker], desk: Door[MatcherMessage], ticket: Ticket[Seeker]) -> None:
        door = ticket.door.door
        if not link(door, desk, first_hears=MatcherLost(), second_hears=Withdrawn(ticket.id)):
            return  # its user has left the search since
        partner = pool.offer(ticket, trio.current_time())
        if partner is not None:
            self._pair(desk, partner, ticket)

    def _pair(self, desk: Door[MatcherMessage], first: Ticket[Seeker], second: Ticket[Seeker]) -> None:
        session = self._new_id()
        one, other = first.door, second.door
        bind(session, one, other, self._ledger, self._patience)
        desk.unlink(one.door)
        desk.unlink(other.door)
        self._ledger.tell(
            SessionMatched(
                session=session,
                first=one.person.id,
                second=other.person.id,
                at=trio.current_time(),
                first_name=one.person.name,
                second_name=other.person.name,
            )
        )
        one.door.tell(Matched(session, other, initiator=True))
        other.door.tell(Matched(session, one, initiator=False))
        self._journal.note("matched", session=session, first=one.person.id, second=other.person.id)


def _when(due: float | None) -> float:
    return inf if due is None else due
