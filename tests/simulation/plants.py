"""Bugs to plant, as tests of the oracle: it has to find each of them.

Each is a plausible mistake in the product, as a patch for one run. The product cannot reach this code. The
modules `plants_of_*.py` contain more bugs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import msgspec
import trio

from actors import Door, Mailbox
from actors.door import link as link_doors
from studymatch import matcher as matcher_module
from studymatch import pairing as pairing_module
from studymatch.matcher import Matcher
from studymatch.messages import Detached, MatcherLost, PartnerLeft, SignalSent
from studymatch.pairing import Pairing
from studymatch.person.inbox import Inbox
from studymatch.person.outgoing import Outgoing
from studymatch.person.session import Session
from studymatch.person.user import User
from studymatch.rules.lifecycle import SessionCause, State
from studymatch.rules.outbox import Outbox
from studymatch.rules.person_state import PersonState
from studymatch.rules.pool import Pool
from tests.simulation.planting import Plant, on
from tests.simulation.plants_of_departures import CROWDS
from tests.simulation.plants_of_leaks import LEAKS
from tests.simulation.plants_of_numbers import COUNTS
from tests.simulation.plants_of_sending import SENDING


def no_ring_on_a_closing_door() -> Any:
    def close(door: Door[Any]) -> None:
        door.open = False
        links, door._links = door._links, {}
        for other in links:
            del other._links[door]

    return on(Door, "close", close)


def one_sided_link() -> Any:
    def link(first: Door[Any], second: Door[Any], **news: Any) -> bool:
        linked = link_doors(first, second, **news)
        if linked:
            del second._links[first]
        return linked

    return on(pairing_module, "link", link)


def late_messages_are_not_dropped() -> Any:
    def take(box: Mailbox[Any]) -> Any:
        return (box._messages.popleft()[1],) if box._messages else None

    return on(Mailbox, "_take", take)


def no_check_for_a_stale_offer() -> Any:
    original = Matcher._offer

    def offer(self: Matcher, pool: Pool[Any], desk: Any, ticket: Any) -> None:
        if ticket.open:
            return original(self, pool, desk, ticket)
        partner = pool.offer(_Reopened(ticket), trio.current_time())  # type: ignore[arg-type]
        if partner is not None:
            self._pair(desk, partner, ticket)
        return None

    return on(Matcher, "_offer", offer)


class _Reopened:
    """A ticket whose door always claims to be open."""

    open = True

    def __init__(self, ticket: Any) -> None:
        self._ticket = ticket

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ticket, name)


def ticket_not_withdrawn() -> Any:
    return on(Pool, "withdraw", lambda *_: None)


def waiting_time_lost() -> Any:
    original = User._ticket

    def ticket(self: User, *given: Any, **named: Any) -> Any:
        return replace(original(self, *given, **named), since=trio.current_time())

    return on(User, "_ticket", ticket)


def matched_with_oneself() -> Any:
    original = Matcher._pair

    def pair(self: Matcher, desk: Any, first: Any, second: Any) -> None:
        twin = replace(second, door=msgspec.structs.replace(second.door, person=first.door.person))
        original(self, desk, first, twin)

    return on(Matcher, "_pair", pair)


def end_recorded_twice() -> Any:
    original = Pairing.leave

    def leave(self: Pairing, cause: SessionCause, *, partner_ready: bool = True) -> bool:
        link = self._door._links.get(self._partners_door)
        left = original(self, cause, partner_ready=partner_ready)
        if left and link is not None and link.broken is not None:
            link.broken(self._door, PartnerLeft(cause))
        return left

    return on(Pairing, "leave", leave)


def end_not_recorded_on_unwinding() -> Any:
    def leave_without_a_word(self: Pairing, *_: Any) -> None:
        self._door.unlink(self._partners_door)

    return on(Pairing, "__exit__", leave_without_a_word)


def resume_replays_twice() -> Any:
    def again(self: Outbox) -> list[bytes]:
        return [self.number(body) for _, body in self._kept]

    return on(Outbox, "again", again)


def resume_forgets_what_was_said() -> Any:
    return on(Outbox, "keep", lambda *_: True)


def resume_replays_what_was_seen() -> Any:
    original = Outbox.back
    return on(Outbox, "back", lambda self, seen: original(self, 0))


def resume_knows_only_the_last_number_of_a_frame() -> Any:
    original = Outbox.back

    def back(self: Outbox, seen: int) -> int:
        self._kept = deque((numbers[-1:], body) for numbers, body in self._kept)
        self._connections.clear()
        self._connections.append(0)
        return original(self, seen)

    return on(Outbox, "back", back)


def timer_survives_its_state() -> Any:
    """The time limit of connecting still runs while connected."""

    original = Session._connected

    async def connected(self: Session) -> Any:
        with trio.move_on_after(self._inbox.settings.connect_limit_s):
            return await original(self)
        return self._leave(SessionCause.SKIPPED, None, None)

    return on(Session, "_connected", connected)


def connected_when_one_side_says_so() -> Any:
    original = Session._next

    async def next_turn(self: Session) -> Any:
        turn = await original(self)
        if self._inbox.current.state is State.CONNECTING and type(turn).__name__ == "MediaFlowed":
            self._pairing.begin()
        return turn

    return on(Session, "_next", next_turn)


def call_begins_after_its_end() -> Any:
    def begin(self: Pairing) -> bool:
        from studymatch.messages import SessionBegan
        from studymatch.rules.records import SessionConnected

        self._ledger.tell(SessionConnected(session=self.session, at=trio.current_time()))
        self._partners_door.tell(SessionBegan())
        return True

    return on(Pairing, "begin", begin)


def page_not_told_of_the_match() -> Any:
    original = Outgoing.show

    def show(self: Outgoing, snapshot: Any) -> None:
        if snapshot.state is not State.CONNECTING:
            original(self, snapshot)

    return on(Outgoing, "show", show)


def ring_goes_on_after_the_match() -> Any:
    original = PersonState.snapshot

    def snapshot(self: PersonState, now: float, cue: str | None) -> Any:
        told = original(self, now, cue)
        ringing = original(msgspec.structs.replace(self, state=State.SEARCHING), now, cue)
        return told if self.state is not State.CONNECTING else _with_sound(told, ringing.sound)

    return on(PersonState, "snapshot", snapshot)


def _with_sound(snapshot: Any, sound: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(snapshot, sound=sound)


def searching_again_is_forgotten() -> Any:
    original = User._ended

    async def ended(self: User, ending: Any) -> Any:
        return await original(self, msgspec.structs.replace(ending, wish=None, stop=True))

    return on(User, "_ended", ended)


def matcher_crash_is_not_told() -> Any:
    original = link_doors

    def link(first: Door[Any], second: Door[Any], *, first_hears: Any, **rest: Any) -> bool:
        if isinstance(first_hears, MatcherLost):
            linked = original(first, second, first_hears=first_hears, **rest)
            if linked:
                del second._links[first]
            return linked
        return original(first, second, first_hears=first_hears, **rest)

    return on(matcher_module, "link", link)


def matched_though_away() -> Any:
    original = Inbox._wait

    async def wait(self: Inbox) -> Any:
        while isinstance(turn := await original(self), Detached):
            pass
        return turn

    return on(Inbox, "_wait", wait)


def signals_reach_the_wrong_session() -> Any:
    original = Pairing.tell
    former: list[Door[Any]] = []

    def tell(self: Pairing, message: Any) -> None:
        former.append(self._partners_door)
        if isinstance(message, SignalSent) and former[0].open:
            former[0].tell(message)
        else:
            original(self, message)

    return on(Pairing, "tell", tell)


def numbers_start_again_on_resuming() -> Any:
    original = Inbox._greet

    def greet(self: Inbox, up: Any) -> None:
        if up.seq is not None:
            self.outgoing.outbox.seq = 0
        original(self, up)

    return on(Inbox, "_greet", greet)


def former_partners_are_never_matched_again() -> Any:
    return on(Pool, "due", lambda self: None)


def former_partners_are_matched_at_once() -> Any:
    return on(Pool, "_due", lambda *_: 0.0)


def only_one_of_former_partners_waits() -> Any:
    return on(Pool, "_due", lambda self, one, other: min(one.entered, other.entered) + self._apart_s)


def waiting_before_a_failed_match_keeps_apart() -> Any:
    return on(Pool, "_due", lambda self, one, other: max(one.since, other.since) + self._apart_s)


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        no_ring_on_a_closing_door,
        one_sided_link,
        late_messages_are_not_dropped,
        no_check_for_a_stale_offer,
        ticket_not_withdrawn,
        waiting_time_lost,
        matched_with_oneself,
        end_recorded_twice,
        end_not_recorded_on_unwinding,
        resume_replays_twice,
        resume_forgets_what_was_said,
        resume_replays_what_was_seen,
        resume_knows_only_the_last_number_of_a_frame,
        timer_survives_its_state,
        connected_when_one_side_says_so,
        call_begins_after_its_end,
        page_not_told_of_the_match,
        ring_goes_on_after_the_match,
        searching_again_is_forgotten,
        matcher_crash_is_not_told,
        matched_though_away,
        signals_reach_the_wrong_session,
        numbers_start_again_on_resuming,
        former_partners_are_never_matched_again,
        former_partners_are_matched_at_once,
        only_one_of_former_partners_waits,
        waiting_before_a_failed_match_keeps_apart,
        *LEAKS,
        *COUNTS,
        *CROWDS,
        *SENDING,
    )
}
"""Every bug that can be planted, by name: a context manager that patches the product."""
