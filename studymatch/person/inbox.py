"""The inbox of one person's actor: its mailbox, and all handling that is the same in every state.

An `Inbox` belongs to one user actor; its parts (`user`, `session`) share it. It owns the mailbox. The actor
waits only in `Inbox.next`, which also handles what does not depend on the state: frames that are late or not
allowed, pings, dropped connections and reconnections. The inbox holds the current state of the person and
changes it on request. It decides nothing about encounters.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TypeAlias, TypeGuard

import trio
from msgspec.structs import replace

from actors import Door, Journal, Mailbox, Rate
from studymatch.census import Census
from studymatch.messages import (
    Attached,
    Connection,
    Detached,
    PageMessage,
    PairMessage,
    PeopleCounted,
    Refused,
    UserMessage,
)
from studymatch.person.answers import Answers
from studymatch.person.outgoing import Outgoing
from studymatch.person.saved import SavedPerson
from studymatch.rules import sentences
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.lifecycle import ACCEPTS, CUES, IN_SESSION, State, move
from studymatch.rules.outbox import Outbox
from studymatch.rules.people import Person
from studymatch.rules.person_state import PersonState
from studymatch.rules.protocol import (
    VERSION,
    ChatFrom,
    ClientFrame,
    Error,
    Identity,
    Inbound,
    Leaving,
    NumberedFrame,
    PartnerChanged,
    Ping,
    Pong,
    Presence,
    ResumeOffer,
    SessionFrame,
    SignalFrom,
    Welcome,
    kind_of,
)
from studymatch.settings import PersonSettings

Turn: TypeAlias = Inbound | Attached | Detached | PairMessage
"""A message that the current state has to handle."""

InPlace: TypeAlias = Callable[[Turn], bool]
"""Handles a turn that changes no state; returns whether it has handled it (see `actors.mailbox`)."""


def nothing(_: Turn) -> bool:
    """Handles nothing."""
    return False


class UnexpectedError(Exception):
    """A message has arrived that cannot arrive in this state: a bug."""


class Inbox:
    """The inbox of the actor of `person`, whose page resumes with `key`.

    The actor runs inside the cancel scope `scope`. Cancelling it ends the actor; so does its deadline, which
    is set while the person has no connection. `current` is the state of the person.
    """

    def __init__(
        self,
        person: Person,
        key: str,
        current: PersonState,
        settings: PersonSettings,
        journal: Journal,
        census: Census,
    ) -> None:
        self.person = person
        self.key = key
        self.settings = settings
        self.journal = journal
        self.current = current
        self.scope = trio.CancelScope()
        self.mailbox: Mailbox[UserMessage] = Mailbox()
        self.outgoing = Outgoing(Outbox(settings.outbox_max, settings.outbox_max_bytes))
        self.answers = Answers(Rate(settings.answers_per_s, settings.answers_burst))
        self.heard = 0
        """The number of the last frame of the page that was handled; 0: none."""
        self.leaving = False
        """Whether the last frame of the page was `leaving`."""
        self._census = census
        self._away_since = trio.current_time()
        self._in_place: InPlace = nothing
        self._newest: tuple[Connection, Door[PageMessage]] | None = None

    def restore(self, saved: SavedPerson) -> None:
        """Go on with what was saved before a restart. The person is away, and has the grace to come back."""
        now = trio.current_time()
        self.outgoing.outbox.remember(
            saved.seq, saved.frames(), saved.connections, saved.lost, saved.forgotten
        )
        self.outgoing.shown = saved.shown
        self.heard = saved.heard
        self.leaving = saved.leaving
        self._census.away(self.person.id, now)
        self.scope.deadline = now + self.settings.grace_s

    def attach(self, up: Attached) -> Door[PageMessage] | None:
        """Open a door for a new connection, tell the actor, and keep it from ending before its turn.

        The newest connection wins: this closes the door of an earlier one and hangs up on it. The mailbox
        drops what came through that door. A page that resumes sends again what was not handled.

        Returns None, and does nothing, if the actor is about to end.
        """
        door = Door(self.mailbox)
        if self.scope.cancel_called or not door.tell(up):
            return None
        self._hang_up(CloseCode.CONNECTED_ELSEWHERE)
        self._newest = up.connection, door
        self.scope.deadline = inf
        return door

    def close(self, code: CloseCode) -> None:
        """The actor has ended: write what it has collected, accept no more messages, and hang up."""
        self.outgoing.flush()
        self.mailbox.discard()
        self._hang_up(code)

    def _hang_up(self, code: CloseCode) -> None:
        if (connection := self._close_door()) is not None:
            connection.hang_up(code)

    def _close_door(self) -> Connection | None:
        """Close the door of the newest connection, if there is one, and return the connection."""
        if self._newest is None:
            return None
        (connection, door), self._newest = self._newest, None
        door.close()
        return connection

    async def next(self, in_place: InPlace = nothing) -> Turn:
        """Wait for the next message that the current state has to handle. The actor waits nowhere else.

        A message for which `in_place` returns True does not end the waiting: see `Mailbox.receive`.
        `Attached` and `Detached` are handled before they are returned; `Attached` is returned only if the
        person was away.
        """
        self._in_place = in_place
        try:
            return await self._wait()
        finally:
            self._in_place = nothing  # breaks a reference cycle: it refers to this inbox

    async def _wait(self) -> Turn:
        while True:
            match await self.mailbox.receive(self.handle_in_place, self.outgoing.flush):
                case ClientFrame() as said:
                    self._hear(said)
                    self._credit()
                    return said
                case Attached() as up:
                    was_present = self.outgoing.present
                    self._greet(up)
                    if not was_present:
                        return up
                case Detached(why) as down:
                    self._close_door()
                    self.outgoing.down()
                    self._miss("leaving" if self.leaving else why)
                    return down
                case Refused() | PeopleCounted():
                    raise AssertionError("that was handled in place")
                case message:
                    return message

    def handle_in_place(self, message: UserMessage) -> bool:
        """Handle a message that changes no state and return True; for others, do nothing and return False."""
        match message:
            case ClientFrame() | Refused():
                self.leaving = isinstance(message, Leaving)
                if not self._is_repeated(message):
                    if self._is_meant(message) and not self._in_place(message):
                        return False
                    self._hear(message)
                self._credit()
            case PeopleCounted():
                self._count()
            case Attached() | Detached():
                return False
            case _:
                if not self._in_place(message):
                    return False
        return True

    def _is_repeated(self, said: Inbound | Refused) -> bool:
        """Whether the page has sent again a frame that was handled: its connection dropped before the
        answer."""
        number = _number(said)
        return number is not None and number <= self.heard

    def _hear(self, said: Inbound | Refused) -> None:
        """Note that `said` is handled in this step, so that a repetition is ignored."""
        number = _number(said)
        if number is not None:
            self.heard = number

    def _credit(self) -> None:
        """A frame of the present connection was handled."""
        if self.outgoing.connection is not None:
            self.outgoing.connection.credit()

    def _is_meant(self, said: Inbound | Refused) -> TypeGuard[Inbound]:
        """Whether the current state has to handle the frame. If not, answer it here, or drop it as late."""
        state = self.current.state
        if isinstance(said, Refused):
            self.outgoing.send(Error(said.code, said.message, n=said.n))
        elif isinstance(said, Ping):
            self.outgoing.send(Pong(self.heard))
        elif isinstance(said, Leaving):
            self.journal.note("leaving")
        elif isinstance(said, SessionFrame) and said.session != self.current.session:
            self.journal.note("late", about=kind_of(said))
        elif (kind := kind_of(said)) not in ACCEPTS[state]:
            self.outgoing.send(Error("not_now", sentences.of_refusal(kind, state), kind, _number(said)))
        else:
            return True
        return False

    def _miss(self, why: str) -> None:
        """The connection of the person dropped: set the deadline to the grace."""
        now = trio.current_time()
        self._away_since = now
        self._census.away(self.person.id, now)
        self.journal.info("away", cause=why, session=self.current.session)
        self.scope.deadline = now + self._grace_s()

    def _grace_s(self) -> float:
        """Seconds that the person may be away. After `leaving`, only a person in a session has any, to
        reload."""
        if not self.leaving:
            return self.settings.grace_s
        return self.settings.closed_page_grace_s if self.current.state in IN_SESSION else 0.0

    def _greet(self, up: Attached) -> None:
        settings = self.settings
        welcome = Welcome(
            version=VERSION,
            user=Identity(self.person.id, self.person.name),
            resume=ResumeOffer(self.key, round(settings.grace_s * 1000)),
            resumed=up.seq is not None,
            ice_servers=list(settings.ice_server),
            heartbeat_ms=round(settings.heartbeat_s * 1000),
            heard=self.heard,
            token=up.token,
            build=up.connection.build,
        )
        cue = None if self.outgoing.saw(up.seq) else self._cue()
        was_present, before = self.outgoing.present, self._away_since
        now = trio.current_time()
        lost = self.outgoing.up(up.connection, up.seq, welcome, self.current.snapshot(now, cue))
        self.scope.deadline, self.leaving = inf, False
        self._census.here(self.person.id, searching=self.current.state is State.SEARCHING)
        self._count()
        if up.seq is None:
            self.journal.note("present")
        else:
            away_ms = None if was_present else round((now - before) * 1000)
            session = self.current.session
            self.journal.info("back", session=session, lasted_ms=away_ms, frames_lost=lost or None)

    def enter(self, current: PersonState) -> None:
        """Change the state to `current`, log the change and send it to the page.

        Raises:
            IllegalMoveError: `lifecycle.EDGES` has no such move. Nothing has changed.
        """
        before, now = self.current, trio.current_time()
        move(before.state, current.state, current.cause)
        self.current = current
        self._census.moved(self.person.id, searching=current.state is State.SEARCHING)
        self.journal.info(
            "moved",
            from_=before.state,
            to=current.state,
            cause=current.cause,
            session=current.session,
            partner=current.partner and current.partner.id,
            lasted_ms=round((now - before.since) * 1000),
        )
        self.outgoing.show(current.snapshot(now, self._cue()))
        self._count()

    def lacks(self, presence: Presence) -> bool:
        """Whether to send `presence` to the page: it is not in a session, and was sent another count last.

        A page in a session gets the count after it. If most people are in a call, sending the count to
        everybody every few seconds would cost as much as the calls.
        """
        return self.current.state not in IN_SESSION and self.outgoing.lacks(presence)

    def _count(self) -> None:
        """Send the number of people who are here to the page, if it lacks that."""
        presence = self._census.count(trio.current_time())
        if self.lacks(presence):
            self.outgoing.count(presence)

    def _cue(self) -> str | None:
        """The sound that goes with the last change of state."""
        return None if self.current.cause is None else CUES.get(self.current.cause)

    def partner_away(self, away: bool) -> None:
        """The partner's connection dropped, or came back."""
        self.current = replace(self.current, partner_away=away)
        if self.current.session is not None:
            self.outgoing.send(PartnerChanged(self.current.session, away))

    def relay(self, frame: SignalFrom | ChatFrom) -> None:
        """Pass on a frame of the partner. If the person is away and the outbox is full, the frame is lost.

        They get an error about it when they reconnect. Their actor goes on, however much the partner sends.
        """
        self.answers.heard()
        if not self.outgoing.relay(frame):
            tell = self.journal.warning if self.outgoing.outbox.without_room == 1 else self.journal.note
            tell("overflow", session=frame.session)

    def unexpected(self, message: Turn) -> UnexpectedError:
        """The error for a message that cannot arrive now."""
        return UnexpectedError(f"{type(message).__name__} cannot arrive while {self.current.state}")


def _number(said: Inbound | Refused) -> int | None:
    """The number that the page gave a frame; None: it has none."""
    return said.n if isinstance(said, NumberedFrame | Refused) else None
