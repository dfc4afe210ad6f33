"""Mailboxes: where an actor waits for its messages.

A `Mailbox` belongs to one actor, its only reader. Anybody may `tell` it something: that is a plain
synchronous call which never blocks and never fails, so a circle of actors waiting for each other cannot be
built. An actor's turn, from one message to the next, is one step: nobody else touches its state.

A turn may run on the stack of the actor that sends the message. A reader can pass a function that *handles in
place* messages for which the actor need not move from where it waits; such a message is handled in the step
in which it is told, and the reader's task does not wake. It remains the reader's own turn: one at a time, in
order, never while another turn of the same actor goes on, never after the actor was cancelled; and if it
fails, the reader crashes and not the sender.

"I told B" proves nothing: B may be gone, or busy with something to which the news no longer belongs. A
*door* (`actors.door`) is an address that closes with a scope; the mailbox drops what came through a door
that has closed since.

Everything here must be called from the trio thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeAlias, TypeVar

import outcome
import trio

M = TypeVar("M")

InPlace: TypeAlias = Callable[[M], bool]
"""Handles a message, if the actor need not move from where it waits; returns whether it has handled it."""

TURNS_BEFORE_YIELD = 16
"""How many waiting messages an actor may take before it lets others run.

A full trip through trio's scheduler costs about 10 µs and most turns cost less than that; sixteen
turns are well under a millisecond, so nobody else notices.
"""


class Address(Protocol):
    """Where a message came in. Messages are dropped once it is no longer open."""

    @property
    def open(self) -> bool: ...


class Mailbox(Generic[M]):
    """An unbounded, ordered queue of messages with one reader.

    It has no bound of its own, because telling never blocks and never refuses: bounds belong to whoever
    lets messages in (for instance by credit), where somebody can be made to wait.
    """

    __slots__ = ("_closed", "_in_place", "_is_left", "_messages", "_reader", "_turns")

    def __init__(self) -> None:
        self._messages: deque[tuple[Address | None, M]] = deque()
        self._reader: trio.lowlevel.Task | None = None  # while it waits, which it does only on nothing
        self._in_place: InPlace[M] | None = None
        self._is_left = False
        self._closed = False
        self._turns = 0

    def __len__(self) -> int:
        """How many messages wait, those for closed addresses included."""
        return len(self._messages)

    def tell(self, message: M) -> bool:
        """Hand over `message`; never blocks. Returns False, dropping it, once the mailbox is closed."""
        return self.tell_at(None, message)

    def tell_at(self, address: Address | None, message: M) -> bool:
        """Hand over `message`, which is wanted only as long as `address` is open; as `tell` otherwise."""
        if self._closed:
            return False
        reader, in_place = self._reader, self._in_place
        if reader is None:
            self._messages.append((address, message))
            return True
        self._reader = None
        if in_place is None:
            self._messages.append((address, message))
            trio.lowlevel.reschedule(reader)
            return True
        self._is_left = False
        try:
            is_handled = in_place(message)
        except Exception as error:
            trio.lowlevel.reschedule(reader, outcome.Error(error))
            return True
        if not is_handled:
            self._messages.append((address, message))
            trio.lowlevel.reschedule(reader, outcome.Value(message))
        elif self._messages or self._is_left or self._closed:
            trio.lowlevel.reschedule(reader)
        else:
            self._reader = reader
        return True

    def _take(self) -> tuple[M] | None:
        """The next message that is still wanted, in a tuple of its own; None when there is none."""
        while self._messages:
            address, message = self._messages.popleft()
            if address is None or address.open:
                return (message,)
        return None

    async def receive(self, in_place: InPlace[M] | None = None) -> M:
        """Wait for the next message, but for those that `in_place` handles, and take it.

        Messages arrive in the order they were told; those for doors closed since are skipped. A
        cancelled `receive` has taken nothing, even if a message was there before it was cancelled: who
        has been told to stop has no further turn. It is a checkpoint, but takes the scheduler's time
        only when it has to wait, and once in TURNS_BEFORE_YIELD messages.

        `in_place` is called with each message, once, and returns whether it has handled it; if not, it
        must not have done anything. While the reader waits, that happens in the step of whoever tells;
        what it tells this mailbox in turn waits until it is done.

        Raises:
            trio.EndOfChannel: the mailbox was closed, and all it still held has been taken.
            trio.BusyResourceError: another task is already waiting here.
            Exception: what `in_place` raised; it comes out here, wherever it was called.
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
                if in_place is None or taken[0] is refused or not in_place(taken[0]):
                    return taken[0]
            elif self._closed:
                raise trio.EndOfChannel
            else:
                refused = None
                self._turns = 0
                self._in_place = in_place
                self._reader = trio.lowlevel.current_task()
                try:
                    refused = await trio.lowlevel.wait_task_rescheduled(self._leave)
                finally:
                    self._in_place = None

    def _leave(self, _: object) -> trio.lowlevel.Abort:
        """The reader is cancelled while it waits; or in a turn it takes meanwhile, which it may finish."""
        self._is_left = True
        if self._reader is None:
            return trio.lowlevel.Abort.FAILED
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def discard(self) -> None:
        """Close, and forget what is inside: for a reader who has gone.

        What came through a door refers to it, and the door to its mailbox: a reference cycle otherwise.
        """
        self.close()
        self._messages.clear()

    def waiting(self) -> list[M]:
        """The messages that wait and are still wanted, in order. They stay."""
        return [message for address, message in self._messages if address is None or address.open]

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
