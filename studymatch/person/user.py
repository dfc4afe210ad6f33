"""One person: the story of their encounters, told from top to bottom by one actor.

Theory of operation
-------------------
`User.run` reads like what happens to somebody: idle until a wish; an encounter, which is a search and,
when it finds somebody, a session (`person.session`: connecting, connected); then ended, and on to the
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
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import NoReturn

import trio
from msgspec.structs import replace

from actors import Door, Journal, Mailbox
from studymatch.census import Census
from studymatch.messages import (
    ChatSent,
    FrameIn,
    Line,
    LineDown,
    LineUp,
    Matched,
    MatcherLost,
    MatcherMessage,
    Offer,
    PairMessage,
    PartnerLeft,
    PeopleCounted,
    Refused,
    Seeker,
    SignalSent,
)
from studymatch.pairing import Pairing
from studymatch.person.accounts import Accounts
from studymatch.person.answers import Answers
from studymatch.person.inbox import Stage
from studymatch.person.saved import Memento
from studymatch.person.session import Ending, Session, frame_of
from studymatch.rules import sentences
from studymatch.rules.lifecycle import Cause, SessionCause, State
from studymatch.rules.outbox import Numbers
from studymatch.rules.people import Person, Wish
from studymatch.rules.person_state import Scene
from studymatch.rules.pool import Ticket
from studymatch.rules.protocol import (
    Cancel,
    CloseCode,
    Criteria,
    End,
    Error,
    Inbound,
    Presence,
    Search,
    encode,
)
from studymatch.rules.records import LedgerMessage
from studymatch.rules.waits import Wait
from studymatch.settings import PersonSettings


@dataclass(slots=True)
class Past:
    """Where somebody was in the former life of the server, which ended `away_s` ago.

    `match`: the session that they were in, bound anew to `door`, a door of their own.
    """

    memento: Memento
    away_s: float
    match: Matched | None = None
    door: Door[PairMessage] | None = None


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
        accounts: Accounts,
        census: Census,
        settings: PersonSettings,
        journal: Journal,
        past: Past | None = None,
    ) -> None:
        now = trio.current_time()
        self.person = person
        self.gone = trio.Event()
        self._matcher = matcher
        self._ledger = ledger
        self._accounts = accounts
        scene = Scene(State.IDLE, since=now) if past is None else self._scene_of(past, now)
        self._stage = Stage(person, key, scene, settings, journal, census)
        self._lines: dict[Line, None] = {}  # connected and not gone yet, in order; the last one is read
        self._farewell: CloseCode | None = None
        self._met: deque[str] = deque(maxlen=settings.apart_max)
        self._ticket_numbers = count(1)
        self._wish: Wish | None = None
        self._past = past
        if past is not None:
            saved = past.memento
            self._met.extend(saved.met)
            self._stage.browser.outbox.remember(saved.seq, saved.frames(), saved.connections, saved.lost)
            self._stage.browser.shown = saved.shown
            self._stage.heard = saved.heard
            self._stage.leaving = saved.leaving
            census.away(person.id, now)
            self._stage.scope.deadline = now + settings.grace_s

    def _scene_of(self, past: Past, now: float) -> Scene:
        """Where they were in the former life of the server. Who has skipped too often waits on."""
        longer = self._longer(past.memento.cause, now)
        return past.memento.scene(now, past.away_s, longer.s if longer else 0.0)

    # How others reach this person

    @property
    def key(self) -> str:
        """What a browser shows to come back to this very actor."""
        return self._stage.key

    @property
    def state(self) -> State:
        """Where the person is now."""
        return self._stage.scene.state

    @property
    def answers(self) -> Answers:
        """The budget for what the person sends in answer to their partner."""
        return self._stage.answers

    def attach(self, line: Line, seq: int | None, token: str | None = None) -> bool:
        """Connect a browser that has read the frames up to `seq` (None: a fresh page), and give it `token`.

        Returns False, and does nothing, if this actor is about to end.
        """
        if self._stage.scope.cancel_called:
            return False
        if not self._stage.inbox.tell(LineUp(line, seq, token)):
            return False
        self._stage.scope.deadline = inf
        self._lines[line] = None
        return True

    def detach(self, line: Line, why: str = "dropped") -> None:
        """The connection `line` is gone; `why` is one word for the journal."""
        self._lines.pop(line, None)
        self._stage.inbox.tell(LineDown(line, why))

    def heard(self, line: Line, frame: Inbound | Refused) -> None:
        """The browser at the other end of `line` said something."""
        self._stage.inbox.tell(FrameIn(line, frame))

    def lacks(self, presence: Presence) -> bool:
        """Whether the person is to be told `presence` and was told another count last."""
        return self._stage.lacks(presence)

    def count(self) -> None:
        """Tell the person how many are here now; if they are in a session, after it.

        The actor sends the frame itself, in a turn of its own. So after it was told to leave it sends no
        frame and uses no number, since the next life of the server goes on from what was saved.
        """
        self._stage.inbox.tell(PeopleCounted())

    def leave(self, code: CloseCode) -> None:
        """End this actor; a connected browser is hung up on with `code`. `gone` says when it is done."""
        self._farewell = code
        self._stage.scope.cancel()

    # From one life of the server to the next

    def memento(self) -> Memento:
        """Where this person is now."""
        stage, scene = self._stage, self._stage.scene
        if self._past is not None:  # no turn in this life yet: as in the former one, but later
            return replace(self._past.memento, lasted_s=trio.current_time() - scene.since)
        return Memento(
            person=self.person,
            key=stage.key,
            seq=stage.browser.outbox.seq,
            shown=stage.browser.shown,
            heard=stage.heard,
            leaving=stage.leaving,
            memory=(*stage.browser.outbox.memory(), *self._unheard()),
            connections=stage.browser.outbox.connections(),
            left=next((news for news in stage.inbox.waiting() if isinstance(news, PartnerLeft)), None),
            lost=stage.browser.outbox.without_room,
            met=tuple(self._met),
            state=scene.state,
            lasted_s=trio.current_time() - scene.since,
            wish=self._wish,
            cause=scene.cause,
            session=scene.session,
            partner=scene.partner,
            initiator=scene.initiator,
            message=scene.message,
        )

    def _unheard(self) -> Iterator[tuple[Numbers, str]]:
        """What the partner said and the browser was not sent, because this actor has not had its turn."""
        scene = self._stage.scene
        for message in self._stage.inbox.waiting():
            if isinstance(message, SignalSent | ChatSent) and scene.session and scene.partner:
                yield (), encode(frame_of(message, scene.session, scene.partner)).decode()

    def reunite(self, match: Matched, door: Door[PairMessage]) -> None:
        """Be in a session from the beginning, with whom `door`, one that `open_door` gave, is bound to."""
        assert self._past is not None
        self._past.match, self._past.door = match, door

    def open_door(self) -> Door[PairMessage]:
        """An address of this actor, for `reunite`."""
        return Door(self._stage.inbox)

    # The story

    async def run(self) -> None:
        """Live until told to leave, or until nobody could be reached for the grace."""
        stage = self._stage
        stage.journal.info("arrived" if self._past is None else "restored")
        cause = "crashed"
        try:
            with stage.scope:
                await self._story()
            cause = self._why_it_ends()
        finally:
            code = self._farewell or CloseCode.CRASHED
            stage.inbox.discard()
            for line in list(self._lines):
                line.hang_up(code)
            stage.journal.info("left", cause=cause)

    def _why_it_ends(self) -> str:
        """One word for the journal."""
        if self._farewell is not None:
            return self._farewell.name.lower()
        return "page_closed" if self._stage.leaving else "grace_over"

    async def _story(self) -> NoReturn:
        wish = await self._idle() if self._past is None else await self._go_on(self._past)
        while True:
            while wish is not None:
                ending = await self._encounter(wish)
                wish = None if ending is None else await self._ended(ending)
            wish = await self._idle()

    async def _go_on(self, past: Past) -> Wish | None:
        """Begin in the middle. Returns what to search for next, if anything."""
        self._past, wish = None, past.memento.wish
        if past.match is not None and past.door is not None:
            with past.door as door:
                ending = await self._session(door, past.match, wish or Wish(Criteria()))
            return await self._ended(ending)
        match past.memento.state:
            case State.SEARCHING if wish is not None:
                return replace(wish, waited_s=trio.current_time() - self._stage.scene.since)
            case State.ENDED:
                return await self._rest(wish, self._stage.scene.search_again_at)
            case _:
                return None

    async def _idle(self) -> Wish:
        while True:
            match await self._stage.next():
                case Search(criteria) as search:
                    if self._may_search(search):
                        return Wish(criteria)
                case LineUp() | LineDown():
                    pass
                case other:
                    raise self._stage.unexpected(other)

    async def _encounter(self, wish: Wish) -> Ending | None:
        """Search until there is a partner, and meet them. None: the search was cancelled, back in idle."""
        stage, now = self._stage, trio.current_time()
        self._wish = wish
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
                        self._back_in_idle(Cause.CANCELLED)
                        return None
                    case LineUp() | LineDown() | MatcherLost():
                        pass  # this door closes, which withdraws the ticket; the next has its waiting time
                    case other:
                        raise stage.unexpected(other)

    async def _session(self, door: Door[PairMessage], match: Matched, wish: Wish) -> Ending:
        self._wish = wish
        patience = self._accounts.patience
        with Pairing(door, match, self._ledger, patience, self._cut_short) as pairing:
            ending = await Session(self._stage, pairing, wish).live()
        self._met.append(ending.partner.id)
        self._stage.browser.forget()
        return ending

    async def _ended(self, ending: Ending) -> Wish | None:
        """Say why; then search again after a moment, or when asked to. None: back in idle."""
        stage, now, wish = self._stage, trio.current_time(), ending.wish
        self._wish = wish
        longer = self._longer(ending.cause, now)
        rest_s = max(stage.settings.search_again_s, longer.s if longer else 0.0)
        again_at = None if wish is None else now + rest_s
        stage.enter(
            Scene(
                State.ENDED,
                since=now,
                cause=ending.cause,
                session=ending.session,
                partner=ending.partner,
                search_again_at=again_at,
                message=sentences.of_ending(
                    ending.cause, ending.partner.name, searches_again=wish is not None, longer=longer
                ),
            )
        )
        if not ending.stop:
            return await self._rest(wish, again_at)
        self._back_in_idle(Cause.ENDED)
        return None

    def _longer(self, cause: Cause | None, now: float) -> Wait | None:
        """How long they wait for the next partner beyond the usual, if they have skipped this one."""
        return self._accounts.after_skip(self.person.id, now) if cause is Cause.SKIPPED else None

    async def _rest(self, wish: Wish | None, again_at: float | None) -> Wish | None:
        """What follows the end: `wish` at the time `again_at`, unless the person says otherwise."""
        with trio.move_on_at(inf if again_at is None else again_at):
            while True:
                match await self._stage.next():
                    case Search(criteria) as search:
                        if self._may_search(search):
                            return replace(wish or Wish(criteria), criteria=criteria)
                    case End():
                        self._back_in_idle(Cause.ENDED)
                        return None
                    case LineUp() | LineDown():
                        pass
                    case other:
                        raise self._stage.unexpected(other)
        return wish

    def _may_search(self, search: Search) -> bool:
        """Whether a search may begin now. If not, the person is told how long to wait, and why."""
        wait = self._accounts.search(self.person.id, trio.current_time())
        if wait is None:
            return True
        self._stage.journal.note("waits", why=wait.why.value, wait_ms=round(wait.s * 1000))
        self._stage.browser.send(Error("wait", sentences.of_wait(wait), "search", search.n))
        return False

    def _back_in_idle(self, cause: Cause) -> None:
        self._wish = None
        self._stage.enter(Scene(State.IDLE, since=trio.current_time(), cause=cause))

    def _cut_short(self) -> SessionCause | None:
        """Why a session ends that is cut short now; None: the next life of the server goes on with it."""
        if self._farewell is CloseCode.RESTARTING:
            return None
        has_gone = self._stage.leaving and not self._stage.browser.present
        return SessionCause.ENDED if has_gone else SessionCause.LOST

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
