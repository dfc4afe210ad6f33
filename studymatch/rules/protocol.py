"""The wire protocol, version 1: every frame that a browser and the server exchange, as types.

One tagged union for each direction, encoded as JSON text with the tag in ``type``. The protocol reference
``docs/protocol.md`` and the page's ``web/static/js/protocol.js`` are generated from these types and their
descriptions. This module is pure. It does not decode what browsers send each other (`Signal.data`).

Durations are whole milliseconds, never clock times. Unknown fields are ignored.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeAlias, get_args

import msgspec
from msgspec import Meta, Raw, Struct

from studymatch.rules.lifecycle import Cause, State
from studymatch.rules.names import alike

VERSION = 1

FRAME_MAX_BYTES = 64 * 1024
"""The largest message a browser may send."""

SIGNAL_MAX_BYTES = 48 * 1024
"""The largest `Signal.data`, as JSON. An offer with many codecs and candidates has 3 to 10 KiB."""

CHAT_MAX_CHARS = 2000
CRITERION_MAX_CHARS = 60

NUMBER_MAX = 2**53 - 1
"""The largest integer that every JSON parser reads exactly (RFC 8259, section 6)."""

SessionId: TypeAlias = Annotated[str, Meta(max_length=64)]
FrameNumber: TypeAlias = Annotated[int, Meta(ge=1, le=NUMBER_MAX)]


class ClientFrame(Struct, frozen=True, tag_field="type", tag=lambda name: name.lower()):
    """What a browser may send."""


class NumberedFrame(ClientFrame, frozen=True, kw_only=True):
    """A frame with a number: with `n`, the server handles it exactly once, however often it is sent."""

    n: FrameNumber | None = None


class ResumeRequest(Struct, frozen=True):
    """Which actor to resume, and the `seq` of the last frame that arrived from it."""

    key: Annotated[str, Meta(max_length=128)]
    seq: Annotated[int, Meta(ge=0)]


class Hello(ClientFrame, frozen=True):
    """The first frame, within 5 s of the handshake."""

    version: int
    token: Annotated[str, Meta(max_length=4096)]
    resume: ResumeRequest | None = None


class Criteria(Struct, frozen=True):
    """Whom to look for. Two people fit when no criterion that both name has different values; case, width,
    white space, composition and invisible characters make no difference."""

    subject: Annotated[str, Meta(max_length=CRITERION_MAX_CHARS)] | None = None
    language: Annotated[str, Meta(max_length=CRITERION_MAX_CHARS)] | None = None

    def named(self) -> dict[str, str]:
        """The criteria that are given, as `studymatch.rules.names` compares what people write."""
        given = {"subject": alike(self.subject or ""), "language": alike(self.language or "")}
        return {name: value for name, value in given.items() if value}


class Search(NumberedFrame, frozen=True):
    """Look for a partner. → searching"""

    criteria: Criteria = Criteria()


class Cancel(NumberedFrame, frozen=True):
    """Stop looking. → idle"""


class SessionFrame(NumberedFrame, frozen=True):
    """A frame about one session; with a `session` other than the current one it is dropped as late."""

    session: SessionId


class Signal(SessionFrame, frozen=True):
    """`data` (any JSON, at most 48 KiB) reaches the partner unread and unchanged."""

    data: Raw


class Connected(SessionFrame, frozen=True):
    """This side's media flows; when both sides have sent it, both → connected."""


class Failed(SessionFrame, frozen=True):
    """This side cannot connect (no device, ICE failed …): both → ended."""

    code: Annotated[str, Meta(max_length=64)] = "unknown"


class Skip(SessionFrame, frozen=True):
    """Leave this partner for the next: both → ended, and both search again after 500 ms."""


class End(SessionFrame, frozen=True):
    """Leave and stop: both → ended; the one who ended → idle, the other searches again after 500 ms."""


class Chat(SessionFrame, frozen=True):
    """A text for the partner, 1 to 2000 characters."""

    text: Annotated[str, Meta(min_length=1, max_length=CHAT_MAX_CHARS)]


class Ping(ClientFrame, frozen=True):
    """Answered by `pong`; a client sends one whenever it was silent for `heartbeat_ms`. It has no number."""


class Leaving(ClientFrame, frozen=True):
    """The page is being closed or reloaded, and closes its connection next: see *A page that goes*. A later
    frame on the same connection takes it back. It has no number and no answer."""


Inbound: TypeAlias = (
    Hello | Search | Cancel | Signal | Connected | Failed | Skip | End | Chat | Ping | Leaving
)


class ServerFrame(Struct, frozen=True, tag_field="type", tag=lambda name: name.lower()):
    """What the server sends. Each frame also has `seq`, which rises by one with each frame to a person.

    On resuming, frames that never arrived are sent again under new numbers.
    """


class Identity(Struct, frozen=True):
    """A person, as told to that person."""

    id: str
    name: str


class Partner(Struct, frozen=True):
    """The partner. `away`: their connection to the server dropped; the call itself may go on."""

    id: str
    name: str
    away: bool


class Sound(Struct, frozen=True):
    """A sound that loops while the state lasts; `volume` from 0 to 1."""

    name: str
    volume: float


class ResumeOffer(Struct, frozen=True):
    """How to come back after the connection dropped, and for how long that is possible."""

    key: str
    grace_ms: int


class IceServer(Struct, frozen=True, omit_defaults=True):
    """An entry of RTCConfiguration.iceServers (W3C WebRTC, section 4.2.2)."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class Welcome(ServerFrame, frozen=True, omit_defaults=True):
    """The answer to `hello`, followed by `state`. `resumed`: the actor is the one asked for.

    `heard`: the number `n` of the last frame that the server handled, 0 for none. `token`: use it in `hello`
    from now on; the old one is in the second half of its life, or has expired. `build`: names the page that
    this server serves now; a page of another build should reload when nothing is lost by it.
    """

    version: int
    user: Identity
    resume: ResumeOffer
    resumed: bool
    ice_servers: list[IceServer]
    heartbeat_ms: int
    heard: int
    token: str | None = None
    build: str | None = None


class Snapshot(ServerFrame, frozen=True, tag="state"):
    """The complete state of this person: draw this and remember nothing else."""

    state: Annotated[State, Meta(description="one of the five")]
    session: Annotated[
        str | None, Meta(description="the pairing this is about; null in `idle` and `searching`")
    ]
    initiator: Annotated[
        bool,
        Meta(
            description="true for exactly one of the two: it makes the first offer and is the impolite peer"
            " of perfect negotiation"
        ),
    ]
    partner: Annotated[Partner | None, Meta(description="the other one of `session`; null without one")]
    sound: Annotated[Sound | None, Meta(description="the looping sound that belongs to this state, or null")]
    cue: Annotated[
        str | None,
        Meta(description="a sound to play once, only in the frame that announces the change, or null"),
    ]
    since_ms: Annotated[int, Meta(description="how long this state has lasted")]
    deadline_ms: Annotated[int | None, Meta(description="how long it still may (null: no limit)")]
    search_again_ms: Annotated[
        int | None,
        Meta(
            description="in `ended`: how long until the server itself searches again, or null. 500; more for"
            " a person who keeps leaving matches before they become calls, and `message` says so"
        ),
    ]
    search_again_in: Annotated[
        int | None,
        Meta(
            description="the same value as `search_again_ms`, under its former name; gone from version 2 on",
            extra_json_schema={"deprecated": True},
        ),
    ]
    cause: Annotated[Cause | None, Meta(description="why the last state was left, or null")]
    message: Annotated[
        str | None, Meta(description="one sentence or two of plain English for the person, or null")
    ]


class SignalFrom(ServerFrame, frozen=True, tag="signal"):
    """What the partner's browser sent, unchanged."""

    session: str
    data: Raw


class ChatFrom(ServerFrame, frozen=True, tag="chat", rename={"sender": "from"}):
    """A text from the partner; `from` is their id."""

    session: str
    sender: str
    text: str


class PartnerChanged(ServerFrame, frozen=True, tag="partner"):
    """The partner's connection to the server dropped, or came back."""

    session: str
    away: bool


class Pong(ServerFrame, frozen=True):
    """The answer to `ping`. `heard`: the number `n` of the last frame that the server handled, 0 for none."""

    heard: int


class Presence(ServerFrame, frozen=True):
    """How many people are here and how many of them search, the person included. The server sends it
    outside of a session, unless it sent the same count last on this connection: after a `state`, and
    otherwise at most every 5 s, to 1000 people a second. People without a connection count for 5 s
    (`--reload-grace-s`)."""

    online: int
    searching: int


class Error(ServerFrame, frozen=True):
    """A frame was refused and changed nothing; `message` is plain English, `about` the frame's type.

    `n`: the number of the frame, if it had one that could be read.
    """

    code: str
    message: str
    about: str | None = None
    n: int | None = None


Outbound: TypeAlias = Welcome | Snapshot | SignalFrom | ChatFrom | PartnerChanged | Pong | Presence | Error


class Malformed(Exception):  # noqa: N818
    """A frame that is not of this protocol. Its text says, in plain English, what was expected."""


_decoder: msgspec.json.Decoder[Inbound] = msgspec.json.Decoder(Inbound)


def decode(message: str | bytes) -> Inbound:
    """Read one frame of a browser.

    Raises:
        Malformed: it is not JSON, not a frame of this protocol, or beyond a limit.
    """
    try:
        frame = _decoder.decode(message)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and msgspec's are ValueErrors
        raise Malformed(_explain(error)) from None
    if isinstance(frame, Signal) and len(bytes(frame.data)) > SIGNAL_MAX_BYTES:
        raise Malformed(f"data has more than {SIGNAL_MAX_BYTES} bytes")
    return frame


class _Number(Struct):
    n: FrameNumber | None = None


_number_decoder = msgspec.json.Decoder(_Number)


def number_of(message: str | bytes) -> int | None:
    """The number `n` of a refused frame; None if it has none, or it cannot be read."""
    try:
        return _number_decoder.decode(message).n
    except (ValueError, RecursionError):
        return None


def _explain(error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        return str(error)
    if isinstance(error, RecursionError):
        return "the JSON is nested too deeply"
    return "expected one JSON object in UTF-8 with a known type"


encode: Callable[[Outbound], bytes] = msgspec.json.Encoder().encode
"""The frame as JSON, without its `seq`: see `numbered`."""


def numbered(body: bytes, seq: int) -> bytes:
    """Add `seq` to an encoded frame. A frame is encoded once, and numbered each time it is sent."""
    return b'%b,"seq":%d}' % (body[:-1], seq)


_KINDS: dict[type, str] = {kind: str(kind.__struct_config__.tag) for kind in get_args(Inbound)}


def kind_of(frame: Inbound) -> str:
    """The frame's `type` on the wire."""
    return _KINDS[type(frame)]
