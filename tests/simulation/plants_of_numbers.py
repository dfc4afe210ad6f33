"""More bugs to plant: in the numbers of frames, of those that a page sends and of those that it receives."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from actors import Door
from studymatch.messages import Attached, Detached, Refused
from studymatch.person.inbox import Inbox, _number, nothing
from studymatch.person.user import User
from studymatch.rules.lifecycle import ACCEPTS
from studymatch.rules.protocol import ClientFrame, NumberedFrame, kind_of
from tests.simulation.planting import Plant, on


def a_count_takes_no_turn() -> Any:
    """A number is used after the state was saved for a restart. Two new seeds once found this bug."""

    def count(self: User) -> None:
        self._inbox._count()
        self._inbox.outgoing.flush()

    return on(User, "count", count)


def what_was_heard_is_not_handed_over() -> Any:
    original = User.save
    return on(User, "save", lambda self: msgspec.structs.replace(original(self), heard=0))


def heard_when_it_is_told() -> Any:
    """A frame counts as handled before the actor has had its turn, which may never come."""

    original = Inbox.attach

    def attach(self: Inbox, up: Attached) -> Any:
        door = original(self, up)
        return None if door is None else HastyDoor(self, door)

    return on(Inbox, "attach", attach)


class HastyDoor:
    def __init__(self, inbox: Inbox, door: Door[Any]) -> None:
        self._inbox = inbox
        self._door = door

    def tell(self, message: Any) -> None:
        last, number = self._inbox.heard, None if isinstance(message, Detached) else _number(message)
        self._door.tell(message)
        if number is not None and number > last:
            self._inbox.heard = number


def what_is_said_again_is_dealt_with_again() -> Any:
    return on(Inbox, "_is_repeated", lambda *_: False)


def a_new_actor_has_heard_what_the_former_one_did() -> Any:
    original = User.__init__
    former: dict[str, Inbox] = {}

    def make(self: User, person: Any, *given: Any, **named: Any) -> None:
        original(self, person, *given, **named)
        before = former.get(person.id)
        former[person.id] = self._inbox
        if before is not None:
            self._inbox.heard = max(self._inbox.heard, before.heard)

    return on(User, "__init__", make)


def a_refusal_does_not_count() -> Any:
    """A frame that was refused, or came too late, is answered again when it is sent again."""
    original = Inbox.handle_in_place

    def settles(self: Inbox, message: Any) -> bool:
        before, state = self.heard, self.current.state
        settled = original(self, message)
        is_frame = isinstance(message, ClientFrame | Refused)
        if settled and is_frame and kind_of_frame(message) not in ACCEPTS[state]:
            self.heard = before
        return settled

    return on(Inbox, "handle_in_place", settles)


def kind_of_frame(message: Any) -> str | None:
    return None if isinstance(message, Refused) else kind_of(message)


def a_restart_counts_frames_that_had_no_turn() -> Any:
    """A frame counts that still waited in the mailbox when the state was saved: it is never handled."""
    original = User.save

    def save(self: User) -> Any:
        saved = original(self)
        waiting = [it.n for it in self._inbox.mailbox.waiting() if isinstance(it, NumberedFrame)]
        return msgspec.structs.replace(saved, heard=max([saved.heard, *(n for n in waiting if n)]))

    return on(User, "save", save)


def heard_a_moment_before_it_is_dealt_with() -> Any:
    """The state may be saved for a restart in between: then the frame counts, but had no effect."""
    original = Inbox.next

    async def wait(self: Inbox, in_place: Any = nothing) -> Any:
        turn = await original(self, in_place)
        await trio.lowlevel.checkpoint()
        return turn

    return on(Inbox, "next", wait)


COUNTS: tuple[Plant, ...] = (
    a_count_takes_no_turn,
    what_was_heard_is_not_handed_over,
    heard_when_it_is_told,
    what_is_said_again_is_dealt_with_again,
    a_new_actor_has_heard_what_the_former_one_did,
    a_refusal_does_not_count,
    a_restart_counts_frames_that_had_no_turn,
    heard_a_moment_before_it_is_dealt_with,
)
