"""Doors: addresses of a mailbox that live exactly as long as a scope, and links between them.

A `Door` is valid while a ``with`` block is open. What arrives through a door that has closed since is dropped
when the mailbox is read, so an actor that left a scope never hears of it again. Two doors can be *linked* in
one synchronous step: from then on, whichever closes first *rings* the other, that is, delivers the news
agreed on when they were linked, or better news given on leaving. Since a door closes in ``finally``, no
order of events, crash or cancellation can lose that ring:

* a door knows its links only while it is open; closing removes them on both sides before ringing;
* hence a link is broken once, by one side: `Door.sever` tells the caller whether it was them, and what
  has to be done when a link breaks, however it breaks, can be given with it when it is made.

Everything here must be called from the trio thread.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from actors.mailbox import Mailbox

M_contra = TypeVar("M_contra", contravariant=True)
A = TypeVar("A")
B = TypeVar("B")


class _Link(Generic[M_contra]):
    """What one side of a link knows of it: what it will hear, and what is done when the link breaks."""

    __slots__ = ("broken", "news")

    def __init__(self, news: M_contra, broken: Callable[[Door[Any], Any], None] | None) -> None:
        self.news = news
        self.broken = broken


class Door(Generic[M_contra]):
    """An address of `mailbox` that is valid while its ``with`` block is open.

    A door may be linked with several others at a time, as the matcher's is with everybody who waits.
    """

    __slots__ = ("_links", "_mailbox", "open")

    def __init__(self, mailbox: Mailbox[M_contra]) -> None:
        self._mailbox = mailbox
        self._links: dict[Door[Any], _Link[M_contra]] = {}
        self.open = True

    def __enter__(self) -> Door[M_contra]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tell(self, message: M_contra) -> bool:
        """Hand over `message`; never blocks. Returns False, dropping it, once the door is closed."""
        return self.open and self._mailbox.tell_at(self, message)

    def close(self) -> None:
        """Close for good, and ring every door this one is linked with, in the order of linking.

        Closing twice changes nothing.
        """
        self.open = False
        links, self._links = self._links, {}
        for other in links:
            theirs = other._links.pop(self)
            other._hear(self, theirs, theirs.news)

    def linked(self, other: Door[Any]) -> bool:
        """Whether the two are linked at this moment."""
        return other in self._links

    def sever(self, other: Door[B], news: B) -> bool:
        """Break the link with `other`, which hears `news` instead of the ring agreed on.

        Returns True if the link was there, so that of two who leave at once exactly one is told that
        it was them who left; False (and nothing is told) if it had been broken before.
        """
        if self._links.pop(other, None) is None:
            return False
        other._hear(self, other._links.pop(self), news)
        return True

    def unlink(self, other: Door[Any]) -> bool:
        """Take the link with `other` away, as if it had never been. Returns whether there was one."""
        if self._links.pop(other, None) is None:
            return False
        del other._links[self]
        return True

    def _hear(self, breaker: Door[Any], link: _Link[M_contra], news: M_contra) -> None:
        if link.broken is not None:
            link.broken(breaker, news)
        self.tell(news)


def link(
    first: Door[A],
    second: Door[B],
    *,
    first_hears: A,
    second_hears: B,
    broken: Callable[[Door[Any], Any], None] | None = None,
) -> bool:
    """Link two open doors in one step: when either closes, the other hears what is given here.

    `broken` is called once, when the link breaks by closing or severing, in that same step, with the
    door that broke it and the news that the other one hears; it must not raise.

    Returns False, and links nothing, if either is closed already: whoever links decides what that means.

    Raises:
        ValueError: a door cannot be linked with itself, nor twice with the same door.
    """
    if first is second:
        raise ValueError("a door cannot be linked with itself")
    if first.linked(second):
        raise ValueError("these two doors are linked already")
    if not (first.open and second.open):
        return False
    first._links[second] = _Link(first_hears, broken)
    second._links[first] = _Link(second_hears, broken)
    return True
