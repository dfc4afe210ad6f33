"""The state of one person with all its data, as one immutable value.

A `PersonState` holds times of trio's clock; `PersonState.snapshot` converts it to the frame for the browser,
which holds durations only. Pure: the caller passes the time.
"""

from __future__ import annotations

from msgspec import Struct

from studymatch.rules.lifecycle import SOUNDS, Cause, State
from studymatch.rules.people import Person
from studymatch.rules.protocol import Partner, Snapshot, Sound


class PersonState(Struct, frozen=True):
    """The state of one person.

    `since` is when the state began (for a search, when the waiting began), `deadline` when it must end,
    `search_again_at` when the server searches again by itself; seconds of trio's clock.
    """

    state: State
    since: float
    cause: Cause | None = None
    session: str | None = None
    partner: Person | None = None
    partner_away: bool = False
    initiator: bool = False
    deadline: float | None = None
    search_again_at: float | None = None
    message: str | None = None

    def snapshot(self, now: float, cue: str | None) -> Snapshot:
        """The frame for the browser at the time `now`; `cue` is a sound to play once, or None."""
        sound = SOUNDS.get(self.state)
        partner = self.partner
        search_again_ms = None if self.search_again_at is None else _ms(self.search_again_at - now)
        return Snapshot(
            state=self.state,
            session=self.session,
            initiator=self.initiator,
            partner=Partner(partner.id, partner.name, self.partner_away) if partner else None,
            sound=Sound(*sound) if sound else None,
            cue=cue,
            since_ms=_ms(now - self.since),
            deadline_ms=None if self.deadline is None else _ms(self.deadline - now),
            search_again_ms=search_again_ms,
            search_again_in=search_again_ms,
            cause=self.cause,
            message=self.message,
        )


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))
