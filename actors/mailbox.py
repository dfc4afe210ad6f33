"""Mailboxes, and doors: addresses that live exactly as long as a scope.

Theory of operation
-------------------
A `Mailbox` belongs to one actor, its only reader. Anybody may `tell` it something: that is a plain
synchronous call which never blocks and never fails, so an actor's turn (from one message to the next)
is one atomic step, and a circle of actors waiting for each other cannot be built.

Since a turn is one step, it does not matter on whose stack it is taken. A reader can say what it would
*settle* without moving from where it waits; such a message is settled in the step in which it is told,
and its task does not wake. It remains the actor's own turn: one at a time, in order, never while another
turn of the same actor goes on, never after it has been cancelled, and if it fails, the actor crashes.

"I told B" proves nothing, though: B may be gone, or already busy with something to which the news no
longer belongs. A `Door` is the answer to both. It is an address of a mailbox that is valid while a
``with`` block is open. What arrives through a door that has closed since is dropped when the mailbox
is read, so an actor that left a scope never hears of it again. And two doors can be *linked* in one
synchronous step: from then on, whichever closes first *rings* the other, that is, delivers the news
agreed on when they were linked, or better news given on leaving. Since a door closes in ``finally``,
no order of events, crash or cancellation can lose that ring:

* a door knows its links only while it is open; closing removes them on both sides before ringing;
* hence a link is broken once, by one side: `Door.sever` tells the caller whether it was them, and what
  has to be done when a link breaks, however it breaks, can be given with it when it is made.

Everything here must be called from the trio thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeAlias, TypeVar

import outcome
import trio

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
A = TypeVar("A")
B = TypeVar("B")

Settle: TypeAlias = Callable[[M], bool]
"""Deals with a message, if it is one that can be dealt with where the actor waits; returns whether it was."""

TURNS_BEFORE_YIELD = 16
"""How many waiting messages an actor may take before it lets others run.

A full trip through trio's scheduler costs about 10 µs and most turns cost less than that; sixteen
turns are well under a millisecond, so nobody else notices.
"""


class Mailbox(Generic[M]):
    """An unbounded, ordered queue of messages with one reader.

    It has no bound of its own, because telling never blocks and never refuses: bounds belong to whoever
    lets messages in (for instance by credit), where somebody can be made to wait.
    """

    __slots__ = ("_closed", "_is_left", "_messages", "_reader", "_settle", "_turns")

    def __init__(self) -> None:
        self._messages: deque[tuple[Door[M] | None, M]] = deque()
        self._reader: trio.lowlevel.Task | None = None  # while it waits, which it does only on nothing
        self._settle: Settle[M] | None = None
        self._is_left = False
        self._closed = False
        self._turns = 0

    def __len__(self) -> int:
        """How many messages wait, those for closed doors included."""
        return len(self._messages)

    def tell(self, message: M) -> bool:
        """Hand over `message`; never blocks. Returns False, dropping it, once the mailbox is closed."""
        return self._put(None, message)

    def _put(self, door: Door[M] | None, message: M) -> bool:
        if self._closed:
            return False
        reader, settle = self._reader, self._settle
        if reader is None:
            self._messages.append((door, message))
            return True
        self._reader = None
        if settle is None:
            self._messages.append((door, message))
            trio.lowlevel.reschedule(reader)
            return True
        self._is_left = False
        try:
            is_settled = settle(message)
        except Exception as error:
            trio.lowlevel.reschedule(reader, outcome.Error(error))
            return True
        if not is_settled:
            self._messages.append((door, message))
            trio.lowlevel.reschedule(reader, outcome.Value(message))
        elif self._messages or self._is_left or self._closed:
            trio.lowlevel.reschedule(reader)
        else:
            self._reader = reader
        return True

    def _take(self) -> tuple[M] | None:
        """The next message that is still wanted, in a tuple of its own; None when there is none."""
        while self._messages:
            door, message = self._messages.popleft()
            if door is None or door.open:
                return (message,)
        return None

    async def receive(self, settle: Settle[M] | None = None) -> M:
        """Wait for the next message, but for those that `settle` deals with, and take it.

        Messages arrive in the order they were told; those for doors closed since are skipped. A
        cancelled `receive` has taken nothing, even if a message was there before it was cancelled: who
        has been told to stop has no further turn. It is a checkpoint, but takes the scheduler's time
        only when it has to wait, and once in TURNS_BEFORE_YIELD messages.

        `settle` is called with each message, once, and returns whether it has dealt with it; if not, it
        must not have done anything. While the reader waits, that happens in the step of whoever tells;
        what it tells this mailbox in turn waits until it is done.

        Raises:
            trio.EndOfChannel: the mailbox was closed, and all it still held has been taken.
            trio.BusyResourceError: another task is already waiting here.
            Exception: what `settle` raised; it comes out here, wherever it was called.
        """
        if self._reader is not None:
            raise trio.BusyResourceError("a mailbox has one reader, and it is already waiting")
        refused: M | None = None
        while True:
            self._turns += 1
            if self._turns >= TURNS_BEFORE_YIELD:
                self._turns = 0
                await trio.lowlevel.checkpoint()
            elif self._messages or self._closed:
                await trio.lowlevel.checkpoint_if_cancelled()
            if (taken := self._take()) is not None:
                if settle is None or taken[0] is refused or not settle(taken[0]):
                    return taken[0]
            elif self._closed:
                raise trio.EndOfChannel
            else:
                refused = None
                self._turns = 0
                self._settle = settle
                self._reader = trio.lowlevel.current_task()
                try:
                    refused = await trio.lowlevel.wait_task_rescheduled(self._leave)
                finally:
                    self._settle = None

    def _leave(self, _: object) -> trio.lowlevel.Abort:
        """The reader is cancelled while it waits; or in a turn it takes meanwhile, which it may finish."""
        self._is_left = True
        if self._reader is None:
            return trio.lowlevel.Abort.FAILED
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def discard(self) -> None:
        """Close, and forget what is inside: for a reader who has gone.

        What came through a door refers to it, and the door to its mailbox: a circle otherwise.
        """
        self.close()
        self._messages.clear()

    def waiting(self) -> list[M]:
        """The messages that wait and are still wanted, in order. They stay."""
        return [message for door, message in self._messages if door is None or door.open]

    def receive_nowait_all(self, limit: int) -> list[M]:
        """Take up to `limit` messages that are already here, in order, without waiting."""
        messages: list[M] = []
        while len(messages) < limit and (taken := self._take()) is not None:
            messages.append(taken[0])
        return messages

    def close(self) -> None:
        """Take in no more. What is inside can still be received; closing twice changes nothing."""
        self._closed = True
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None


class _Link(Generic[M_contra]):
    """What one side of a link knows of it: what it will hear, and what is done when the link breaks."""

    __slots__ = ("broken", "news")

    def __init__(self, news: M_contra, broken: Callable[[Door[Any], Any], None] | None) -> None:
        self.news = news
        self.broken = broken


class Door(Generic[M_contra]):
    """An address of `mailbox` that is valid while its ``with`` block is open.

    A door may be linked with several others at a time (a desk with everybody who queues at it).
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
        return self.open and self._mailbox._put(self, message)

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
