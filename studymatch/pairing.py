"""One session from the side of one of its two people: the link of their doors, and the records of the
session.

A session *is* the link between the doors of two encounters. The matcher makes the link in the step in which
it pairs them, and the session ends when the link breaks: on purpose (`Pairing.leave`), or because a door
closes (a crash, a cancellation, the end of the grace). Breaking a link is one synchronous step that succeeds
for one of the two only, and runs the callback of `bind` that records the end. So a session ends once, for one
cause, and is recorded once, even if one of the two has not yet handled the match.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

import trio

from actors import Door, Mailbox, link
from studymatch.messages import Matched, PairMessage, PartnerLeft, Seeker, SessionBegan
from studymatch.patience import Patience
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import LedgerMessage, SessionConnected, SessionEnded


def bind(
    session: str, one: Seeker, other: Seeker, ledger: Mailbox[LedgerMessage], patience: Patience
) -> bool:
    """Link two people into a session. The step that breaks the link, for any reason, records the end once.

    If the match had not become a call, it counts against those who caused the end.

    Returns False, and links nothing, if one of the doors is closed.
    """

    def ended(door: Door[PairMessage], left: PartnerLeft) -> None:
        now = trio.current_time()
        by, mate = (one, other) if door is one.door else (other, one)
        ledger.tell(SessionEnded(session=session, cause=left.cause, by=by.person.id, at=now))
        patience.over(session, _to_blame(by.person.id, mate.person.id, left), now)

    left = PartnerLeft()
    if not link(one.door, other.door, first_hears=left, second_hears=left, broken=ended):
        return False
    patience.matched(session, one.person.id, other.person.id)
    return True


def _to_blame(by: str, mate: str, left: PartnerLeft) -> tuple[str, ...]:
    """The people who caused the end when `by` left `mate`; at a timeout, those who did not do their part.

    Empty if `mate` was away or their page did not answer.
    """
    if left.cause is not SessionCause.CONNECT_TIMEOUT:
        return () if left.unanswered else (by,)
    if not (left.ready or left.leaver_ready):
        return ()
    return tuple(person for person, ready in ((by, left.leaver_ready), (mate, left.ready)) if not ready)


ANSWER_LIMIT_S = 5.0
"""How long a partner's page may take to send its first signal. A page that works sends it at once."""


class Pairing:
    """The session `match` of somebody whose door `door` is linked with the partner's.

    `spoke_here` and `spoke_there`: whether each has sent signals; `partner_away`: the partner's connection is
    down.

    A context manager: leaving the block ends the session, if it has not ended yet, for the cause that
    `cut_short` returns. If that is None, the partner gets no message, since the session goes on after the
    restart.
    """

    def __init__(
        self,
        door: Door[PairMessage],
        match: Matched,
        ledger: Mailbox[LedgerMessage],
        patience: Patience,
        cut_short: Callable[[], SessionCause | None],
    ) -> None:
        self.session = match.session
        self.partner = match.partner.person
        self.initiator = match.initiator
        self.spoke_here = self.spoke_there = self.partner_away = False
        self._began_at = trio.current_time()
        self._door = door
        self._partners_door = match.partner.door
        self._ledger = ledger
        self._patience = patience
        self._cut_short = cut_short

    def __enter__(self) -> Pairing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if (cause := self._cut_short()) is None:
            self._door.unlink(self._partners_door)
        else:
            self.leave(cause)

    def tell(self, message: PairMessage) -> None:
        """Send a message to the partner; once they have left the session, it is dropped."""
        self._partners_door.tell(message)

    def begin(self) -> bool:
        """Media flows on both sides: record that and notify the partner.

        Returns False, and does nothing, if the partner has left; their `PartnerLeft` is in the mailbox.
        """
        if not self._door.linked(self._partners_door):
            return False
        now = trio.current_time()
        self._ledger.tell(SessionConnected(session=self.session, at=now))
        self._patience.came_about(self.session, now)
        self._partners_door.tell(SessionBegan())
        return True

    def leave(self, cause: SessionCause, *, partner_ready: bool = True, ready: bool = True) -> bool:
        """End the session: notify the partner and record the end, in this step.

        `partner_ready` and `ready`: whether each had done their part at the timeout.

        Returns False, and does nothing, if the partner was first; their `PartnerLeft` is in the mailbox.
        """
        left = PartnerLeft(cause, partner_ready, ready, self._is_unanswered())
        return self._door.sever(self._partners_door, left)

    def _is_unanswered(self) -> bool:
        """Whether the partner is away, or it is their page's turn to send a signal and it has sent none."""
        is_their_turn = (self.spoke_here or not self.initiator) and not self.spoke_there
        is_late = trio.current_time() - self._began_at >= ANSWER_LIMIT_S
        return self.partner_away or (is_their_turn and is_late)
