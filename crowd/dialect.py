"""What a person says and hears, apart from how a server spells it.

`Dialect` is the seam behind which another server can be measured with the same people and instruments;
`Studymatch` is the product's own protocol (docs/protocol.md), written from its page and not from its code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import Struct


class Data(Struct, gc=False):
    """What the crowd puts into a signal: when it was sent, by and for whom, and its number in the session.

    `leaver` and `dwell_s` go with an offer: whether the one who offers will be the one to leave, and when.
    """

    t: float
    n: int
    by: str
    to: str
    leaver: bool = False
    dwell_s: float = 0.0


class Someone(Struct, gc=False):
    """A person, or a partner."""

    id: str


class Resume(Struct, gc=False):
    """How to come back."""

    key: str
    grace_ms: int


class Heard(Struct, gc=False):
    """A frame of the server, as far as it matters here; absent fields have their defaults."""

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
    """How one kind of server is talked to. What it says is bytes of one text message."""

    path: str
    """Of the WebSocket."""
    needs_guests: bool
    """Whether people are registered over HTTP before they connect."""
    resumes: bool
    """Whether a dropped connection can be resumed."""

    def hello(self, token: str, resume: Resume | None, seq: int) -> bytes | None:
        """What to say as soon as the WebSocket is open."""

    def read(self, payload: bytes, answer: Callable[[bytes], None]) -> Heard | None:
        """What the server said; None if it was settled with an `answer`, or says nothing.

        Raises:
            msgspec.DecodeError: it is nothing that this dialect knows.
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
        """The first words."""
        words: dict[str, object] = {"type": "hello", "version": 1, "token": token}
        if resume is not None:
            words["resume"] = {"key": resume.key, "seq": seq}
        return msgspec.json.encode(words)

    def read(self, payload: bytes, answer: Callable[[bytes], None]) -> Heard | None:
        """One frame is one message."""
        return self._decode(payload)

    def search(self, subject: str | None) -> bytes:
        """Find Partner."""
        criteria = {} if subject is None else {"subject": subject}
        return msgspec.json.encode({"type": "search", "criteria": criteria})

    def signal(self, session: str, data: bytes) -> bytes:
        """For the partner."""
        return b'{"type":"signal","session":"%b","data":%b}' % (session.encode(), data)

    def connected(self, session: str) -> bytes:
        """Media flow."""
        return b'{"type":"connected","session":"%b"}' % session.encode()

    def skip(self, session: str) -> bytes:
        """On to the next."""
        return b'{"type":"skip","session":"%b"}' % session.encode()

    def end(self, session: str) -> bytes:
        """Leave, and stop."""
        return b'{"type":"end","session":"%b"}' % session.encode()

    def ping(self) -> bytes:
        """Still here."""
        return b'{"type":"ping"}'
