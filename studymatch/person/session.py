"""One session from the side of one of its two people: connecting, connected, and the end.

This is the part of a user's actor from the match to the end of the session. `Pairing` holds the link with the
partner. Everything that ends the session goes through it, so of two who leave at once, one is first.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import assert_never

import trio
from msgspec import Struct
from msgspec.structs import replace

from studymatch.messages import (
    Attached,
    ChatSent,
    Detached,
    MediaFlowed,
    PartnerAway,
    PartnerLeft,
    SessionBegan,
    SignalSent,
)
from studymatch.pairing import Pairing
from studymatch.person.inbox import Inbox, Turn
from studymatch.rules.lifecycle import SEEN_BY_LEAVER, SEEN_BY_PARTNER, Cause, SessionCause, State
from studymatch.rules.people import Person, Wish
from studymatch.rules.person_state import PersonState
from studymatch.rules.protocol import (
    Chat,
    ChatFrom,
    Connected,
    End,
    Failed,
    Signal,
    SignalFrom,
    Skip,
)


class Ending(Struct, frozen=True):
    """How a session ended for one of the two.

    `wish`: what the server searches for next by itself; None: nothing. `stop`: they go back to idle.
    """

    cause: Cause
    session: str
    partner: Person
    wish: Wish | None
    stop: bool = False


def frame_of(words: SignalSent | ChatSent, session: str, partner: Person) -> SignalFrom | ChatFrom:
    """The frame for the browser when the partner has sent `words`."""
    match words:
        case SignalSent(data):
            return SignalFrom(session, data)
        case ChatSent(text):
            return ChatFrom(session, partner.id, text)
        case _:
            assert_never(words)


class Session:
    """The session of `pairing`, for the person of `inbox`, whose `wish` led to it."""

    def __init__(self, inbox: Inbox, pairing: Pairing, wish: Wish) -> None:
        self._inbox = inbox
        self._pairing = pairing
        self._wish = wish

    async def live(self) -> Ending:
        """Run from the match to the end; or from the middle of the call, if they are in one."""
        self._inbox.answers.matched()
        if not self._inbox.outgoing.present:
            self._pairing.tell(PartnerAway(True))
        if self._inbox.current.state is State.CONNECTED:
            return await self._call()
        return await self._connecting() or await self._connected()

    async def _connecting(self) -> Ending | None:
        """Wait until media flows on both sides (None), or the session has ended.

        The initiator's actor collects both reports of media, and ends the session at the time limit.
        """
        pairing = self._pairing
        deadline = trio.current_time() + self._inbox.settings.connect_limit_s
        self._enter(State.CONNECTING, Cause.MATCHED, deadline)
        back = replace(self._wish, back=True)
        flows_here = flows_there = False
        with trio.move_on_at(deadline) if pairing.initiator else nullcontext():
            while True:
                match await self._next():
                    case Connected():
                        if not (pairing.initiator or flows_here):
                            pairing.tell(MediaFlowed())
                        flows_here = True
                    case MediaFlowed():
                        flows_there = True
                    case SessionBegan():
                        return None
                    case Failed(code=code):
                        self._inbox.journal.info("failed", session=pairing.session, code=code)
                        return self._leave(SessionCause.CONNECT_FAILED, None, None)
                    case other:
                        return self._over(other, back)
                if flows_here and flows_there and pairing.begin():
                    return None
        neither = not (flows_here or flows_there)
        ready_here = flows_here or (neither and pairing.spoke_here)
        ready_there = flows_there or (neither and pairing.spoke_there)
        return self._leave(
            SessionCause.CONNECT_TIMEOUT,
            back if ready_here else None,
            back,
            partner_ready=ready_there,
            ready=ready_here,
        )

    async def _connected(self) -> Ending:
        self._enter(State.CONNECTED, Cause.CONNECTED, deadline=None)
        return await self._call()

    async def _call(self) -> Ending:
        """The call, until it ends."""
        return self._over(await self._next(), Wish(self._wish.criteria))

    async def _next(self) -> Turn:
        """The next message that is not just passed on."""
        while isinstance(turn := await self._inbox.next(self._passes_on), Attached | Detached):
            self._pairing.tell(PartnerAway(not self._inbox.outgoing.present))
        return turn

    def _passes_on(self, turn: Turn) -> bool:
        """Pass on a message from one of the two to the other. Returns False for any other message."""
        pairing, inbox = self._pairing, self._inbox
        match turn:
            case Signal(data=data):
                pairing.spoke_here = True
                pairing.tell(SignalSent(data))
            case SignalSent() as signal:
                pairing.spoke_there = True
                inbox.relay(frame_of(signal, pairing.session, pairing.partner))
            case Chat(text=text):
                pairing.tell(ChatSent(text))
            case ChatSent() as chat:
                inbox.relay(frame_of(chat, pairing.session, pairing.partner))
            case PartnerAway(away):
                pairing.partner_away = away
                inbox.partner_away(away)
            case _:
                return False
        return True

    def _over(self, turn: Turn, wish: Wish) -> Ending:
        """The session ends because of `turn`; `wish` is what to search for next if the partner left it."""
        match turn:
            case Skip():
                return self._leave(SessionCause.SKIPPED, Wish(self._wish.criteria), wish)
            case End():
                return self._leave(SessionCause.ENDED, None, None)
            case PartnerLeft() as left:
                return self._left(left, wish)
            case other:
                raise self._inbox.unexpected(other)

    def _leave(
        self,
        cause: SessionCause,
        wish: Wish | None,
        overtaken: Wish | None,
        *,
        partner_ready: bool = True,
        ready: bool = True,
    ) -> Ending:
        """End the session for `cause`, unless the partner was first: then it has ended for their cause.

        The next search is for `wish`; or, if the partner was first, for `overtaken`. This does not await, so
        a restart saves a frame and its effects together.
        """
        if self._pairing.leave(cause, partner_ready=partner_ready, ready=ready):
            ending = self._ending(SEEN_BY_LEAVER[cause], wish)
        else:
            ending = self._left(self._ring(), overtaken)
        return replace(ending, stop=cause is SessionCause.ENDED)

    def _ring(self) -> PartnerLeft:
        """The message that the partner has left, which is in the mailbox already."""
        return next(news for news in self._inbox.mailbox.waiting() if isinstance(news, PartnerLeft))

    def _left(self, left: PartnerLeft, wish: Wish | None) -> Ending:
        return self._ending(SEEN_BY_PARTNER[left.cause], wish if left.ready else None)

    def _ending(self, cause: Cause, wish: Wish | None) -> Ending:
        return Ending(cause, self._pairing.session, self._pairing.partner, wish)

    def _enter(self, state: State, cause: Cause, deadline: float | None) -> None:
        self._inbox.enter(
            PersonState(
                state,
                since=trio.current_time(),
                cause=cause,
                session=self._pairing.session,
                partner=self._pairing.partner,
                partner_away=self._inbox.current.partner_away,
                initiator=self._pairing.initiator,
                deadline=deadline,
            )
        )
