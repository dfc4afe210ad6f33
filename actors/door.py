"""Doors: addresses of a mailbox that are valid exactly as long as a scope is open, and links between them.

A `Door` is valid while a ``with`` block is open. The mailbox drops messages that came through a door which
has closed since, so an actor that left a scope receives nothing more for it. Two doors can be *linked* in one
synchronous step: when one closes, it *rings* the other, that is, it delivers the message agreed on when they
were linked, or a more precise one given to `Door.sever`. A door closes in ``finally``, so no order of events,
crash or cancellation can lose this message:

* a door has links only while it is open; closing removes them on both sides before ringing;
* so a link is broken once, by one side. `Door.sever` returns whether the caller broke it, and `link` takes
  a callback that runs when the link breaks, for whatever reason.

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
    """One side of a link: the message it gets when the link breaks, and the callback."""

    __slots__ = ("broken", "news")

    def __init__(self, news: M_contra, broken: Callable[[Door[Any], Any], None] | None) -> None:
        self.news = news
        self.broken = broken

    def ring(self, door: Door[M_contra], breaker: Door[Any], news: M_contra) -> None:
        """`breaker` broke the link: call the callback, and deliver `news` to `door`, which has this side."""
        if self.broken is not None:
            self.broken(breaker, news)
        door.tell(news)


class Door(Generic[M_contra]):
    """An address of `mailbox` that is valid while its ``with`` block is open.

    A door may be linked with several others at a time, as the matcher's is with those of all who wait.
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
        """Deliver `message` without blocking. Once the door is closed, drop it and return False."""
        return self.open and self._mailbox.tell_at(self, message)

    def close(self) -> None:
        """Close for good, and ring every linked door in the order of linking.

        Closing twice changes nothing.
        """
        self.open = False
        links, self._links = self._links, {}
        for other in links:
            theirs = other.remove_side(self)
            theirs.ring(other, self, theirs.news)

    def linked(self, other: Door[Any]) -> bool:
        """Whether the two are linked now."""
        return other in self._links

    def sever(self, other: Door[B], news: B) -> bool:
        """Break the link with `other`, and deliver `news` to it instead of the message agreed on.

        Returns True if the link was there: when both sides leave at once, exactly one gets True. Returns
        False, and delivers nothing, if the link was already broken.
        """
        if self._links.pop(other, None) is None:
            return False
        other.remove_side(self).ring(other, self, news)
        return True

    def unlink(self, other: Door[Any]) -> bool:
        """Remove the link with `other` without delivering anything. Returns whether there was one."""
        if self._links.pop(other, None) is None:
            return False
        other.remove_side(self)
        return True

    def add_side(self, other: Door[Any], side: _Link[M_contra]) -> None:
        """Add this door's side of a link with `other`. Only `link` calls it, for both doors in one step."""
        self._links[other] = side

    def remove_side(self, other: Door[Any]) -> _Link[M_contra]:
        """Remove this door's side of the link with `other`, which has just removed its own side."""
        return self._links.pop(other)


def link(
    first: Door[A],
    second: Door[B],
    *,
    first_hears: A,
    second_hears: B,
    broken: Callable[[Door[Any], Any], None] | None = None,
) -> bool:
    """Link two open doors in one step: when one closes, the other receives the message given here.

    `broken` is called once, synchronously, when a door closes or severs the link, with the door that broke
    it and the message that the other one receives; it must not raise.

    Returns False, and links nothing, if either door is closed.

    Raises:
        ValueError: a door cannot be linked with itself, nor twice with the same door.
    """
    if first is second:
        raise ValueError("a door cannot be linked with itself")
    if first.linked(second):
        raise ValueError("these two doors are linked already")
    if not (first.open and second.open):
        return False
    first.add_side(second, _Link(first_hears, broken))
    second.add_side(first, _Link(second_hears, broken))
    return True
