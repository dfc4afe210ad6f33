"""Checks the pairs: each session has two people, who are each other's partner, one the initiator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Half(NamedTuple):
    """What the server told one of the two people when they were matched."""

    person: str
    partner: str
    initiator: bool


class Present(NamedTuple):
    """A person's session and partner at the end of the run."""

    person: str
    session: str
    partner: str


class Pairs:
    """Joins the two halves of each session; keeps only those whose other half is missing."""

    def __init__(self) -> None:
        self.halves: dict[str, Half] = {}

    def told(self, session: str, person: str, partner: str, initiator: bool) -> str | None:
        """Record that `person` was told of a match. Returns what is wrong with it, or None."""
        other = self.halves.pop(session, None)
        if person == partner:
            return f"{person} is matched with themselves"
        if other is None:
            self.halves[session] = Half(person, partner, initiator)
            return None
        if (other.person, other.partner) != (partner, person):
            return f"session {session}: {person} has {partner}, but {other.person} has {other.partner}"
        if other.initiator == initiator:
            return f"session {session}: both or neither of {person} and {partner} are the initiator"
        return None

    def merge(self, halves: Mapping[str, Half]) -> list[str]:
        """Add another process's halves; returns the violations found."""
        return [wrong for session, half in halves.items() if (wrong := self.told(session, *half)) is not None]

    def one_sided(self, excused: frozenset[str]) -> list[str]:
        """Sessions that only one person was told of. `excused`: people who were not always connected."""
        return [
            f"{half.person} was matched with {half.partner}, who never heard of it"
            for half in self.halves.values()
            if half.person not in excused and half.partner not in excused
        ]


def disagreements(present: Iterable[Present], excused: frozenset[str]) -> list[str]:
    """People who at the end are in a call with somebody who is not in that call."""
    calls = {each.person: each for each in present}
    wrong = []
    for each in calls.values():
        other = calls.get(each.partner)
        agrees = other is not None and (other.session, other.partner) == (each.session, each.person)
        if not agrees and each.partner not in excused and each.person not in excused:
            wrong.append(f"{each.person} is in a call with {each.partner}, who is not in one with them")
    return wrong
