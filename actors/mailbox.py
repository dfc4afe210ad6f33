"""Mailboxes: where an actor waits for its messages.

A `Mailbox` belongs to one actor, its only reader. Any code may `tell` it a message: a plain synchronous call
which never blocks and never fails. So no cycle of actors that wait for each other can be built. During an
actor's turn, from one message to the next, nothing else touches its state.

A turn may run on the stack of the actor that sends the message. A reader may pass a function that *handles in
place* messages which do not change what the actor waits for; `tell` calls this function directly, and the
reader's task does not wake. It is still the reader's own turn: one at a time, in order, never while another
turn of the same actor goes on, never after the actor was cancelled; and if it raises, the reader crashes, not
the sender.

Having told B does not prove that B will read it: B may be gone, or busy with something to which the message
no longer belongs. A *door* (`actors.door`) is an address that closes with a scope; the mailbox drops messages
that came through a door which has closed since.

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
"""Handles a message if that is possible without waking the actor; returns whether it was handled."""

TURNS_BEFORE_YIELD = 16
"""How many waiting messages an actor may take before it lets other tasks run.

A trip through trio's scheduler costs about 10 µs, and most turns cost less than that; sixteen turns take
well under a millisecond, a delay that other tasks can bear.
"""


class Address(Protocol):
    """The address a message was sent to. Its unread messages are dropped once it is no longer open."""

    @property
    def open(self) -> bool: ...


class Mailbox(Generic[M]):
    """An unbounded, ordered queue of messages with one reader.

    It has no bound, because `tell` never blocks and never refuses an open mailbox. Code at the edge that
    can wait (a socket's reader, for instance, by credit) has to bound what comes in.
    """

    __slots__ = ("_before_waiting", "_closed", "_in_place", "_is_left", "_messages", "_reader", "_turns")

    def __init__(self) -> None:
        self._messages: deque[tuple[Address | None, M]] = deque()
        self._reader: trio.lowlevel.Task | None = None  # set while it waits, only when empty
        self._in_place: InPlace[M] | None = None
        self._before_waiting: Callable[[], None] | None = None
        self._is_left = False
        self._closed = False
        self._turns = 0

    def __len__(self) -> int:
        """The number of messages that wait, those for closed addresses included."""
        return len(self._messages)

    def tell(self, message: M) -> bool:
        """Deliver `message` without blocking. Once the mailbox is closed, drop it and return False."""
        return self.tell_at(None, message)

    def tell_at(self, address: Address | None, message: M) -> bool:
        """Like `tell`, but `message` is dropped if `address` closes before it is read."""
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
            if is_handled and not self._messages and self._before_waiting is not None:
                self._before_waiting()
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
        """The next message whose door is still open, in a tuple; None when there is none."""
        while self._messages:
            address, message = self._messages.popleft()
            if address is None or address.open:
                return (message,)
        return None

    async def receive(
        self, in_place: InPlace[M] | None = None, before_waiting: Callable[[], None] | None = None
    ) -> M:
        """Wait for the next message that `in_place` does not handle, and take it.

        Messages arrive in the order in which they were told; those for doors closed since are skipped. A
        cancelled `receive` has taken nothing, even if a message was there before: a cancelled actor has no
        further turn. `receive` is a checkpoint, but goes through the scheduler only when it has to wait, and
        once in TURNS_BEFORE_YIELD messages.

        `in_place` is called once with each message and returns whether it handled it; if not, it must not
        have done anything. While the reader waits, `in_place` runs inside the sender's `tell`; a message that
        it tells this mailbox waits until it returns.

        `before_waiting` is called each time when no message is left and the reader is about to wait, or goes
        on waiting: there an actor finishes what it collects over several turns. It may tell this mailbox.

        Raises:
            trio.EndOfChannel: the mailbox was closed, and all its messages have been taken.
            trio.BusyResourceError: another task is already waiting here.
            Exception: what `in_place` or `before_waiting` raised; it is raised here, not in `tell`.
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
                if before_waiting is not None:
                    before_waiting()
                    if self._messages or self._closed:
                        continue
                self._turns = 0
                self._in_place, self._before_waiting = in_place, before_waiting
                self._reader = trio.lowlevel.current_task()
                try:
                    refused = await trio.lowlevel.wait_task_rescheduled(self._leave)
                finally:
                    self._in_place = self._before_waiting = None

    def _leave(self, _: object) -> trio.lowlevel.Abort:
        """Trio cancels the reader: while it waits, or during an `in_place` call, which finishes first."""
        self._is_left = True
        if self._reader is None:
            return trio.lowlevel.Abort.FAILED
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def discard(self) -> None:
        """Close, and drop all messages: for a reader that has ended.

        A message that came through a door refers to the door, and the door to its mailbox: a reference
        cycle, which this breaks.
        """
        self.close()
        self._messages.clear()

    def waiting(self) -> list[M]:
        """The waiting messages whose doors are open, in order. They stay in the mailbox."""
        return [message for address, message in self._messages if address is None or address.open]

    def receive_nowait_all(self, limit: int) -> list[M]:
        """Take up to `limit` messages that are already here, in order, without waiting."""
        messages: list[M] = []
        while len(messages) < limit and (taken := self._take()) is not None:
            messages.append(taken[0])
        return messages

    def close(self) -> None:
        """Accept no more messages. Those inside can still be received. Closing twice changes nothing."""
        self._closed = True
        if self._reader is not None:
            trio.lowlevel.reschedule(self._reader)
            self._reader = None
