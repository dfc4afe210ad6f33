"""How the peer is talked to: socket.io 4 over Engine.IO 4, text frames, WebSocket only.

`0{…}` opens, `40` joins the one namespace, `40{"sid":…}` confirms, `42["event",{…}]` is an event, and every
`2` of the server is answered by `3`. Nothing of this is part of the product.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from crowd.dialect import Heard, Resume, Someone

STATES = {"matched": "connecting", "connected": "connected", "ended": "ended"}
"""Which event of the peer tells which state."""


class Joined(msgspec.Struct):
    """What goes with the confirmation of a namespace."""

    sid: str


class SocketIO:
    """The dialect of `benchmarks/peer/server.js`."""

    path = "/socket.io/?EIO=4&transport=websocket"
    needs_guests = False
    resumes = False

    def __init__(self) -> None:
        self._event = msgspec.json.Decoder(tuple[str, Heard]).decode
        self._joined = msgspec.json.Decoder(Joined).decode

    def hello(self, token: str, resume: Resume | None, seq: int) -> None:
        """The server opens."""

    def read(self, payload: bytes, answer: Callable[[bytes], None]) -> Heard | None:
        """An event as what it tells; what Engine.IO and the namespace want is answered."""
        if payload.startswith(b"42"):
            name, heard = self._event(payload[2:])
            heard.state = STATES.get(name, "")
            heard.type = "state" if heard.state else name
            return heard
        if payload == b"2":
            answer(b"3")
        elif payload.startswith(b"40"):
            return Heard(type="welcome", state="idle", user=Someone(self._joined(payload[2:]).sid))
        elif payload.startswith(b"0"):
            answer(b"40")
        else:
            raise msgspec.DecodeError(f"expected a packet of socket.io, got {payload[:20]!r}")
        return None

    def search(self, subject: str | None) -> bytes:
        """Find Partner, whoever it is: the textbook knows no subjects."""
        return b'42["search"]'

    def signal(self, session: str, data: bytes) -> bytes:
        """For the partner."""
        return b'42["signal",{"session":"%b","data":%b}]' % (session.encode(), data)

    def connected(self, session: str) -> bytes:
        """Media flow."""
        return b'42["connected",{"session":"%b"}]' % session.encode()

    def skip(self, session: str) -> bytes:
        """On to the next."""
        return b'42["skip",{"session":"%b"}]' % session.encode()

    def end(self, session: str) -> bytes:
        """The textbook knows one way to leave."""
        return self.skip(session)

    def ping(self) -> None:
        """The server pings."""
