"""Tickets for the waiting pool, with a minimal door."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from studymatch.rules.pool import Ticket

NUMBERS = count()


class Door:
    """The part of a door that the pool uses."""

    def __init__(self) -> None:
        self.open = True


def ticket(
    user: str,
    *,
    since: float = 0.0,
    entered: float = 0.0,
    head: bool = False,
    apart: Iterable[str] = (),
    **criteria: str,
) -> Ticket[Door]:
    return Ticket(
        id=next(NUMBERS),
        user=user,
        door=Door(),
        since=since,
        entered=entered,
        head=head,
        criteria=criteria,
        apart=frozenset(apart),
    )
