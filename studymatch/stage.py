"""Where one person stands: their mailbox, their browser and the scene they are in.

A `Stage` belongs to one user actor, and is shared by the parts of its story (`user`, `session`). It owns
what is the same in every state: the one place where the actor waits (`Stage.next`), frames that are late
or not allowed, pings, the connection that drops and comes back, and the way from one scene to the next.
It decides nothing about encounters.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TypeAlias, TypeGuard

import trio
from msgspec.structs import replace

from actors import Journal, Mailbox
from studymatch import sentences
from studymatch.browser import Browser
from studymatch.lifecycle import ACCEPTS, CUES, IN_SESSION, move
from studymatch.messages import (
    FrameIn,
    LineDown,
    LineUp,
    PairMessage,
    Person,
    Refused,
    UserMessage,
)
from studymatch.outbox import Outbox
from studymatch.protocol import (
    VERSION,
    ChatFrom,
    Error,
    Identity,
    Inbound,
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
from studymatch.scene import Scene
from studymatch.settings import Settings

Turn: TypeAlias = Inbound | LineUp | LineDown | PairMessage
"""What the present state has to deal with."""

Settle: TypeAlias = Callable[[Turn], bool]
"""Deals with a turn, if it is one that moves nothing; returns whether it was (see `actors.mailbox`)."""


def nothing(_: Turn) -> bool:
    """Settles nothing."""
    return False


class UnexpectedError(Exception):
    """A message that cannot arrive in this state, and did: a bug."""


class Stage:
    """The stage of `person`, who comes back to it with `key`. `scope` is the life of their actor."""

    def __init__(self, person: Person, key: str, scene: Scene, settings: Settings, journal: Journal) -> None:
        self.person = person
        self.key = key
        self.settings = settings
        self.journal = journal
        self.scene = scene
        self.scope = trio.CancelScope()
        self.inbox: Mailbox[UserMessage] = Mailbox()
        self.browser = Browser(Outbox(settings.outbox_max, settings.outbox_max_bytes))
        self._presence: Presence | None = None

    async def next(self, settle: Settle = nothing) -> Turn:
        """The next message that the present state has to deal with. Only here does the actor wait.

        What `settle` deals with, and then returns True, does not end the waiting: see `Mailbox.receive`.
        `LineUp` and `LineDown` have been dealt with when they are returned, and are returned only when
        somebody who was away is back, or somebody who was present is away.
        """
        self._settle = settle
        while True:
            if not self.inbox:
                self.browser.flush()
            match await self.inbox.receive(self._settles):
                case FrameIn(line, said):
                    line.credit()
                    assert not isinstance(said, Refused), "that was settled"
                    return said
                case LineUp() as up:
                    was_present = self.browser.present
                    self._greet(up)
                    if not was_present:
                        return up
                case LineDown(line) as down:
                    if self.browser.down(line):
                        self.journal.note("away")
                        self.scope.deadline = trio.current_time() + self.settings.grace_s
                        return down
                case message:
                    return message

    def _settles(self, message: UserMessage) -> bool:
        """Deal with what moves nothing; of the rest, do nothing and return False."""
        match message:
            case FrameIn(line, said):
                if self.browser.reads(line) and self._is_meant(said) and not self._settle(said):
                    return False
                line.credit()
            case LineUp() | LineDown():
                return False
            case _:
                if not self._settle(message):
                    return False
        if not self.inbox:
            self.browser.flush()
        return True

    def _is_meant(self, said: Inbound | Refused) -> TypeGuard[Inbound]:
        """Whether a frame means something now; otherwise it is answered here, or dropped as late."""
        state = self.scene.state
        if isinstance(said, Refused):
            self.browser.send(Error(said.code, said.message))
        elif isinstance(said, Ping):
            self.browser.send(Pong())
        elif isinstance(said, SessionFrame) and said.session != self.scene.session:
            self.journal.note("late", about=kind_of(said))
        elif (kind := kind_of(said)) not in ACCEPTS[state]:
            self.browser.send(Error("not_now", sentences.of_refusal(kind, state), kind))
        else:
            return True
        return False

    def _greet(self, up: LineUp) -> None:
        settings = self.settings
        welcome = Welcome(
            version=VERSION,
            user=Identity(self.person.id, self.person.name),
            resume=ResumeOffer(self.key, round(settings.grace_s * 1000)),
            resumed=up.seq is not None,
            ice_servers=list(settings.ice_server),
            heartbeat_ms=round(settings.heartbeat_s * 1000),
        )
        cue = None if self.browser.saw(up.seq) else self._cue()
        self.browser.up(up.line, up.seq, welcome, self.scene.snapshot(trio.current_time(), cue))
        self.scope.deadline = inf
        self.journal.note("present", resumed=welcome.resumed)

    def enter(self, scene: Scene) -> None:
        """Go on to `scene`, and tell the journal and the browser.

        Raises:
            IllegalMoveError: the table of states does not hold such a move. Nothing has changed.
        """
        before, now = self.scene, trio.current_time()
        move(before.state, scene.state, scene.cause)
        self.scene = scene
        self.journal.info(
            "moved",
            from_=before.state,
            to=scene.state,
            cause=scene.cause,
            session=scene.session,
            partner=scene.partner and scene.partner.id,
            lasted_ms=round((now - before.since) * 1000),
        )
        self.browser.show(scene.snapshot(now, self._cue()))
        if self._presence is not None and scene.state not in IN_SESSION:
            self.browser.count(self._presence)
            self._presence = None

    def count(self, presence: Presence) -> None:
        """How many people are here: of no use to somebody in a session, who is told when it is over.

        Where most are in a call, to tell everybody every few seconds would cost as much as the calls. It
        takes no turn of the actor either, since nothing that the actor does depends on it.
        """
        if self.scene.state in IN_SESSION:
            self._presence = presence
        else:
            self.browser.count(presence)
            self.browser.flush()

    def _cue(self) -> str | None:
        """The sound that goes with the last change of state."""
        return None if self.scene.cause is None else CUES.get(self.scene.cause)

    def partner_away(self, away: bool) -> None:
        """The partner's connection dropped, or came back."""
        self.scene = replace(self.scene, partner_away=away)
        if self.scene.session is not None:
            self.browser.send(PartnerChanged(self.scene.session, away))

    def relay(self, frame: SignalFrom | ChatFrom) -> None:
        """Pass on what the partner said. If it cannot be kept for somebody who is away, they are lost."""
        if not self.browser.relay(frame):
            self.journal.warning("overflow", session=frame.session)
            self.scope.cancel()

    def unexpected(self, message: Turn) -> UnexpectedError:
        """The error for a message that cannot arrive now."""
        return UnexpectedError(f"{type(message).__name__} cannot arrive while {self.scene.state}")
