"""What a server saves when it stops, and restores when it is started again: a restart only drops connections.

When the hall closes, it saves everybody as a `SavedPerson`, in one synchronous step. The server that is
started next begins with the same people, all of them away: their pages come back with the keys that they
have, as after any dropped connection, and a person whose page does not come back is lost after the grace.
Sessions stay open in the database meanwhile; the new process goes on under the same node, which has them.

The file holds keys, so it is for its owner alone; it is deleted when it has been read, and too old a one
is not used: its sessions count as abandoned then.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import msgspec

from studymatch.patience import Debt
from studymatch.person.saved import SavedPerson
from studymatch.rules.lifecycle import IN_SESSION
from studymatch.rules.records import Node
from studymatch.state_files import Tell, decode, read_or_set_aside, set_aside, write_whole

LIFE_S = 120.0
"""How long after the end of one life the next may still go on with it. Pages that find no server try again
for longer than that, but nobody waits at a picture that stands still."""

LEEWAY_S = 60.0
"""How far in the future the time of saving may lie, since clocks are sometimes set back."""


class Handover(msgspec.Struct, frozen=True):
    """What one life leaves: who it was, when it ended (Unix time), and everybody who was there.

    `debts` are also of people who were not there.
    """

    node: Node
    left_at: float
    people: tuple[SavedPerson, ...]
    debts: tuple[Debt, ...] = ()  # a server of before they were kept did not say


def save(handover: Handover, path: Path) -> None:
    """Write it to `path`, as a whole or not at all.

    Raises:
        OSError: it could not be written.
    """
    write_whole(path, msgspec.json.encode(handover))


def take(path: Path, now: float, tell: Tell) -> Handover | None:
    """What was saved at `path`, if there is something, and it is not too old at `now` (Unix time).

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
    """Whether a server can go on with it: the database must take the node, and a session needs two."""
    try:
        UUID(handover.node.id)
    except ValueError:
        return False
    together = [saved for saved in handover.people if saved.state in IN_SESSION]
    return all(saved.session is not None and saved.partner is not None for saved in together)
