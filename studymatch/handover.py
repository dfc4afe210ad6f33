"""What one life of the server leaves to the next, so that a restart is only a dropped connection.

When the hall closes, everybody's place in their story is taken down as a `Memento`, in one synchronous step.
The next life begins with the same people, all of them away: their browsers come back to them with the keys
they have, like after any dropped connection, and whoever does not is lost after the grace. Sessions stay
open in the database meanwhile; the next life goes on under the same node, whose sessions they are.

The file holds keys, so it is for its owner alone; it is deleted when it has been read, and too old a one
is not used: its sessions count as abandoned then.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from studymatch.lifecycle import Cause, State
from studymatch.messages import Person
from studymatch.records import Node
from studymatch.scene import Scene
from studymatch.session import Wish

LIFE_S = 120.0
"""How long after the end of one life the next may still go on with it. Pages that find no server try again
for longer than that, but nobody waits at a picture that stands still."""


class Memento(msgspec.Struct, frozen=True, kw_only=True):
    """Where one person was. Durations in seconds, up to the moment of the closing.

    `wish` is what they search for, or will after the session; None: nothing. `seq`, `shown` and
    `memory` are what their browser was told, and may have to be told again.
    """

    person: Person
    key: str
    seq: int
    shown: int | None
    memory: tuple[tuple[int | None, str], ...]
    met: tuple[str, ...]
    state: State
    lasted_s: float
    wish: Wish | None
    cause: Cause | None
    session: str | None
    partner: Person | None
    initiator: bool
    message: str | None

    def scene(self, now: float, away_s: float) -> Scene:
        """Where their story begins again at the time `now`, `away_s` after the closing.

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
                    search_again_at=now if self.state is State.ENDED and self.wish else None,
                    message=self.message,
                )


class Handover(msgspec.Struct, frozen=True):
    """What one life leaves: who it was, when it ended (Unix time), and everybody who was there."""

    node: Node
    left_at: float
    people: tuple[Memento, ...]


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
    beside = path.with_name(path.name + ".part")
    beside.unlink(missing_ok=True)
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(handover))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def take(path: Path, now: float) -> Handover | None:
    """What the former life left at `path`, if there is something, and it is not too old at `now` (Unix time).

    The file is gone afterwards, so that nobody takes it twice.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    path.unlink()
    try:
        handover = msgspec.json.decode(data, type=Handover)
    except (ValueError, msgspec.MsgspecError):
        return None
    return handover if 0 <= now - handover.left_at <= LIFE_S else None
