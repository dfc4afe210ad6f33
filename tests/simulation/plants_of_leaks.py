"""More bugs to plant: objects that stay in memory, frames for the wrong person, people connected twice."""

from __future__ import annotations

from collections import deque
from typing import Any

from msgspec import structs

from actors import Door, Mailbox
from studymatch import pairing as pairing_module
from studymatch.hall import Hall
from studymatch.matcher import Matcher
from studymatch.messages import Attached, ChatSent
from studymatch.pairing import Pairing
from studymatch.person.accounts import Accounts
from studymatch.person.inbox import Inbox, nothing
from studymatch.person.session import Session
from studymatch.person.user import User
from studymatch.rules.close_codes import CloseCode
from tests.simulation.planting import Plant, on
from web.reception import Reception


def hall_keeps_who_has_left() -> Any:
    original = Hall._stay

    async def stay(self: Hall, user: User) -> None:
        former = self.__dict__.setdefault("_former", [])
        former.append(user)
        await original(self, user)

    return on(Hall, "_stay", stay)


def matcher_remembers_a_ticket() -> Any:
    original = Matcher._offer

    def offer(self: Matcher, pool: Any, desk: Any, ticket: Any) -> None:
        self.__dict__["_last"] = ticket
        original(self, pool, desk, ticket)

    return on(Matcher, "_offer", offer)


def door_is_not_taken_off_the_desk() -> Any:
    """The matcher's door (`desk`) keeps its links with the doors of people who were matched."""
    original = Matcher._pair

    def pair(self: Matcher, desk: Any, first: Any, second: Any) -> None:
        original(self, desk, first, second)
        for ticket in (first, second):
            desk._links[ticket.door.door] = None

    return on(Matcher, "_pair", pair)


def reception_keeps_a_line() -> Any:
    original = Reception.begun

    def begun(self: Reception, conversation: Any) -> Any:
        self.__dict__.setdefault("_seen", deque()).append(conversation)
        return original(self, conversation)

    return on(Reception, "begun", begun)


def session_and_inbox_hold_each_other() -> Any:
    """The inbox keeps its last handler: only the collector frees a person who vanished in a call."""
    original = Inbox.next

    async def wait(self: Inbox, in_place: Any = nothing) -> Any:
        self.__dict__["_last_in_place"] = in_place
        return await original(self, in_place)

    return on(Inbox, "next", wait)


def mailbox_keeps_what_nobody_reads() -> Any:
    """A message that came through a door refers to the mailbox whose reader has ended."""
    return on(Mailbox, "discard", Mailbox.close)


def chat_is_echoed() -> Any:
    original = Pairing.tell

    def tell(self: Pairing, message: Any) -> None:
        original(self, message)
        if isinstance(message, ChatSent):
            self._door.tell(message)

    return on(Pairing, "tell", tell)


def chat_reaches_a_former_partner() -> Any:
    original = Pairing.tell
    heard: list[Mailbox[Any]] = []

    def tell(self: Pairing, message: Any) -> None:
        original(self, message)
        if isinstance(message, ChatSent):
            heard.append(self._partners_door._mailbox)
            if heard[0] is not heard[-1]:
                heard[0].tell(message)

    return on(Pairing, "tell", tell)


def chat_is_not_kept_for_who_is_away() -> Any:
    original = Inbox.relay

    def relay(self: Inbox, frame: Any) -> None:
        if self.outgoing.present or type(frame).__name__ != "ChatFrom":
            original(self, frame)

    return on(Inbox, "relay", relay)


def older_connection_is_not_told() -> Any:
    original = Inbox._hang_up

    def hang_up(self: Inbox, code: CloseCode) -> None:
        if code is CloseCode.CONNECTED_ELSEWHERE:
            self._close_door()
        else:
            original(self, code)

    return on(Inbox, "_hang_up", hang_up)


def newest_connection_loses() -> Any:
    original = Inbox.attach

    def attach(self: Inbox, up: Attached) -> Any:
        if self._newest is None:
            return original(self, up)
        up.connection.hang_up(CloseCode.CONNECTED_ELSEWHERE)
        return Door(self.mailbox)

    return on(Inbox, "attach", attach)


def connections_hear_nothing_of_a_crash() -> Any:
    """The first bug that a sweep found: a connection stays open though its actor has ended."""

    def close(self: Inbox, code: CloseCode) -> None:
        self.outgoing.flush()
        self.mailbox.discard()

    return on(Inbox, "close", close)


def words_in_flight_are_lost_in_a_restart() -> Any:
    """The second: messages are lost that an actor had not yet passed on when the hall closed."""
    return on(User, "_unheard", lambda self: ())


def rests_when_the_limit_and_the_loss_coincide() -> Any:
    """The first bug that a seed found: the limit passed in the same moment in which the partner was lost."""
    original = Session._leave

    def leave(self: Session, cause: Any, wish: Any, overtaken: Any, **more: Any) -> Any:
        return original(self, cause, wish, wish, **more)

    return on(Session, "_leave", leave)


def a_failed_match_costs_the_waiting_time() -> Any:
    original = User._session

    async def session(self: User, door: Any, match: Any, wish: Any) -> Any:
        return await original(self, door, match, structs.replace(wish, waited_s=0.0))

    return on(User, "_session", session)


def partner_pays_for_the_skip() -> Any:
    """The person who was left has to wait, and the one who left does not."""
    return on(pairing_module, "_to_blame", lambda by, mate, left: (mate,))


def coming_again_ends_the_wait() -> Any:
    original = Accounts.here

    def here(self: Accounts, person: str, address: str | None) -> None:
        original(self, person, address)
        for kept in (self.patience._by_person._left, self.patience._by_person._waits):
            kept._full_at.pop(person, None)

    return on(Accounts, "here", here)


def search_is_let_before_the_wait_is_over() -> Any:
    """The page is told how long to wait, but an earlier search begins nevertheless."""
    return on(User, "_may_search", lambda self, search: True)


LEAKS: tuple[Plant, ...] = (
    hall_keeps_who_has_left,
    matcher_remembers_a_ticket,
    door_is_not_taken_off_the_desk,
    reception_keeps_a_line,
    session_and_inbox_hold_each_other,
    mailbox_keeps_what_nobody_reads,
    chat_is_echoed,
    chat_reaches_a_former_partner,
    chat_is_not_kept_for_who_is_away,
    older_connection_is_not_told,
    newest_connection_loses,
    connections_hear_nothing_of_a_crash,
    words_in_flight_are_lost_in_a_restart,
    rests_when_the_limit_and_the_loss_coincide,
    a_failed_match_costs_the_waiting_time,
    partner_pays_for_the_skip,
    coming_again_ends_the_wait,
    search_is_let_before_the_wait_is_over,
)
