"""Every message that actors send each other. All are immutable.

Commands are named in the imperative, events in the past participle. Messages about one connection or one
encounter go through a door, and are dropped once it is over. The others go straight to a mailbox, and are
always handled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from msgspec import Raw, Struct

from actors import Door, Mailbox
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.people import Person
from studymatch.rules.pool import Ticket, TicketId
from studymatch.rules.protocol import (
    Inbound,
)


class Guest(Struct, frozen=True):
    """The person that a token identifies. `token` is the new one, if the old one is to be replaced.

    `expired`: the token has expired, so it can resume a living actor, but not create one.
    """

    person: Person
    expired: bool = False
    token: str | None = None


class Connection(Protocol):
    """One live connection to a browser, as a user's actor uses it. All calls are synchronous and never fail.

    `build` names the build of the page that browsers get now; None: unknown.
    """

    @property
    def build(self) -> str | None: ...

    def write(self, frames: Sequence[bytes]) -> None:
        """Send frames, in order. A connection whose browser does not read hangs up by itself."""

    def credit(self) -> None:
        """A frame that came through the door of this connection was handled: its reader may read another."""

    def hang_up(self, code: CloseCode) -> None:
        """Close after the frames that were written. The first code given counts."""


# To a user, through the door of a connection


class Attached(Struct, frozen=True):
    """A browser is connected through `connection`; it has received frames up to `seq`, or None: a new page.

    `token`: the new token for the next hello, if the present one is to be replaced.
    """

    connection: Connection
    seq: int | None
    token: str | None = None


class Detached(Struct, frozen=True):
    """The connection has dropped; `why` is one word for the journal."""

    why: str = "dropped"


class Refused(Struct, frozen=True):
    """A frame that the edge refused, and the error that the browser gets for it.

    `n` is the number that its page gave it, if it could be read.
    """

    code: str
    message: str
    n: int | None = None


PageMessage: TypeAlias = Attached | Inbound | Refused | Detached


# To a user, from the hall


class PeopleCounted(Struct, frozen=True):
    """The number of people who are here, or who search, has changed: send the person the current one."""


# To a user, through the door of an encounter


class Seeker(Struct, frozen=True):
    """Somebody who searches, reached through the door of this one encounter."""

    person: Person
    door: Door[PairMessage]

    @property
    def open(self) -> bool:
        """Whether they still search."""
        return self.door.open


class Matched(Struct, frozen=True):
    """The matcher paired you: your doors are linked already."""

    session: str
    partner: Seeker
    initiator: bool


class MatcherLost(Struct, frozen=True):
    """The matcher that held your ticket crashed: offer it again."""


class MediaFlowed(Struct, frozen=True):
    """The partner's browser reported `connected`. Sent to the initiator, which collects both reports."""


class SessionBegan(Struct, frozen=True):
    """Media flows on both sides. Sent by the initiator."""


class SignalSent(Struct, frozen=True):
    """The partner's browser sent signaling data."""

    data: Raw


class ChatSent(Struct, frozen=True):
    """The partner sent a text."""

    text: str


class PartnerAway(Struct, frozen=True):
    """The partner's connection to the server dropped, or came back."""

    away: bool


class PartnerLeft(Struct, frozen=True):
    """The session is over because the partner left it.

    `ready`: you did your part, so the server searches again for you. `leaver_ready`: they did theirs.
    `unanswered`: they could not connect, since your connection was down or your page did not answer.
    """

    cause: SessionCause = SessionCause.LOST
    ready: bool = True
    leaver_ready: bool = True
    unanswered: bool = False


PairMessage: TypeAlias = (
    Matched | MatcherLost | MediaFlowed | SessionBegan | SignalSent | ChatSent | PartnerAway | PartnerLeft
)
UserMessage: TypeAlias = PageMessage | PeopleCounted | PairMessage


# To the matcher


class Offer(Struct, frozen=True):
    """Pair this ticket, or keep it until one comes that fits."""

    ticket: Ticket[Seeker]


class Withdrawn(Struct, frozen=True):
    """The door of this ticket has closed."""

    ticket: TicketId


class Asked(Struct, frozen=True):
    """A health check: send the number of waiting tickets to `answer`."""

    answer: Mailbox[int]


MatcherMessage: TypeAlias = Offer | Withdrawn | Asked
