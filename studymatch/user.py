"""One person: the story of their encounters, told from top to bottom by one actor.

Theory of operation
-------------------
`User.run` reads like what happens to somebody: idle until a wish; an encounter, which is a search and,
when it finds somebody, a session (`studymatch.session`: connecting, connected); then ended, and on to the
next. What belongs to a part of the story is lexical: a timer is the cancel scope around a block, a place
in the queue is the door of a ``with`` block, a session is the `Pairing` of another. Every way out of a
block (an answer, a timeout, a crash, a cancellation) closes what it opened, so there is nothing to clean up.

The actor awaits nothing but its own mailbox, in `Stage.next`, which also settles what is the same in every
state. Because doors drop late news, a message that a part of the story does not expect is a bug: it raises,
and ends this one user.

Being away is not a state. While nobody reads, a person keeps their state, their partner and their waiting
time, but not their place among those who can be matched; the scope around the whole story has a deadline
then, and when it passes, cancellation unwinds whatever is open, like any other ending.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import count
from math import inf
from typing import NoReturn

import trio

from actors import Door, Journal, Mailbox
from studymatch import sentences
from studymatch.lifecycle import Cause, SessionCause, State
from studymatch.messages import (
    FrameIn,
    Line,
    LineDown,
    LineUp,
    Matched,
    MatcherLost,
    MatcherMessage,
    Offer,
    PairMessage,
    Person,
    Refused,
    Seeker,
)
from studymatch.pairing import Pairing
from studymatch.pool import Ticket
from studymatch.protocol import Cancel, CloseCode, End, Inbound, Presence, Search
from studymatch.records import LedgerMessage
from studymatch.scene import Scene
from studymatch.session import Ending, Session, Wish
from studymatch.settings import Settings
from studymatch.stage import Stage


class User:
    """The actor of one person. `key` is the secret that brings their browser back to it.

    `attach`, `heard` and `detach` are how a connection reaches it, `leave` is how the hall ends it; all
    are synchronous. `run` is to be run once. Whoever runs it sets `gone` when nothing of it is left.
    """

    def __init__(
        self,
        person: Person,
        key: str,
        *,
        matcher: Mailbox[MatcherMessage],
        ledger: Mailbox[LedgerMessage],
        settings: Settings,
        journal: Journal,
    ) -> None:
        self.person = person
        self.gone = trio.Event()
        self._matcher = matcher
        self._ledger = ledger
        idle = Scene(State.IDLE, since=trio.current_time())
        self._stage = Stage(person, key, idle, settings, journal)
        self._farewell: CloseCode | None = None
        self._met: deque[str] = deque(maxlen=settings.apart_max)
        self._ticket_numbers = count(1)

    # How others reach this person

    @property
    def key(self) -> str:
        """What a browser shows to come back to this very actor."""
        return self._stage.key

    @property
    def state(self) -> State:
        """Where the person is now."""
        return self._stage.scene.state

    def attach(self, line: Line, seq: int | None) -> bool:
        """Connect a browser that has read the frames up to `seq` (None: a fresh page).

        Returns False, and does nothing, if this actor is about to end.
        """
        if self._stage.scope.cancel_called:
            return False
        self._stage.scope.deadline = inf
        return self._stage.inbox.tell(LineUp(line, seq))

    def detach(self, line: Line) -> None:
        """The connection `line` is gone."""
        self._stage.inbox.tell(LineDown(line))

    def heard(self, line: Line, frame: Inbound | Refused) -> None:
        """The browser at the other end of `line` said something."""
        self._stage.inbox.tell(FrameIn(line, frame))

    def count(self, presence: Presence) -> None:
        """Tell the person how many are here."""
        self._stage.inbox.tell(presence)

    def leave(self, code: CloseCode) -> None:
        """End this actor; a connected browser is hung up on with `code`. `gone` says when it is done."""
        self._farewell = code
        self._stage.scope.cancel()

    # The story

    async def run(self) -> None:
        """Live until told to leave, or until nobody could be reached for the grace."""
        stage = self._stage
        stage.journal.info("arrived")
        cause = "crashed"
        try:
            with stage.scope:
                await self._story()
            cause = "grace_over" if self._farewell is None else self._farewell.name.lower()
            if self._farewell is CloseCode.RESTARTING and self.state in (State.CONNECTING, State.CONNECTED):
                self._enter_ended(Cause.RESTARTING, stage.scene.session, stage.scene.partner, None)
        finally:
            code = self._farewell or CloseCode.CRASHED
            stage.browser.hang_up(code)
            stage.inbox.close()
            for message in stage.inbox.receive_nowait_all(len(stage.inbox)):
                if isinstance(message, LineUp):
                    message.line.hang_up(code)
            stage.journal.info("left", cause=cause)

    async def _story(self) -> NoReturn:
        while True:
            wish: Wish | None = await self._idle()
            while wish is not None:
                ending = await self._encounter(wish)
                wish = None if ending is None else await self._ended(ending)

    async def _idle(self) -> Wish:
        while True:
            match await self._stage.next():
                case Search(criteria):
                    return Wish(criteria)
                case LineUp() | LineDown():
                    pass
                case other:
                    raise self._stage.unexpected(other)

    async def _encounter(self, wish: Wish) -> Ending | None:
        """Search until there is a partner, and meet them. None: the search was cancelled, back in idle."""
        stage, now = self._stage, trio.current_time()
        stage.enter(Scene(State.SEARCHING, since=now - wish.waited_s))
        while True:
            with Door(stage.inbox) as door:
                if stage.browser.present:
                    self._matcher.tell(Offer(self._ticket(door, wish, entered=now)))
                match await stage.next():
                    case Matched() as match:
                        waited_s = trio.current_time() - stage.scene.since
                        return await self._session(door, match, replace(wish, waited_s=waited_s))
                    case Cancel():
                        stage.enter(Scene(State.IDLE, since=trio.current_time(), cause=Cause.CANCELLED))
                        return None
                    case LineUp() | LineDown() | MatcherLost():
                        pass  # this door closes, which withdraws the ticket; the next has its waiting time
                    case other:
                        raise stage.unexpected(other)

    async def _session(self, door: Door[PairMessage], match: Matched, wish: Wish) -> Ending:
        with Pairing(door, match, self._ledger, self._unwound) as pairing:
            ending = await Session(self._stage, pairing, wish).live()
        self._met.append(ending.partner.id)
        self._stage.browser.forget()
        return ending

    async def _ended(self, ending: Ending) -> Wish | None:
        """Say why; then search again after a moment, or when asked to. None: back in idle."""
        wish = ending.wish
        again_at = None if wish is None else trio.current_time() + self._stage.settings.search_again_s
        self._enter_ended(ending.cause, ending.session, ending.partner, again_at)
        stop = ending.stop
        with trio.move_on_at(inf if again_at is None else again_at):
            while not stop:
                match await self._stage.next():
                    case Search(criteria):
                        return replace(wish or Wish(criteria), criteria=criteria)
                    case End():
                        stop = True
                    case LineUp() | LineDown():
                        pass
                    case other:
                        raise self._stage.unexpected(other)
        if not stop:
            return wish
        self._stage.enter(Scene(State.IDLE, since=trio.current_time(), cause=Cause.ENDED))
        return None

    def _enter_ended(
        self, cause: Cause, session: str | None, partner: Person | None, again_at: float | None
    ) -> None:
        name = partner.name if partner else "your partner"
        self._stage.enter(
            Scene(
                State.ENDED,
                since=trio.current_time(),
                cause=cause,
                session=session,
                partner=partner,
                search_again_at=again_at,
                message=sentences.of_ending(cause, name, searches_again=again_at is not None),
            )
        )

    def _unwound(self) -> SessionCause:
        """For what a session ends when the story is cut short in the middle of it."""
        restarting = self._farewell is CloseCode.RESTARTING
        return SessionCause.RESTARTING if restarting else SessionCause.LOST

    def _ticket(self, door: Door[PairMessage], wish: Wish, entered: float) -> Ticket[Seeker]:
        return Ticket(
            id=f"{self.person.id}#{next(self._ticket_numbers)}",
            user=self.person.id,
            door=Seeker(self.person, door),
            since=self._stage.scene.since,
            entered=entered,
            criteria=wish.criteria.named(),
            head=wish.back,
            apart=frozenset(self._met),
        )
