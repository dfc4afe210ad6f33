"""The messages that a visitor sends and receives, independent of one server's wire format.

`Dialect` is the interface through which the crowd can measure another server with the same visitors;
`Studymatch` is the product's own protocol, written from docs/protocol.md and not from its code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import Struct


class Data(Struct, gc=False):
    """The data of a crowd's signal: send time, sender, recipient, and number in the session.

    An offer also carries `leaver`, whether its sender will leave the call, and `dwell_s`, after how long.
    """

    t: float
    n: int
    by: str
    to: str
    leaver: bool = False
    dwell_s: float = 0.0


class Someone(Struct, gc=False):
    """A user, or a partner."""

    id: str


class Resume(Struct, gc=False):
    """The key with which a visitor resumes, and for how many milliseconds it is valid."""

    key: str
    grace_ms: int


class Heard(Struct, gc=False):
    """The fields of a server's frame that the crowd uses; absent fields have their defaults."""

    type: str = ""
    seq: int = 0
    state: str = ""
    session: str | None = None
    initiator: bool = False
    partner: Someone | None = None
    away: bool = False
    cause: str | None = None
    search_again_ms: int | None = None
    data: Data | None = None
    user: Someone | None = None
    resume: Resume | None = None
    resumed: bool = False
    heartbeat_ms: int = 25_000
    code: str = ""
    about: str | None = None


class Dialect(Protocol):
    """The wire format of one kind of server. Each method returns the bytes of one text message."""

    path: str
    """The path of the WebSocket."""
    needs_guests: bool
    """Whether visitors register over HTTP before they connect."""
    resumes: bool
    """Whether a dropped connection can be resumed."""

    def hello(self, token: str, resume: Resume | None, seq: int) -> bytes | None:
        """The first message after the WebSocket has opened; None: there is none."""

    def read(self, payload: bytes, answer: Callable[[bytes], None]) -> Heard | None:
        """Decode a message of the server; None if it was handled here (perhaps by calling `answer`).

        Raises:
            msgspec.DecodeError: the message is not part of this protocol.
        """

    def search(self, subject: str | None) -> bytes: ...
    def signal(self, session: str, data: bytes) -> bytes: ...
    def connected(self, session: str) -> bytes: ...
    def skip(self, session: str) -> bytes: ...
    def end(self, session: str) -> bytes: ...
    def ping(self) -> bytes | None: ...


class Studymatch:
    """The wire protocol, version 1."""

    path = "/ws"
    needs_guests = True
    resumes = True

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(Heard).decode

    def hello(self, token: str, resume: Resume | None, seq: int) -> bytes:
        """Log in, and resume if `resume` is given."""
        words: dict[str, object] = {"type": "hello", "version": 1, "token": token}
        if resume is not None:
            words["resume"] = {"key": resume.key, "seq": seq}
        return msgspec.json.encode(words)

    def read(self, payload: bytes, answer: Callable[[bytes], None]) -> Heard | None:
        """Decode one frame."""
        return self._decode(payload)

    def search(self, subject: str | None) -> bytes:
        """Search, as *Find Partner* does."""
        criteria = {} if subject is None else {"subject": subject}
        return msgspec.json.encode({"type": "search", "criteria": criteria})

    def signal(self, session: str, data: bytes) -> bytes:
        """Send `data` to the partner."""
        return b'{"type":"signal","session":"%b","data":%b}' % (session.encode(), data)

    def connected(self, session: str) -> bytes:
        """Report that media flow."""
        return b'{"type":"connected","session":"%b"}' % session.encode()

    def skip(self, session: str) -> bytes:
        """Leave, and search again."""
        return b'{"type":"skip","session":"%b"}' % session.encode()

    def end(self, session: str) -> bytes:
        """Leave, and do not search."""
        return b'{"type":"end","session":"%b"}' % session.encode()

    def ping(self) -> bytes:
        """Keep the connection alive."""
        return b'{"type":"ping"}'
