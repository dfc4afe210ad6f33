"""Bugs to plant in the way of the frames: what is written late, and what waits without a bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors import Mailbox
from actors.mailbox import InPlace
from tests.simulation.planting import Plant, on
from web.conversation import Conversation
from web.server.direct import DirectSocket
from web.server.outgoing import Outgoing


def what_was_written_waits_behind_a_late_message() -> Any:
    """The first bug that the simulator found on the direct path: a page was not told of its session's end.

    Frames were flushed when the mailbox was empty. It is not when all that is left in it will be dropped,
    because it came through a door that has closed.
    """
    original = Mailbox.receive

    async def receive(
        box: Mailbox[Any],
        in_place: InPlace[Any] | None = None,
        before_waiting: Callable[[], None] | None = None,
    ) -> Any:
        def flush_if_empty() -> None:
            if before_waiting is not None and not len(box):
                before_waiting()

        def handle(message: Any) -> bool:
            handled = in_place is not None and in_place(message)
            if handled:
                flush_if_empty()
            return handled

        flush_if_empty()
        return await original(box, handle)

    return on(Mailbox, "receive", receive)


def a_paused_connection_stays_paused() -> Any:
    def credit(self: Conversation) -> None:
        self._unhandled -= 1

    return on(Conversation, "credit", credit)


def clients_that_do_not_read_keep_their_connection() -> Any:
    return on(Conversation, "write", lambda self, frame: self._code is None and self._socket.send(frame))


def the_rest_of_a_write_is_forgotten() -> Any:
    """What the kernel had no room for is written again from its beginning."""

    def sent(self: Outgoing, count: int) -> None:
        original(self, 0 if 0 < count < self.unsent_bytes else count)

    original = Outgoing._sent
    return on(Outgoing, "_sent", sent)


def data_left_after_a_pause_are_not_handled() -> Any:
    def resume(self: DirectSocket) -> None:
        self._is_paused = False
        self._watch()

    return on(DirectSocket, "resume", resume)


SENDING: tuple[Plant, ...] = (
    what_was_written_waits_behind_a_late_message,
    a_paused_connection_stays_paused,
    clients_that_do_not_read_keep_their_connection,
    the_rest_of_a_write_is_forgotten,
    data_left_after_a_pause_are_not_handled,
)
