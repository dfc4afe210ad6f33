"""The hall, the app and the server in one process with the test, and people who come over real sockets.

Nothing here keeps more than it must: it is for looking at what the server keeps.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import trio

from actors import journal
from studymatch.person.user import User
from tests.support.echo import CLOSE, TEXT, Client, Served, serving
from tests.support.people import Building, a_hall
from web.app import create_app
from web.identity import Identities
from web.reception import Reception
from web.server import ServerLimits

Frame = dict[str, Any]


class Person(Client):
    """Somebody at the other end of a WebSocket, by hand."""

    def __init__(self, stream: trio.SocketStream, person_id: str, token: str) -> None:
        super().__init__(stream)
        self.id = person_id
        self.token = token
        self.session = ""
        self.resume: Frame | None = None

    async def say(self, kind: str, **fields: Any) -> None:
        await self.send_frame(TEXT, json.dumps({"type": kind, **fields}).encode())

    async def about(self, kind: str, **fields: Any) -> None:
        """Say something about the present session."""
        await self.say(kind, session=self.session, **fields)

    async def until(self, kind: str, **expected: Any) -> Frame:
        """Read until a frame of this kind has these values."""
        while True:
            opcode, data = await self.frame()
            assert opcode == TEXT, f"expected {kind} and got {data!r}"
            frame: Frame = json.loads(data)
            self.session = frame.get("session") or self.session
            if frame["type"] == "welcome":
                self.resume = {"key": frame["resume"]["key"], "seq": frame["seq"]}
            if frame["type"] == kind and expected.items() <= frame.items():
                return frame

    async def ended(self) -> None:
        """Read until the server closes, and leave."""
        try:
            while (await self.frame())[0] != CLOSE:
                pass
        except (AssertionError, trio.BrokenResourceError):
            pass  # it was cut off
        await self.stream.aclose()


@dataclass
class Lobby:
    """What a test needs of it."""

    served: Served
    building: Building
    identities: Identities
    reception: Reception

    async def knock(self, token: tuple[str, str] | None = None) -> Person:
        """An accepted WebSocket, nothing said yet."""
        sock = trio.socket.socket()
        await sock.connect((self.served.host, self.served.port))
        if token is None:
            guest, text = self.identities.new_guest("Ada")
            token = guest.id, text
        person = Person(trio.SocketStream(sock), *token)
        await person.upgrade("/ws")
        return person

    async def come_in(self, again: Person | None = None, *, resume: bool = False) -> Person:
        """Somebody who is idle; or who comes back, with their key or without."""
        person = await self.knock(None if again is None else (again.id, again.token))
        more = {"resume": again.resume} if again is not None and resume else {}
        await person.say("hello", version=1, token=person.token, **more)
        await person.until("state")
        return person

    async def pair(self) -> tuple[Person, Person]:
        """Two who connect."""
        pair = await self.come_in(), await self.come_in()
        for person in pair:
            await person.say("search")
        for person in pair:
            await person.until("state", state="connecting")
        return pair

    async def call(self) -> tuple[Person, Person]:
        """Two in a call."""
        pair = await self.pair()
        for person in pair:
            await person.about("connected")
        for person in pair:
            await person.until("state", state="connected")
        return pair

    def user(self, person: Person) -> User:
        """The actor of somebody who is here."""
        user = self.building.hall.user(person.id)
        assert user is not None
        return user

    async def deserted(self) -> None:
        """Wait until nobody is here, and no connection is left; and forget what was written down of them."""
        while len(self.building.hall) or self.served.has_connections():  # noqa: ASYNC110
            await trio.sleep(1)
        await trio.sleep(1)
        self.building.lines.clear()
        self.building.store.entries.clear()


@asynccontextmanager
async def a_lobby(limits: ServerLimits | None = None, **settings: Any) -> AsyncIterator[Lobby]:
    """A hall with a server in front of it, on a free port of loopback."""
    identities = Identities(("a secret of the lobby, long enough",), 3600)
    # Lines are kept: structlog, as long as nobody has configured it, leaves a circle behind each.
    async with a_hall(**settings) as building:
        with patch.object(journal, "_lines", building.lines):
            reception = Reception(building.hall, identities.recognise, building.settings)
            async with serving(create_app(reception, identities), limits) as served:
                yield Lobby(served, building, identities, reception)
