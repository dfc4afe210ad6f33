"""What one life of the server leaves to the next, so that a restart is only a dropped connection.

When the hall closes, everybody's place in their story is taken down as a `Memento`, in one synchronous step.
The next life begins with the same people, all of them away: their browsers come back to them with the keys
they have, like after any dropped connection, and whoever does not is lost after the grace. Sessions stay
open in the database meanwhile; the next life goes on under the same node, whose sessions they are.

The file holds keys, so it is for its owner alone; it is deleted when it has been read, and too old a one
is not used: its sessions count as abandoned then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import UUID

import msgspec

from studymatch.lifecycle import IN_SESSION, Cause, State
from studymatch.messages import PartnerLeft, Person
from studymatch.outbox import Numbers
from studymatch.patience import Debt
from studymatch.records import Node
from studymatch.scene import Scene
from studymatch.session import Wish
from studymatch.state_files import Tell, decode, read_or_set_aside, set_aside, write_whole

LIFE_S = 120.0
"""How long after the end of one life the next may still go on with it. Pages that find no server try again
for longer than that, but nobody waits at a picture that stands still."""

LEEWAY_S = 60.0
"""How far in the future the end of the former life may lie, since clocks are sometimes set back."""


class Memento(msgspec.Struct, frozen=True, kw_only=True):
    """Where one person was. Durations in seconds, up to the moment of the closing.

    `wish` is what they search for, or will after the session; None: nothing. `seq`, `shown`, `connections`
    and `memory` are what their browser was told, and may have to be told again. `lost` is how many frames
    could not be kept for them; `heard` is the number of the last frame of theirs that was dealt with.

    `memory` has each frame with its numbers. Older servers saved one number, or None for a frame that was
    never sent.

    `leaving`: the last frame of their page was `leaving`. They have the whole grace all the same, since a
    reloaded page has to find the next life first. If it does not come, they have ended the session.

    `left`: their partner has left the session, and they have had no turn to hear of it.
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
    heard: int = 0  # servers without frame numbers saved none
    lost: int = 0
    leaving: bool = False
    left: PartnerLeft | None = None

    def frames(self) -> Iterator[tuple[Numbers, str]]:
        """The `memory`, as the outbox has it."""
        for numbers, body in self.memory:
            if isinstance(numbers, tuple):
                yield numbers, body
            else:
                yield () if numbers is None else (numbers,), body

    def scene(self, now: float, away_s: float, wait_s: float) -> Scene:
        """Where their story begins again at the time `now`, `away_s` after the closing.

        `wait_s`: for how long who searches again after a session still has to wait.

        A search and a match that was not yet a call are entered anew, from the state before them; a call
        and its end go on as they were.
        """
        since = now - self.lasted_s - away_s
        match self.state:
            case State.IDLE | State.SEARCHING:
                return Scene(State.IDLE, since)
            case State.CONNECTING:
                return Scene(State.SEARCHING, since)
            case State.CONNECTED | State.ENDED:
                return Scene(
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


class Handover(msgspec.Struct, frozen=True):
    """What one life leaves: who it was, when it ended (Unix time), and everybody who was there.

    `debts` are also of people who were not there.
    """

    node: Node
    left_at: float
    people: tuple[Memento, ...]
    debts: tuple[Debt, ...] = ()  # a server of before they were kept did not say


def agreed(people: Iterable[Memento]) -> list[Memento]:
    """The same people, with the two of a session in the same state of it.

    The closing may have caught one of the two a turn before the other: connected is what both are then.
    """
    people = list(people)
    calls = {memento.session for memento in people if memento.state is State.CONNECTED}
    return [
        msgspec.structs.replace(memento, state=State.CONNECTED, cause=Cause.CONNECTED, lasted_s=0.0)
        if memento.state is State.CONNECTING and memento.session in calls
        else memento
        for memento in people
    ]


def save(handover: Handover, path: Path) -> None:
    """Write it to `path`, as a whole or not at all.

    Raises:
        OSError: it could not be written.
    """
    write_whole(path, msgspec.json.encode(handover))


def take(path: Path, now: float, tell: Tell) -> Handover | None:
    """What the former life left at `path`, if there is something, and it is not too old at `now` (Unix time).

    The file is removed, so that it is used once. If it cannot be used, it is set aside, or `tell` gets a
    warning. In the result, `left_at` is at most `now`: a clock that was set back within `LEEWAY_S` loses
    nobody.
    """
    data = read_or_set_aside(path, tell)
    if data is None:
        return None
    handover = decode(data, msgspec.json.Decoder(Handover))
    if handover is None or not _is_sound(handover):
        set_aside(path, "it is no handover", tell)
        return None
    path.unlink()
    age_s = now - handover.left_at
    if age_s < 0:
        tell("the clock was set back", by_s=round(-age_s, 1), since="the former life of the server ended")
    if not -LEEWAY_S <= age_s <= LIFE_S:
        why = f"it is {age_s:.0f} s old; {LIFE_S:.0f} s at most, and {LEEWAY_S:.0f} s ahead of the clock"
        tell("nobody taken up", people=len(handover.people), why=why)
        return None
    return msgspec.structs.replace(handover, left_at=min(now, handover.left_at))


def _is_sound(handover: Handover) -> bool:
    """Whether the next life can go on with it: the database must take the node, and a session needs two."""
    try:
        UUID(handover.node.id)
    except ValueError:
        return False
    together = [memento for memento in handover.people if memento.state in IN_SESSION]
    return all(memento.session is not None and memento.partner is not None for memento in together)
