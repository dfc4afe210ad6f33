"""The state of one person that a server saves when it stops, and the next process restores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from studymatch.messages import PartnerLeft
from studymatch.rules.lifecycle import Cause, State
from studymatch.rules.outbox import Numbers
from studymatch.rules.people import Person, Wish
from studymatch.rules.person_state import PersonState


class SavedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """The saved state of one person. Durations are seconds, up to the moment of saving.

    `wish` is what they search for, or will after the session; None: nothing. `heard` is the number of their
    last frame that was handled.

    These fields restore `Outgoing` and its outbox, so that the page misses no frame:

    * `seq`: the number of the last frame to their page;
    * `shown`: the number of the snapshot of the last change of state; None: it was not sent;
    * `memory`: the frames that may have to be sent again, each with its numbers. Older servers saved one
      number, or None for a frame that was never sent;
    * `connections`: the first number on each of the last connections;
    * `forgotten`: the numbers of the last frame that was sent and is not in `memory`;
    * `lost`: how many frames could not be kept for them.

    `leaving`: the last frame of their page was `leaving`. They still have the whole grace, since a reloaded
    page has to find the new process first. If it does not come, they have ended the session.

    `left`: their partner has left the session, and their actor has not yet handled the message.
    """

    person: Person
    key: str
    seq: int
    shown: int | None
    memory: tuple[tuple[Numbers | int | None, str], ...]
    met: tuple[str, ...]
    state: State
    lasted_s: float
    wish: Wish | None
    cause: Cause | None
    session: str | None
    partner: Person | None
    initiator: bool
    message: str | None
    connections: Numbers = ()
    forgotten: Numbers = ()
    heard: int = 0  # servers without frame numbers saved no such field
    lost: int = 0
    leaving: bool = False
    left: PartnerLeft | None = None

    def frames(self) -> Iterator[tuple[Numbers, str]]:
        """The `memory` in the form of the outbox."""
        for numbers, body in self.memory:
            if isinstance(numbers, tuple):
                yield numbers, body
            else:
                yield () if numbers is None else (numbers,), body

    def restored(self, now: float, away_s: float, wait_s: float) -> PersonState:
        """The state in which they start at the time `now`, `away_s` after they were saved.

        `wait_s`: how long a person in `ended` waits for the next search.

        A person who searched starts in `idle`, and one whose match was not yet a call in `searching`; their
        actor then begins the search or the match again. A call and its end go on as they were.
        """
        since = now - self.lasted_s - away_s
        match self.state:
            case State.IDLE | State.SEARCHING:
                return PersonState(State.IDLE, since)
            case State.CONNECTING:
                return PersonState(State.SEARCHING, since)
            case State.CONNECTED | State.ENDED:
                return PersonState(
                    self.state,
                    since,
                    cause=self.cause,
                    session=self.session,
                    partner=self.partner,
                    partner_away=self.state is State.CONNECTED,
                    initiator=self.initiator,
                    search_again_at=now + wait_s if self.state is State.ENDED and self.wish else None,
                    message=self.message,
                )


def agreed(people: Iterable[SavedPerson]) -> list[SavedPerson]:
    """The same people, with both people of a session in the same state.

    When they were saved, one of the two may not have handled `SessionBegan` yet: then both are connected.
    """
    people = list(people)
    calls = {saved.session for saved in people if saved.state is State.CONNECTED}
    return [
        msgspec.structs.replace(saved, state=State.CONNECTED, cause=Cause.CONNECTED, lasted_s=0.0)
        if saved.state is State.CONNECTING and saved.session in calls
        else saved
        for saved in people
    ]
