"""The waiting pool: everybody who searches, and the one place where it is decided who meets whom.

The pool owns the places of those who wait, and their order. The matcher owns the pool, and everything
that follows from a pairing. This module is pure: no tasks, no clock, no chance, no I/O.

Theory of operation
-------------------
**Fitting.** Two tickets fit when they agree on every criterion that *both* name. Call the names that a
ticket gives its shape: there are four, from `()` to `("subject", "language")`. A newcomer and the
tickets of one shape can disagree only about the names they share, so every ticket is filed under its
shape with each part of its criteria, and a newcomer looks under one label for each shape. For somebody
who asks for maths in any language, these hold exactly those who fit, oldest first::

    shape                       label
    ()                          ()
    ("subject",)                (subject=maths,)
    ("language",)               ()
    ("subject", "language")     (subject=maths,)

**Progress.** No two open tickets in the pool fit, unless they are kept apart and one of them has not yet
waited `apart_s`. A newcomer is put in only after *every* ticket that fits was looked at and found to be
kept apart from it; taking somebody out cannot make two others fit. So nobody has to look again, but for
the pairs that were kept apart: the newcomer notes each, with the time at which both will have waited.

**Cost.** With k criteria an offer makes 2**k look-ups and at most as many insertions, each all but
independent of how many wait. It passes over two kinds of places besides. Closed ones: each is dropped,
so it is met once. And those kept apart: at most as many as the newcomer lists, plus as many of those
who wait as list the newcomer. If everyone lists the last 16, the latter is 16 for the average person
too; more only for somebody who lately met more people, all of whom now wait, and each took a meeting.
They cost 2 µs each, the rest of an offer 10 to 20 µs (`benchmarks/pool.py`). A pair is noted once, and
the note is gone `apart_s` later at the latest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush, merge
from itertools import chain, combinations, count
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from sortedcontainers import SortedList  # type: ignore[import-untyped]  # it ships no types

CRITERIA = ("subject", "language")
"""What a ticket may ask for. Each further name doubles the work of an offer."""


class Openable(Protocol):
    """What a ticket stands for, as far as the pool cares: open until it closes for good."""

    @property
    def open(self) -> bool: ...


T = TypeVar("T")
D = TypeVar("D", bound=Openable)
TicketId: TypeAlias = int | str
_Criteria: TypeAlias = tuple[tuple[str, str], ...]
_Label: TypeAlias = tuple[tuple[str, ...], _Criteria]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ticket(Generic[D]):
    """A user's place in the pool: who, what they want, since when. Times are trio's clock, in seconds.

    Raises:
        ValueError: `criteria` has a name that is not in `CRITERIA`.
    """

    id: TicketId
    user: str
    door: D
    """Whether the ticket is still good; the matcher also reaches the user by it."""
    since: float
    """When the waiting began: earlier than `entered` after a failed match, whose waiting time counts."""
    entered: float
    """When this search began: being kept apart is counted from here."""
    head: bool = False
    """Comes before everybody who is not head: a match that did not become a call costs nothing."""
    criteria: Mapping[str, str] = field(default_factory=dict)
    """What is wanted, normalised: values are compared as they are. A name left out means: anything."""
    apart: frozenset[str] = frozenset()
    """Users met recently. It holds in both directions, whichever of the two lists the other."""

    def __post_init__(self) -> None:
        if not self.criteria.keys() <= set(CRITERIA):
            raise ValueError(f"criteria may name {', '.join(CRITERIA)}; got {', '.join(self.criteria)}")

    @property
    def open(self) -> bool:
        return self.door.open


class _Place(NamedTuple, Generic[D]):
    """A ticket where it stands in the order: head first, then the oldest, then who was offered first."""

    behind: bool
    since: float
    arrival: int  # differs for any two places, so comparing two never gets as far as the ticket
    ticket: Ticket[D]


class _Rematch(NamedTuple, Generic[D]):
    """Two in the pool who fit but are kept apart, and when both will have waited long enough."""

    due: float
    older: _Place[D]
    younger: _Place[D]


class Pool(Generic[D]):
    """Those who wait, each user once. Every method is one synchronous step.

    A ticket whose door has closed is never handed out. It is dropped when it is met, and until then
    still counted and listed: whoever closes the door should `withdraw` too. Two people who met recently wait
    for somebody else for `apart_s` seconds, before they are offered to each other again.
    """

    def __init__(self, apart_s: float) -> None:
        self._apart_s = apart_s
        self._arrivals = count()
        self._places: dict[TicketId, _Place[D]] = {}
        self._users: dict[str, _Place[D]] = {}
        self._shelves: defaultdict[_Label, SortedList] = defaultdict(SortedList)
        self._rematches: list[_Rematch[D]] = []  # a heap; pairs of which one has left are skipped

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, ticket_id: object) -> bool:
        return ticket_id in self._places

    def __iter__(self) -> Iterator[Ticket[D]]:
        """All tickets in order. The pool must not change meanwhile."""
        return (place.ticket for place in self._fitting({}))

    def offer(self, ticket: Ticket[D], now: float) -> Ticket[D] | None:
        """Pair `ticket` with the first in order who fits: they leave the pool and are returned.

        Somebody kept apart from it is taken only if nobody else fits and both have waited `apart_s`.
        If there is nobody, the ticket is put in, and None returned. A closed ticket is not put in.

        Raises:
            ValueError: this user, or a ticket of this id, is waiting already. Nothing has changed.
        """
        if not ticket.open:
            return None
        for present in (self._users.get(ticket.user), self._places.get(ticket.id)):
            if present is not None and self._waits(present):
                raise ValueError(
                    f"expected a user and an id that do not wait yet, got user {ticket.user!r} with ticket "
                    f"{ticket.id!r} while {present.ticket.user!r} waits with {present.ticket.id!r}"
                )
        partner, apart = self._look(ticket)
        if partner is None:
            partner = next((place for place in apart if self._due(place.ticket, ticket) <= now), None)
        if partner is None:
            self._put(ticket, apart)
            return None
        self._remove(partner)
        return partner.ticket

    def withdraw(self, ticket_id: TicketId) -> Ticket[D] | None:
        """Take a ticket out and return it; None if it is not here (any more)."""
        place = self._places.get(ticket_id)
        if place is None:
            return None
        self._remove(place)
        return place.ticket

    def due(self) -> float | None:
        """When `pair_due` may next have a pair, in seconds; it may lie in the past. None: not foreseen.

        Only `offer` can bring it forward.
        """
        while self._rematches:
            due, older, younger = self._rematches[0]
            if self._waits(older) and self._waits(younger):
                return due
            heappop(self._rematches)
        return None

    def pair_due(self, now: float) -> list[tuple[Ticket[D], Ticket[D]]]:
        """Take out the pairs, kept apart so far, of whom both have waited `apart_s` by `now`.

        The oldest chooses first, and chooses the oldest; each pair has its older ticket first.
        """
        ripe = []
        while self._rematches and self._rematches[0].due <= now:
            _, older, younger = heappop(self._rematches)
            ripe.append((older, younger))
        pairs = []
        for older, younger in sorted(ripe):
            if self._waits(older) and self._waits(younger):
                self._remove(older)
                self._remove(younger)
                pairs.append((older.ticket, younger.ticket))
        return pairs

    def _look(self, ticket: Ticket[D]) -> tuple[_Place[D] | None, list[_Place[D]]]:
        """The first who fits and is not kept apart, and those kept apart who come before (all, if None)."""
        partner, apart, closed = None, [], []
        for place in self._fitting(ticket.criteria):
            other = place.ticket
            if not other.open:
                closed.append(place)
            elif other.user in ticket.apart or ticket.user in other.apart:
                apart.append(place)
            else:
                partner = place
                break
        for place in closed:  # only now: a shelf must not change while it is read
            self._remove(place)
        return partner, apart

    def _fitting(self, criteria: Mapping[str, str]) -> Iterator[_Place[D]]:
        """All places that fit, in order."""
        shelves: list[Iterable[_Place[D]]] = [
            self._shelves[label] for label in _labels_to_search(criteria) if label in self._shelves
        ]
        return merge(*shelves)

    def _due(self, one: Ticket[D], other: Ticket[D]) -> float:
        return max(one.entered, other.entered) + self._apart_s

    def _waits(self, place: _Place[D]) -> bool:
        """Whether the place is still in the pool and its ticket open; a closed one is dropped."""
        if self._places.get(place.ticket.id) is not place:
            return False
        if not place.ticket.open:
            self._remove(place)
            return False
        return True

    def _put(self, ticket: Ticket[D], apart: list[_Place[D]]) -> None:
        place = _Place(not ticket.head, ticket.since, next(self._arrivals), ticket)
        self._places[ticket.id] = self._users[ticket.user] = place
        for label in _labels_to_file(ticket.criteria):
            self._shelves[label].add(place)
        for other in apart:
            older, younger = sorted((place, other))
            heappush(self._rematches, _Rematch(self._due(ticket, other.ticket), older, younger))

    def _remove(self, place: _Place[D]) -> None:
        del self._places[place.ticket.id], self._users[place.ticket.user]
        for label in _labels_to_file(place.ticket.criteria):
            shelf = self._shelves[label]
            shelf.remove(place)
            if not shelf:
                del self._shelves[label]


def _subsets(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))


_SHAPES = tuple(_subsets(CRITERIA))


def _named(criteria: Mapping[str, str], shape: tuple[str, ...]) -> _Criteria:
    """The part of `criteria` that `shape` names too."""
    return tuple((name, criteria[name]) for name in shape if name in criteria)


def _labels_to_search(criteria: Mapping[str, str]) -> list[_Label]:
    if not criteria:
        return _FOR_ANYBODY
    return [(shape, _named(criteria, shape)) for shape in _SHAPES]


def _labels_to_file(criteria: Mapping[str, str]) -> list[_Label]:
    if not criteria:
        return _OF_ANYBODY
    whole = _named(criteria, CRITERIA)
    own_shape = tuple(name for name, _ in whole)
    return [(own_shape, part) for part in _subsets(whole)]


# Most people name no criteria, and what they get is always the same.
_FOR_ANYBODY: list[_Label] = [(shape, ()) for shape in _SHAPES]
_OF_ANYBODY: list[_Label] = [((), ())]
