"""The hall, the app and the server in the test's process, and people who connect over real sockets.

This module keeps as few references as possible, because tests use it to find what the server keeps in memory.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import trio

from actors import journal
from studymatch.person.user import User
from tests.support import person
from tests.support.echo import Served, serving
from tests.support.people import Building, a_hall
from tests.support.person import Page
from tests.support.raw_client import CLOSE, Closed, open_stream
from web.app import create_app
from web.identity import Identities
from web.reception import Reception
from web.server import ServerLimits


class Person(person.Person):
    """A person who may leave without an answer to the server's close frame."""

    async def ended(self) -> None:
        """Read until the server closes, and leave."""
        with suppress(Closed, trio.BrokenResourceError):
            while (await self.frame())[0] != CLOSE:
                pass
        await self.stream.aclose()


@dataclass
class Lobby:
    """The parts of a running server that tests use."""

    served: Served
    building: Building
    identities: Identities
    reception: Reception

    async def knock(self, page: Page | None = None) -> Person:
        """Open a WebSocket, and send nothing yet."""
        if page is None:
            guest, token = self.identities.new_guest("Ada")
            page = Page(guest.id, token)
        visitor = Person(await open_stream((self.served.host, self.served.port)), page)
        await visitor.open()
        return visitor

    async def come_in(self, again: Person | None = None, *, resume: bool = False) -> Person:
        """Connect a new person; or `again` one, with their resume key or without. Returns when idle.

        Who resumes has seen only the welcome, so that the server sends again what followed.
        """
        page = None if again is None else Page(again.page.person, again.page.token)
        if again is not None and page is not None and resume:
            page.resume = again.page.resume | {"seq": 1}
        visitor = await self.knock(page)
        await visitor.come_in()
        return visitor

    async def pair(self) -> tuple[Person, Person]:
        """Two people who are connecting."""
        pair = await self.come_in(), await self.come_in()
        await person.meet(*pair)
        return pair

    async def call(self) -> tuple[Person, Person]:
        """Two people in a call."""
        pair = await self.come_in(), await self.come_in()
        await person.call(*pair)
        return pair

    def user(self, visitor: Person) -> User:
        """The actor of a person who is present."""
        user = self.building.hall.user(visitor.page.person)
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
