"""One person: the actor that takes them through all states, from search to session and to the next search.

Theory of operation
-------------------
`User.run` follows the states in order: idle until the person searches; an encounter, which is a search and,
if it finds somebody, a session (`person.session`: connecting, connected); then ended, and the next search.
Each resource has the lifetime of a block: a timer is a cancel scope, a ticket in the pool is the door of a
``with`` block, a session is the `Pairing` of another. Every exit from a block (an answer, a timeout, a crash,
a cancellation) closes what it opened, so no other clean-up is needed.

The actor awaits only its own mailbox, in `Inbox.next`, which also handles what is the same in every state.
Closed doors drop late messages, so a message that the current state does not expect is a bug: the actor
raises, and ends this one user.

Being away is not a state. A person without a connection keeps their state, their partner and their waiting
time, but has no ticket in the pool, so nobody is matched with them. The actor's cancel scope has a deadline
then; when it passes, cancellation closes whatever is open.
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
    Attached,
    ChatSent,
    Connection,
    Detached,
    Matched,
    MatcherLost,
    MatcherMessage,
    Offer,
    PageMessage,
    PairMessage,
    PartnerLeft,
    PeopleCounted,
    Seeker,
    SignalSent,
)
from studymatch.pairing import Pairing
from studymatch.person.accounts import Accounts
from studymatch.person.inbox import Inbox
from studymatch.person.saved import SavedPerson
from studymatch.person.session import Ending, Session, frame_of
from studymatch.rules import sentences
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.lifecycle import Cause, SessionCause, State
from studymatch.rules.outbox import Numbers
from studymatch.rules.people import Person, Wish
from studymatch.rules.person_state import PersonState
from studymatch.rules.pool import Ticket
from studymatch.rules.protocol import (
    Cancel,
    Criteria,
    End,
    Error,
    Presence,
    Search,
    encode,
)
from studymatch.rules.records import LedgerMessage
from studymatch.rules.waits import Wait
from studymatch.settings import PersonSettings


@dataclass(slots=True)
class Restored:
    """A person who was saved `away_s` ago, when the server stopped, and is restored now.

    `match`: the session that they were in, bound anew to `door`, a door of their own.
    """

    saved: SavedPerson
    away_s: float
    match: Matched | None = None
    door: Door[PairMessage] | None = None


class User:
    """The actor of one person. `key` is the secret with which their browser resumes it.

    A connection calls `attach`, and tells its frames and its end to the door that this returns. The hall ends
    the actor with `leave`. Both are synchronous. `run` is to be run once; its caller sets `gone` when the
    actor is removed from the hall.
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
        restored: Restored | None = None,
    ) -> None:
        now = trio.current_time()
        self.person = person
        self.gone = trio.Event()
        self._matcher = matcher
        self._ledger = ledger
        self._accounts = accounts
        current = PersonState(State.IDLE, since=now) if restored is None else self._state_of(restored, now)
        self._inbox = Inbox(person, key, current, settings, journal, census)
        self.answers = self._inbox.answers
        """The budget for what the person sends in answer to their partner."""
        self._farewell: CloseCode | None = None
        self._met: deque[str] = deque(maxlen=settings.apart_max)
        self._ticket_numbers = count(1)
        self._wish: Wish | None = None
        self._restored = restored
        if restored is not None:
            saved = restored.saved
            self._met.extend(saved.met)
            self._inbox.restore(saved)

    def _state_of(self, restored: Restored, now: float) -> PersonState:
        """The state in which they start. A person who has skipped too often still has to wait."""
        longer = self._longer(restored.saved.cause, now)
        return restored.saved.restored(now, restored.away_s, longer.s if longer else 0.0)

    # Called by connections and the hall

    @property
    def key(self) -> str:
        """The secret that a browser sends to resume this actor."""
        return self._inbox.key

    @property
    def state(self) -> State:
        """The state of the person."""
        return self._inbox.current.state

    def attach(
        self, connection: Connection, seq: int | None, token: str | None = None
    ) -> Door[PageMessage] | None:
        """Connect a browser that has received the frames up to `seq` (None: a new page), and send it `token`.

        Returns the door of the connection, to which to tell its frames and, last, `Detached`. The door closes
        when a newer connection replaces this one. None: this actor is about to end, and nothing was done.
        """
        return self._inbox.attach(Attached(connection, seq, token))

    def lacks(self, presence: Presence) -> bool:
        """Whether to send `presence` to the person: see `Inbox.lacks`."""
        return self._inbox.lacks(presence)

    def count(self) -> None:
        """Send the person the number of people who are here; if they are in a session, after it.

        The actor sends the frame itself, in its own turn. So after `leave` it sends no frame and uses no
        number, since the next server process continues from the saved numbers.
        """
        self._inbox.mailbox.tell(PeopleCounted())

    def leave(self, code: CloseCode) -> None:
        """End this actor, and close its connections with `code`. `gone` is set when that is done."""
        self._farewell = code
        self._inbox.scope.cancel()

    # Saved and restored over a restart of the server

    def save(self) -> SavedPerson:
        """The current state of this person, for the next server process."""
        inbox, current = self._inbox, self._inbox.current
        if self._restored is not None:  # no turn since the restart: only the time has changed
            return replace(self._restored.saved, lasted_s=trio.current_time() - current.since)
        return SavedPerson(
            person=self.person,
            key=inbox.key,
            seq=inbox.outgoing.outbox.seq,
            shown=inbox.outgoing.shown,
            heard=inbox.heard,
            leaving=inbox.leaving,
            memory=(*inbox.outgoing.outbox.memory(), *self._unheard()),
            connections=inbox.outgoing.outbox.connections(),
            forgotten=inbox.outgoing.outbox.forgotten,
            left=next((news for news in inbox.mailbox.waiting() if isinstance(news, PartnerLeft)), None),
            lost=inbox.outgoing.outbox.without_room,
            met=tuple(self._met),
            state=current.state,
            lasted_s=trio.current_time() - current.since,
            wish=self._wish,
            cause=current.cause,
            session=current.session,
            partner=current.partner,
            initiator=current.initiator,
            message=current.message,
        )

    def _unheard(self) -> Iterator[tuple[Numbers, str]]:
        """Frames of the partner that the browser was not sent, because this actor has not had its turn."""
        current = self._inbox.current
        for message in self._inbox.mailbox.waiting():
            if isinstance(message, SignalSent | ChatSent) and current.session and current.partner:
                yield (), encode(frame_of(message, current.session, current.partner)).decode()

    def reunite(self, match: Matched, door: Door[PairMessage]) -> None:
        """Start in the session `match`; `door`, from `open_door`, is linked with the partner's."""
        assert self._restored is not None
        self._restored.match, self._restored.door = match, door

    def open_door(self) -> Door[PairMessage]:
        """A new door of this actor, for `reunite`."""
        return Door(self._inbox.mailbox)

    # The actor

    async def run(self) -> None:
        """Run until `leave` is called, or until the person had no connection for the whole grace."""
        inbox = self._inbox
        inbox.journal.info("arrived" if self._restored is None else "restored")
        cause = "crashed"
        try:
            with inbox.scope:
                await self._state_loop()
            cause = self._why_it_ends()
        finally:
            inbox.close(self._farewell or CloseCode.CRASHED)
            inbox.journal.info("left", cause=cause)

    def _why_it_ends(self) -> str:
        """One word for the journal."""
        if self._farewell is not None:
            return self._farewell.name.lower()
        return "page_closed" if self._inbox.leaving else "grace_over"

    async def _state_loop(self) -> NoReturn:
        """One search and session after the other, from idle or from a restored state, until cancelled."""
        wish = await self._idle() if self._restored is None else await self._go_on(self._restored)
        while True:
            while wish is not None:
                ending = await self._encounter(wish)
                wish = None if ending is None else await self._ended(ending)
            wish = await self._idle()

    async def _go_on(self, restored: Restored) -> Wish | None:
        """Continue a restored person. Returns what to search for next; None: nothing."""
        self._restored, wish = None, restored.saved.wish
        if restored.match is not None and restored.door is not None:
            with restored.door as door:
                ending = await self._session(door, restored.match, wish or Wish(Criteria()))
            return await self._ended(ending)
        match restored.saved.state:
            case State.SEARCHING if wish is not None:
                return replace(wish, waited_s=trio.current_time() - self._inbox.current.since)
            case State.ENDED:
                return await self._rest(wish, self._inbox.current.search_again_at)
            case _:
                return None

    async def _idle(self) -> Wish:
        while True:
            match await self._inbox.next():
                case Search(criteria) as search:
                    if self._may_search(search):
                        return Wish(criteria)
                case Attached() | Detached():
                    pass
                case other:
                    raise self._inbox.unexpected(other)

    async def _encounter(self, wish: Wish) -> Ending | None:
        """Search for a partner, and run the session. None: the search was cancelled, back in idle."""
        inbox, now = self._inbox, trio.current_time()
        self._wish = wish
        inbox.enter(PersonState(State.SEARCHING, since=now - wish.waited_s))
        while True:
            with Door(inbox.mailbox) as door:
                if inbox.outgoing.present:
                    self._matcher.tell(Offer(self._ticket(door, wish, entered=now)))
                match await inbox.next():
                    case Matched() as match:
                        waited_s = trio.current_time() - inbox.current.since
                        return await self._session(door, match, replace(wish, waited_s=waited_s))
                    case Cancel():
                        self._back_in_idle(Cause.CANCELLED)
                        return None
                    case Attached() | Detached() | MatcherLost():
                        pass  # closing the door withdraws the ticket; the next one keeps the waiting time
                    case other:
                        raise inbox.unexpected(other)

    async def _session(self, door: Door[PairMessage], match: Matched, wish: Wish) -> Ending:
        self._wish = wish
        patience = self._accounts.patience
        with Pairing(door, match, self._ledger, patience, self._cut_short) as pairing:
            ending = await Session(self._inbox, pairing, wish).live()
        self._met.append(ending.partner.id)
        self._inbox.outgoing.forget()
        return ending

    async def _ended(self, ending: Ending) -> Wish | None:
        """Show why; then return the next wish, after a pause or when they search. None: back in idle."""
        inbox, now, wish = self._inbox, trio.current_time(), ending.wish
        self._wish = wish
        longer = self._longer(ending.cause, now)
        rest_s = max(inbox.settings.search_again_s, longer.s if longer else 0.0)
        again_at = None if wish is None else now + rest_s
        inbox.enter(
            PersonState(
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
        """How much longer than usual they wait for the next partner, if they have skipped this one."""
        return self._accounts.after_skip(self.person.id, now) if cause is Cause.SKIPPED else None

    async def _rest(self, wish: Wish | None, again_at: float | None) -> Wish | None:
        """Wait in `ended`. Returns `wish` at the time `again_at`, unless the person decides before."""
        with trio.move_on_at(inf if again_at is None else again_at):
            while True:
                match await self._inbox.next():
                    case Search(criteria) as search:
                        if self._may_search(search):
                            return replace(wish or Wish(criteria), criteria=criteria)
                    case End():
                        self._back_in_idle(Cause.ENDED)
                        return None
                    case Attached() | Detached():
                        pass
                    case other:
                        raise self._inbox.unexpected(other)
        return wish

    def _may_search(self, search: Search) -> bool:
        """Whether a search may begin now. If not, send the person an error with the wait and its reason."""
        wait = self._accounts.search(self.person.id, trio.current_time())
        if wait is None:
            return True
        self._inbox.journal.note("waits", why=wait.why.value, wait_ms=round(wait.s * 1000))
        self._inbox.outgoing.send(Error("wait", sentences.of_wait(wait), "search", search.n))
        return False

    def _back_in_idle(self, cause: Cause) -> None:
        self._wish = None
        self._inbox.enter(PersonState(State.IDLE, since=trio.current_time(), cause=cause))

    def _cut_short(self) -> SessionCause | None:
        """The cause for a session that this actor's end cuts short; None: it goes on after the restart."""
        if self._farewell is CloseCode.RESTARTING:
            return None
        has_gone = self._inbox.leaving and not self._inbox.outgoing.present
        return SessionCause.ENDED if has_gone else SessionCause.LOST

    def _ticket(self, door: Door[PairMessage], wish: Wish, entered: float) -> Ticket[Seeker]:
        return Ticket(
            id=f"{self.person.id}#{next(self._ticket_numbers)}",
            user=self.person.id,
            door=Seeker(self.person, door),
            since=self._inbox.current.since,
            entered=entered,
            criteria=wish.criteria.named(),
            head=wish.back,
            apart=frozenset(self._met),
        )
