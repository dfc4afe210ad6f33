"""One session, as one of its two people holds it: the linked doors, and the record of its beginning.

A session *is* the link between the doors of two encounters, which the matcher makes in the step in which
it pairs them. From there on, breaking the link is how a session ends: on purpose (`Pairing.leave`), or
because a door closes (a crash, a cancellation, a grace that ran out). It is one synchronous step that
succeeds for one of the two only, and `bind` has given the link what records the end. So a session ends
once, for one cause, and is recorded once, even if one of the two has not yet heard of the match.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import trio

from actors import Door, Mailbox, link
from studymatch.lifecycle import SessionCause
from studymatch.messages import Matched, PairMessage, PartnerLeft, Seeker, SessionBegan
from studymatch.records import LedgerMessage, SessionConnected, SessionEnded


def bind(session: str, one: Seeker, other: Seeker, ledger: Mailbox[LedgerMessage]) -> bool:
    """Link two people into a session. However the link breaks, its end is recorded, once, in that step.

    Returns False, and links nothing, if one of the doors is closed.
    """

    def ended(door: Door[PairMessage], left: PartnerLeft) -> None:
        by = one.person if door is one.door else other.person
        ledger.tell(SessionEnded(session=session, cause=left.cause, by=by.id, at=trio.current_time()))

    left = PartnerLeft()
    return link(one.door, other.door, first_hears=left, second_hears=left, broken=ended)


class Pairing:
    """The session `match` of somebody whose door `door` is linked with the partner's.

    A context manager: leaving the block leaves the session, if nobody has left it yet, as lost; or, if
    `handed_over` says so at that moment, without a word, since the next life of the server goes on with it.
    """

    def __init__(
        self,
        door: Door[PairMessage],
        match: Matched,
        ledger: Mailbox[LedgerMessage],
        handed_over: Callable[[], bool],
    ) -> None:
        self.session = match.session
        self.partner = match.partner.person
        self.initiator = match.initiator
        self._door = door
        self._partners_door = match.partner.door
        self._ledger = ledger
        self._handed_over = handed_over

    def __enter__(self) -> Pairing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handed_over():
            self._door.unlink(self._partners_door)
        else:
            self.leave(SessionCause.LOST)

    def tell(self, message: PairMessage) -> None:
        """Tell the partner; once they have left the session, nobody hears it."""
        self._partners_door.tell(message)

    def begin(self) -> bool:
        """Media flows on both sides: record it and tell the partner.

        Returns False, and does nothing, if the partner has left; their `PartnerLeft` is in the mailbox.
        """
        if not self._door.linked(self._partners_door):
            return False
        self._ledger.tell(SessionConnected(session=self.session, at=trio.current_time()))
        self._partners_door.tell(SessionBegan())
        return True

    def leave(self, cause: SessionCause, *, partner_ready: bool = True) -> bool:
        """End the session: the partner hears it and it is recorded, in this very step.

        Returns False, and does nothing, if the partner was first; their `PartnerLeft` is in the mailbox.
        """
        return self._door.sever(self._partners_door, PartnerLeft(cause, partner_ready))
