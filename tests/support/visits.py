"""People who connect to a real reception from an address, without a socket: frames arrive at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from studymatch.messages import Guest
from studymatch.rules.people import Person
from tests.support.people import Building, a_hall
from web.conversation import Conversation
from web.reception import Reception

Frame = dict[str, Any]


class Visit:
    """One connection of `person`, as its page sees it. It is also the transport, and reads at once."""

    unsent_frames = unsent_bytes = 0

    def __init__(self, reception: Reception, person: str, address: str | None) -> None:
        self.person = person
        self.frames: list[Frame] = []
        self.code: int | None = None
        self.news = trio.Event()
        self._conversation: Conversation = reception.conversation(address)
        self._conversation.opened(self)
        self._is_gone = False

    # What the conversation does with its socket

    def send(self, frames: Sequence[bytes]) -> None:
        self.frames += map(json.loads, frames)
        self.news.set()

    def close(self, code: int, reason: str) -> None:
        self.code = code
        self.leave()

    def drop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...

    # What the page does

    def hello(self, **fields: Any) -> None:
        self.say("hello", version=1, token=self.person, **fields)

    def say(self, kind: str, **fields: Any) -> None:
        if not self._is_gone:
            self._conversation.heard(json.dumps({"type": kind, **fields}), trio.current_time())

    def floods(self) -> None:
        """Simulate that the server has read far more bytes or frames than the budget allows."""
        self._conversation.flooding()

    def leave(self) -> None:
        """Close the page."""
        if not self._is_gone:
            self._is_gone = True
            self.news.set()
            self._conversation.gone()

    async def until(self, *states: str) -> Frame:
        """Wait until the page is in one of these states, or the server closes the connection."""
        while self.code is None and self.state not in states:
            self.news = trio.Event()
            await self.news.wait()
        return self.last

    def all(self, kind: str) -> list[Frame]:
        return [frame for frame in self.frames if frame["type"] == kind]

    def errors(self, code: str) -> list[Frame]:
        return [frame for frame in self.all("error") if frame["code"] == code]

    @property
    def last(self) -> Frame:
        return next((frame for frame in reversed(self.frames) if frame["type"] == "state"), {})

    @property
    def state(self) -> str | None:
        return self.last.get("state")

    @property
    def request(self) -> Frame:
        """The hello field with which a page resumes."""
        return {"key": self.all("welcome")[-1]["resume"]["key"], "seq": self.frames[-1]["seq"]}


def _guest(token: str) -> Guest:
    return Guest(Person(token, token))


class Place:
    """A reception with its hall. A token is the id and the name of its person."""

    def __init__(self, building: Building) -> None:
        self.building = building
        self.hall = building.hall
        self.reception = Reception(building.hall, _guest, building.settings, building.lines.journal)

    def visit(self, person: str, address: str | None = None, **hello: Any) -> Visit:
        """Connect a person, who says hello."""
        visit = Visit(self.reception, person, address)
        visit.hello(**hello)
        return visit

    def wait_for_guest(self, address: str | None) -> float:
        """Ask for a guest. Returns the seconds to wait; 0: granted."""
        wait = self.hall.accounts.guest(address, trio.current_time())
        return wait.s if wait else 0.0


@asynccontextmanager
async def a_place(**settings: Any) -> AsyncIterator[Place]:
    """A reception of a real hall with a store in memory."""
    async with a_hall(**settings) as building:
        yield Place(building)
