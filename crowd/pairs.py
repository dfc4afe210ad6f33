"""Who was told to be with whom: in each session two people, each other's partner, one the initiator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Half(NamedTuple):
    """What one of the two was told when they were matched."""

    person: str
    partner: str
    initiator: bool


class Present(NamedTuple):
    """Who is in which session, with whom, when the run is over."""

    person: str
    session: str
    partner: str


class Pairs:
    """Puts together the halves of each session; only those that lack the other half are kept."""

    def __init__(self) -> None:
        self.halves: dict[str, Half] = {}

    def told(self, session: str, person: str, partner: str, initiator: bool) -> str | None:
        """`person` was told of a match. Returns what is wrong with it, if anything is."""
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
        """Add another process's halves; returns what is wrong."""
        return [wrong for session, half in halves.items() if (wrong := self.told(session, *half)) is not None]

    def one_sided(self, excused: frozenset[str]) -> list[str]:
        """Sessions of which only one of the two has heard; `excused` are people who were not always there."""
        return [
            f"{half.person} was matched with {half.partner}, who never heard of it"
            for half in self.halves.values()
            if half.person not in excused and half.partner not in excused
        ]


def disagreements(present: Iterable[Present], excused: frozenset[str]) -> list[str]:
    """People who, when all is quiet, are in a call with somebody who is not in that call with them."""
    calls = {each.person: each for each in present}
    wrong = []
    for each in calls.values():
        other = calls.get(each.partner)
        agrees = other is not None and (other.session, other.partner) == (each.session, each.person)
        if not agrees and each.partner not in excused and each.person not in excused:
            wrong.append(f"{each.person} is in a call with {each.partner}, who is not in one with them")
    return wrong
