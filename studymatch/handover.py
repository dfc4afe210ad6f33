"""The handover: what a server saves when it stops and restores at the next start, so that calls survive it.

When the server stops, the hall saves everybody as a `SavedPerson`, in one synchronous step. The next process
starts with the same people, all of them away: their pages resume with their keys, as after any dropped
connection, and a person whose page does not come back is lost after the grace. Sessions stay open in the
database; the new process uses the same node id, so it owns them.

The file holds keys, so only its owner may read it. It is deleted once it has been read. A file that is too
old is not used: its sessions count as abandoned.
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
"""How long after a process ended the next may still use its handover. Pages try to reconnect for longer, but
people do not wait that long at a frozen picture."""

LEEWAY_S = 60.0
"""How far in the future the time of saving may be, since clocks are sometimes set back."""


class Handover(msgspec.Struct, frozen=True):
    """The state of one process: its node, when it ended (Unix time), and everybody who was there.

    `debts` also has people who were not there.
    """

    node: Node
    left_at: float
    people: tuple[SavedPerson, ...]
    debts: tuple[Debt, ...] = ()  # older versions saved none


def save(handover: Handover, path: Path) -> None:
    """Write `handover` to `path` atomically.

    Raises:
        OSError: it could not be written.
    """
    write_whole(path, msgspec.json.encode(handover))


def take(path: Path, now: float, tell: Tell) -> Handover | None:
    """Read and remove the handover at `path`. None: no usable one, or too old at `now` (Unix time).

    A file that cannot be used is set aside, and `tell` gets a warning. In the result `left_at` is at most
    `now`: people survive a clock that was set back by at most `LEEWAY_S`.
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
        tell("the clock was set back", by_s=round(-age_s, 1), since="the server stopped")
    if not -LEEWAY_S <= age_s <= LIFE_S:
        why = f"it is {age_s:.0f} s old; {LIFE_S:.0f} s at most, and {LEEWAY_S:.0f} s ahead of the clock"
        tell("nobody taken up", people=len(handover.people), why=why)
        return None
    return msgspec.structs.replace(handover, left_at=min(now, handover.left_at))


def _is_sound(handover: Handover) -> bool:
    """Whether the handover is usable: its node id is a UUID, and each session has its id and a partner."""
    try:
        UUID(handover.node.id)
    except ValueError:
        return False
    together = [saved for saved in handover.people if saved.state in IN_SESSION]
    return all(saved.session is not None and saved.partner is not None for saved in together)
