"""The hall, the app and the server in the test's process, and people who connect over real sockets.

This module keeps as few references as possible, because tests use it to find what the server keeps in memory.
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
from tests.support.echo import Served, serving
from tests.support.people import Building, a_hall
from tests.support.raw_client import CLOSE, TEXT, Client
from web.app import create_app
from web.identity import Identities
from web.reception import Reception
from web.server import ServerLimits

Frame = dict[str, Any]


class Person(Client):
    """A person with a raw WebSocket."""

    def __init__(self, stream: trio.SocketStream, person_id: str, token: str) -> None:
        super().__init__(stream)
        self.id = person_id
        self.token = token
        self.session = ""
        self.resume: Frame | None = None

    async def say(self, kind: str, **fields: Any) -> None:
        await self.send_frame(TEXT, json.dumps({"type": kind, **fields}).encode())

    async def about(self, kind: str, **fields: Any) -> None:
        """Send a frame about the current session."""
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
            pass  # the connection was cut
        await self.stream.aclose()


@dataclass
class Lobby:
    """The parts of a running server that tests use."""

    served: Served
    building: Building
    identities: Identities
    reception: Reception

    async def knock(self, token: tuple[str, str] | None = None) -> Person:
        """Open a WebSocket, and send nothing yet."""
        sock = trio.socket.socket()
        await sock.connect((self.served.host, self.served.port))
        if token is None:
            guest, text = self.identities.new_guest("Ada")
            token = guest.id, text
        person = Person(trio.SocketStream(sock), *token)
        await person.upgrade("/ws")
        return person

    async def come_in(self, again: Person | None = None, *, resume: bool = False) -> Person:
        """Connect a new person; or `again` one, with their resume key or without. Returns when idle."""
        person = await self.knock(None if again is None else (again.id, again.token))
        more = {"resume": again.resume} if again is not None and resume else {}
        await person.say("hello", version=1, token=person.token, **more)
        await person.until("state")
        return person

    async def pair(self) -> tuple[Person, Person]:
        """Two people who are connecting."""
        pair = await self.come_in(), await self.come_in()
        for person in pair:
            await person.say("search")
        for person in pair:
            await person.until("state", state="connecting")
        return pair

    async def call(self) -> tuple[Person, Person]:
        """Two people in a call."""
        pair = await self.pair()
        for person in pair:
            await person.about("connected")
        for person in pair:
            await person.until("state", state="connected")
        return pair

    def user(self, person: Person) -> User:
        """The actor of a person who is present."""
        user = self.building.hall.user(person.id)
        assert user is not None
        return user

    async def deserted(self) -> None:
        """Wait until all people and connections are gone; then drop the records and log lines about them."""
        while len(self.building.hall) or self.served.has_connections():  # noqa: ASYNC110
            await trio.sleep(1)
        await trio.sleep(1)
        self.building.lines.clear()
        self.building.store.entries.clear()


@asynccontextmanager
async def a_lobby(limits: ServerLimits | None = None, **settings: Any) -> AsyncIterator[Lobby]:
    """A hall with a server in front of it, on a free port of loopback."""
    identities = Identities(("a secret of the lobby, long enough",), 3600)
    # Collect the log lines: structlog without configuration leaves a reference cycle for each.
    async with a_hall(**settings) as building:
        with patch.object(journal, "_lines", building.lines):
            reception = Reception(building.hall, identities.recognise, building.settings)
            async with serving(create_app(reception, identities), limits) as served:
                yield Lobby(served, building, identities, reception)
