"""The waiting pool: the tickets of everybody who searches. No other module decides who meets whom.

The pool owns the tickets and their order. The matcher owns the pool, and acts on each pairing. This module is
pure: no tasks, no clock, no random numbers, no I/O.

Theory of operation
-------------------
**Fitting.** Two tickets fit when they agree on every criterion that *both* name. The *shape* of a ticket is
the set of names that it gives: there are four, from `()` to `("subject", "language")`. A newcomer and the
tickets of one shape can disagree only on the names they share. So the pool files every ticket under its shape
with each part of its criteria, and looks up one label per shape for a newcomer. For somebody who asks for
maths in any language, these labels hold exactly the tickets that fit, oldest first::

    shape                       label
    ()                          ()
    ("subject",)                (subject=maths,)
    ("language",)               ()
    ("subject", "language")     (subject=maths,)

**Progress.** No two open tickets in the pool fit, unless they are kept apart and one of them has not yet
waited `apart_s`. `offer` inserts a newcomer only if *every* ticket that fits is kept apart from it, and
removing a ticket cannot make two others fit. So the pool never searches again, except for pairs that are kept
apart: it notes each, with the time at which both will have waited long enough.

**Cost.** With k criteria an offer makes 2**k look-ups and at most as many insertions, each almost independent
of the number of tickets. It also skips two kinds of tickets. Closed ones are dropped, so each is skipped
once. Those kept apart are at most as many as the newcomer lists, plus those that list the newcomer. If
everyone lists the last 16, the latter are 16 on average too; more only for a person who recently met more
people, all of whom wait now. Each costs 2 µs, the rest of an offer 10 to 20 µs (`benchmarks/pool.py`). A pair
is noted once, for at most `apart_s`.
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
"""The criteria that a ticket may name. Each further one doubles the work of an offer."""


class Openable(Protocol):
    """What the pool needs of the person behind a ticket: `open` until it closes, which is final."""

    @property
    def open(self) -> bool: ...


T = TypeVar("T")
D = TypeVar("D", bound=Openable)
TicketId: TypeAlias = int | str
_Criteria: TypeAlias = tuple[tuple[str, str], ...]
_Label: TypeAlias = tuple[tuple[str, ...], _Criteria]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ticket(Generic[D]):
    """A user who waits: who they are, what they want, and since when. Times are trio's clock, in seconds.

    Raises:
        ValueError: `criteria` has a name that is not in `CRITERIA`.
    """

    id: TicketId
    user: str
    door: D
    """Tells whether the ticket is still valid; the matcher also reaches the user through it."""
    since: float
    """When the waiting began: earlier than `entered` after a failed match, since the old waiting time
    counts."""
    entered: float
    """When this search began; `apart_s` counts from here."""
    head: bool = False
    """Whether the ticket comes before all that are not head: after a match that did not become a call."""
    criteria: Mapping[str, str] = field(default_factory=dict)
    """The criteria, normalised: the pool compares the values as they are. A name left out fits any value."""
    apart: frozenset[str] = frozenset()
    """Users met recently. It keeps two people apart if either of them lists the other."""

    def __post_init__(self) -> None:
        if not self.criteria.keys() <= set(CRITERIA):
            raise ValueError(f"criteria may name {', '.join(CRITERIA)}; got {', '.join(self.criteria)}")

    @property
    def open(self) -> bool:
        return self.door.open


class _Entry(NamedTuple, Generic[D]):
    """A ticket with its position in the order: head first, then the oldest, then the one offered first."""

    behind: bool
    since: float
    arrival: int  # differs for any two entries, so comparing two never gets as far as the ticket
    ticket: Ticket[D]


class _Rematch(NamedTuple, Generic[D]):
    """Two tickets that fit but are kept apart, and when both will have waited long enough."""

    due: float
    older: _Entry[D]
    younger: _Entry[D]


class Pool(Generic[D]):
    """The tickets of those who wait, one for each user. All methods are synchronous.

    The pool never returns a ticket whose door has closed. It drops such a ticket when it finds it; until then
    the ticket is counted and listed, so the caller should also `withdraw` it. Two people who met recently are
    paired again only after both have waited `apart_s` seconds for somebody else.
    """

    def __init__(self, apart_s: float) -> None:
        self._apart_s = apart_s
        self._arrivals = count()
        self._entries: dict[TicketId, _Entry[D]] = {}
        self._users: dict[str, _Entry[D]] = {}
        self._index: defaultdict[_Label, SortedList] = defaultdict(SortedList)
        self._rematches: list[_Rematch[D]] = []  # a heap; pairs of which one has left are skipped

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, ticket_id: object) -> bool:
        return ticket_id in self._entries

    def __iter__(self) -> Iterator[Ticket[D]]:
        """All tickets in order. The pool must not change meanwhile."""
        return (entry.ticket for entry in self._fitting({}))

    def offer(self, ticket: Ticket[D], now: float) -> Ticket[D] | None:
        """Remove and return the first ticket in order that fits `ticket`.

        One that is kept apart from it is taken only if no other fits and both have waited `apart_s`. If none
        fits, returns None and inserts `ticket`, unless it is closed.

        Raises:
            ValueError: this user, or a ticket of this id, is waiting already. Nothing has changed.
        """
        if not ticket.open:
            return None
        for present in (self._users.get(ticket.user), self._entries.get(ticket.id)):
            if present is not None and self._waits(present):
                raise ValueError(
                    f"expected a user and an id that do not wait yet, got user {ticket.user!r} with ticket "
                    f"{ticket.id!r} while {present.ticket.user!r} waits with {present.ticket.id!r}"
                )
        partner, apart = self._look(ticket)
        if partner is None:
            partner = next((entry for entry in apart if self._due(entry.ticket, ticket) <= now), None)
        if partner is None:
            self._put(ticket, apart)
            return None
        self._remove(partner)
        return partner.ticket

    def withdraw(self, ticket_id: TicketId) -> Ticket[D] | None:
        """Take a ticket out and return it; None if it is not here (any more)."""
        entry = self._entries.get(ticket_id)
        if entry is None:
            return None
        self._remove(entry)
        return entry.ticket

    def due(self) -> float | None:
        """The time in seconds at which `pair_due` may next have a pair; it may be past. None: no pair is
        noted.

        Only `offer` can bring it forward.
        """
        while self._rematches:
            due, older, younger = self._rematches[0]
            if self._waits(older) and self._waits(younger):
                return due
            heappop(self._rematches)
        return None

    def pair_due(self, now: float) -> list[tuple[Ticket[D], Ticket[D]]]:
        """Remove and return the pairs that were kept apart and have both waited `apart_s` by `now`.

        The oldest ticket is paired first, with the oldest that fits; each pair has its older ticket first.
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

    def _look(self, ticket: Ticket[D]) -> tuple[_Entry[D] | None, list[_Entry[D]]]:
        """The first ticket that fits and is not kept apart, and those kept apart before it (all, if None)."""
        partner, apart, closed = None, [], []
        for entry in self._fitting(ticket.criteria):
            other = entry.ticket
            if not other.open:
                closed.append(entry)
            elif other.user in ticket.apart or ticket.user in other.apart:
                apart.append(entry)
            else:
                partner = entry
                break
        for entry in closed:  # only now: a list must not change while it is iterated
            self._remove(entry)
        return partner, apart

    def _fitting(self, criteria: Mapping[str, str]) -> Iterator[_Entry[D]]:
        """All entries that fit, in order."""
        lists: list[Iterable[_Entry[D]]] = [
            self._index[label] for label in _labels_to_search(criteria) if label in self._index
        ]
        return merge(*lists)

    def _due(self, one: Ticket[D], other: Ticket[D]) -> float:
        return max(one.entered, other.entered) + self._apart_s

    def _waits(self, entry: _Entry[D]) -> bool:
        """Whether the ticket is still in the pool and open; a closed one is dropped."""
        if self._entries.get(entry.ticket.id) is not entry:
            return False
        if not entry.ticket.open:
            self._remove(entry)
            return False
        return True

    def _put(self, ticket: Ticket[D], apart: list[_Entry[D]]) -> None:
        entry = _Entry(not ticket.head, ticket.since, next(self._arrivals), ticket)
        self._entries[ticket.id] = self._users[ticket.user] = entry
        for label in _labels_to_file(ticket.criteria):
            self._index[label].add(entry)
        for other in apart:
            older, younger = sorted((entry, other))
            heappush(self._rematches, _Rematch(self._due(ticket, other.ticket), older, younger))

    def _remove(self, entry: _Entry[D]) -> None:
        del self._entries[entry.ticket.id], self._users[entry.ticket.user]
        for label in _labels_to_file(entry.ticket.criteria):
            entries = self._index[label]
            entries.remove(entry)
            if not entries:
                del self._index[label]


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


# Most people name no criteria, and the result for them is always the same.
_FOR_ANYBODY: list[_Label] = [(shape, ()) for shape in _SHAPES]
_OF_ANYBODY: list[_Label] = [((), ())]
