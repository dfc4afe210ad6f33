"""More bugs to plant: in the counting of frames, of those that a page says and of those that it is told."""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from studymatch.messages import FrameIn, Refused
from studymatch.person.inbox import Stage, _number, nothing
from studymatch.person.user import User
from studymatch.rules.lifecycle import ACCEPTS
from studymatch.rules.protocol import kind_of
from tests.simulation.planting import Plant, on


def a_count_takes_no_turn() -> Any:
    """Two seeds that nobody had run found it: it uses a number after the state was saved for a restart."""

    def count(self: User) -> None:
        self._stage._count()
        self._stage.browser.flush()

    return on(User, "count", count)


def what_was_heard_is_not_handed_over() -> Any:
    original = User.memento
    return on(User, "memento", lambda self: msgspec.structs.replace(original(self), heard=0))


def heard_when_it_is_told() -> Any:
    """It counts before the actor has had its turn, which may never come."""

    def tell(self: User, line: Any, frame: Any) -> None:
        stage = self._stage
        last = stage.heard
        stage.inbox.tell(FrameIn(line, frame))
        number = _number(frame)
        if number is not None and number > last:
            stage.heard = number

    return on(User, "heard", tell)


def what_is_said_again_is_dealt_with_again() -> Any:
    return on(Stage, "_is_repeated", lambda *_: False)


def a_new_actor_has_heard_what_the_former_one_did() -> Any:
    original = User.__init__
    former: dict[str, Stage] = {}

    def make(self: User, person: Any, *given: Any, **named: Any) -> None:
        original(self, person, *given, **named)
        before = former.get(person.id)
        former[person.id] = self._stage
        if before is not None:
            self._stage.heard = max(self._stage.heard, before.heard)

    return on(User, "__init__", make)


def a_refusal_does_not_count() -> Any:
    """What is answered by an error, or comes too late, is answered again when it is said again."""
    original = Stage._settles

    def settles(self: Stage, message: Any) -> bool:
        before, state = self.heard, self.scene.state
        settled = original(self, message)
        if settled and isinstance(message, FrameIn) and kind_of_frame(message) not in ACCEPTS[state]:
            self.heard = before
        return settled

    return on(Stage, "_settles", settles)


def kind_of_frame(message: FrameIn) -> str | None:
    return None if isinstance(message.frame, Refused) else kind_of(message.frame)


def a_restart_counts_what_the_former_life_had_no_turn_for() -> Any:
    """What waits in the mailbox when everybody's state is saved: nobody will ever deal with it."""
    original = User.memento

    def memento(self: User) -> Any:
        saved = original(self)
        waiting = [_number(it.frame) for it in self._stage.inbox.waiting() if isinstance(it, FrameIn)]
        return msgspec.structs.replace(saved, heard=max([saved.heard, *(n for n in waiting if n)]))

    return on(User, "memento", memento)


def heard_a_moment_before_it_is_dealt_with() -> Any:
    """In that moment the state may be saved for a restart: the frame counts, and led to nothing."""
    original = Stage.next

    async def wait(self: Stage, settle: Any = nothing) -> Any:
        turn = await original(self, settle)
        await trio.lowlevel.checkpoint()
        return turn

    return on(Stage, "next", wait)


COUNTS: tuple[Plant, ...] = (
    a_count_takes_no_turn,
    what_was_heard_is_not_handed_over,
    heard_when_it_is_told,
    what_is_said_again_is_dealt_with_again,
    a_new_actor_has_heard_what_the_former_one_did,
    a_refusal_does_not_count,
    a_restart_counts_what_the_former_life_had_no_turn_for,
    heard_a_moment_before_it_is_dealt_with,
)
