"""The wire format of the peer: socket.io 4 over Engine.IO 4, text frames, WebSocket only.

`0{…}` opens, `40` joins the one namespace, `40{"sid":…}` confirms, `42["event",{…}]` is an event, and a
client answers every `2` with `3`. The product does not use this module.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from crowd.dialect import Heard, Resume, Someone

STATES = {"matched": "connecting", "connected": "connected", "ended": "ended"}
"""The state that each event of the peer stands for."""


class Joined(msgspec.Struct):
    """The data in the confirmation of a namespace."""

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
        """Nothing: the server sends first."""

    def read(self, payload: bytes, answer: Callable[[bytes], None]) -> Heard | None:
        """Decode an event; answer the packets of Engine.IO and of the namespace."""
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
        """Search. The peer has no subjects."""
        return b'42["search"]'

    def signal(self, session: str, data: bytes) -> bytes:
        """Send `data` to the partner."""
        return b'42["signal",{"session":"%b","data":%b}]' % (session.encode(), data)

    def connected(self, session: str) -> bytes:
        """Report that media flow."""
        return b'42["connected",{"session":"%b"}]' % session.encode()

    def skip(self, session: str) -> bytes:
        """Leave, and search again."""
        return b'42["skip",{"session":"%b"}]' % session.encode()

    def end(self, session: str) -> bytes:
        """Leave. The peer has one message for leaving."""
        return self.skip(session)

    def ping(self) -> None:
        """Nothing: the server pings."""
