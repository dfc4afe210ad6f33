"""A person with a real WebSocket: the client's side of the protocol, for all tests with real sockets.

A `Page` is what a browser tab remembers while its connections come and go. A `Person` is one connection of a
page. Neither decides what to do: tests do, or the people of fleet, crowd and drill, which are built on them.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from tests.promises.transcript import Frame, Transcript, What
from tests.support.raw_client import CLOSE, TEXT, Client, Closed, Refused, open_stream

LIMIT_S = 60
"""The time limit for things that take no time on an idle machine: reaching it means a hang."""

NOT_NUMBERED = frozenset({"hello", "ping", "leaving"})


class Page:
    """What one tab of `person` (an id) remembers over its connections, and its transcript.

    With `numbers_frames` it numbers its frames, and repeats those that the server has not acknowledged; older
    pages do not. `state` is the last state of the present actor, `resume` what a hello sends
    to come back to it; both are empty if there is none.
    """

    def __init__(
        self,
        person: str = "",
        token: str = "",
        criteria: dict[str, str] | None = None,
        *,
        numbers_frames: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.person = person
        self.token = token
        self.transcript = Transcript(person, criteria or {}, clock=clock)
        self.state: Frame = {}
        self.resume: Frame = {}
        self.unacknowledged: list[Frame] = []
        self._numbers_frames = numbers_frames
        self._numbered = 0
        self._words: Counter[str] = Counter()

    def hello(self) -> Frame:
        """The first frame of a connection, which resumes if it can."""
        hello: Frame = {"type": "hello", "version": 1, "token": self.token}
        return hello | ({"resume": dict(self.resume)} if self.resume else {})

    def numbered(self, frame: Frame) -> Frame:
        """The frame as it is sent; if it gets a number, it is kept until the server has acknowledged it."""
        if not self._numbers_frames or frame["type"] in NOT_NUMBERED:
            return frame
        self._numbered += 1
        self.unacknowledged.append(frame | {"n": self._numbered})
        return self.unacknowledged[-1]

    def take(self, frame: Frame) -> None:
        """Remember what a frame of the server says."""
        if frame["type"] == "welcome":
            if not frame["resumed"]:
                self.state, self.unacknowledged, self._numbered = {}, [], 0
            self.resume = {"key": frame["resume"]["key"], "seq": frame["seq"]}
        elif self.resume:
            self.resume["seq"] = frame.get("seq", self.resume["seq"])  # a refused hello has none
        if "heard" in frame:
            self.unacknowledged = [said for said in self.unacknowledged if said["n"] > frame["heard"]]
        if frame["type"] == "state":
            self.state = frame

    def words(self, session: str) -> Frame:
        """A unique payload with sender, session and number, so that checks know what has to arrive where."""
        self._words[session] += 1
        return {"by": self.person, "in": session, "n": self._words[session]}


class Person(Client):
    """One connection of a page, whose frames the page's transcript records.

    `ended_with` is the close code once the connection has ended, 1006 if it broke.
    """

    def __init__(self, stream: trio.SocketStream, page: Page) -> None:
        super().__init__(stream)
        self.page = page
        self.ended_with: int | None = None
        self._link = 0
        self._sending = trio.Lock()

    @property
    def state(self) -> Frame:
        """The last state of the page."""
        return self.page.state

    @property
    def frames(self) -> list[Frame]:
        """The frames heard on this connection."""
        entries = self.page.transcript.entries
        return [entry.frame for entry in entries if entry.link == self._link and entry.what is What.HEARD]

    async def open(self, headers: bytes = b"", *, limit_s: float = LIMIT_S) -> None:
        """Do the handshake, and send nothing yet.

        Raises:
            Refused: the server does not accept the WebSocket, or not within `limit_s`.
        """
        with trio.move_on_after(limit_s) as limit:
            try:
                host, port = self.stream.socket.getpeername()
                await self.upgrade("/ws", headers, host=f"{host}:{port}")
            except (Closed, OSError, trio.BrokenResourceError):
                raise Refused("the connection was cut in the handshake") from None
        if limit.cancelled_caught:
            raise Refused("no handshake in time")
        self._link = self.page.transcript.opened()

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a frame; on a broken connection nothing, as a page's WebSocket: who hears notices the end."""
        await self._send(self.page.numbered({"type": kind, **fields}))

    async def about(self, kind: str, **fields: Any) -> None:
        """Send a frame about the session of the last state."""
        await self.say(kind, session=self.state["session"], **fields)

    async def say_hello(self) -> None:
        await self._send(self.page.hello())

    async def come_in(self) -> None:
        """Say hello, and read until the first state."""
        await self.say_hello()
        await self.until("state")

    async def _send(self, frame: Frame) -> None:
        self.page.transcript.said(self._link, _without_padding(frame))
        await self.send_text(json.dumps(frame))

    async def send_text(self, text: str) -> None:
        """Send any text, unrecorded; on a broken connection nothing."""
        with suppress(trio.BrokenResourceError):
            async with self._sending:
                await self.send_frame(TEXT, text.encode())

    async def hear(self) -> Frame:
        """The next frame. After a welcome, all that is not acknowledged has been said again.

        Raises:
            Closed: the connection has ended; a close frame has been answered.
        """
        try:
            opcode, payload = await self.frame()
        except (Closed, trio.BrokenResourceError):
            self.ended_with = 1006
            raise Closed from None
        if opcode == CLOSE:
            self.ended_with = int.from_bytes(payload[:2], "big") if payload else 1005
            with suppress(trio.BrokenResourceError):
                async with self._sending:
                    await self.send_frame(CLOSE, payload[:2])
            raise Closed(self.ended_with)
        assert opcode == TEXT, f"expected a text and got {opcode} {payload!r}"
        frame: Frame = json.loads(payload)
        self.page.transcript.heard(self._link, _without_padding(frame))
        self.page.take(frame)
        if frame["type"] == "welcome":
            for said in list(self.page.unacknowledged):
                await self._send(said)
        return frame

    async def until(self, kind: str, **expected: Any) -> Frame:
        """Hear until a frame of this kind has these values."""
        with trio.fail_after(LIMIT_S):
            while True:
                frame = await self.hear()
                if frame["type"] == kind and expected.items() <= frame.items():
                    return frame

    async def code(self) -> int:
        """Hear until the connection ends; returns the close code."""
        with trio.fail_after(LIMIT_S):
            while True:
                try:
                    await self.hear()
                except Closed as closed:
                    return closed.code

    def record_end(self) -> None:
        """Record that the connection has ended: with its close code, or because this side gave it up."""
        self.page.transcript.closed(self._link, self.ended_with)


def _without_padding(frame: Frame) -> Frame:
    """A frame as the transcript keeps it: without the `text` that brings a signal to a realistic size."""
    if frame["type"] != "signal" or not isinstance(frame["data"], dict):
        return frame
    return frame | {"data": {name: value for name, value in frame["data"].items() if name != "text"}}


@asynccontextmanager
async def open_person(
    address: tuple[str, int], page: Page, *, headers: bytes = b"", limit_s: float = LIMIT_S
) -> AsyncIterator[Person]:
    """A new connection of a page to host and port; it ends without a close frame.

    Raises:
        Refused: the server does not listen, or does not accept the WebSocket within `limit_s`.
    """
    try:
        stream = await open_stream(address)
    except OSError as error:
        raise Refused(str(error)) from None
    try:
        person = Person(stream, page)
        await person.open(headers, limit_s=limit_s)
        try:
            yield person
        finally:
            person.record_end()
    finally:
        stream.socket.close()


async def meet(*people: Person, **criteria: str) -> None:
    """Let two people search with these criteria until they are matched with each other."""
    for person in people:
        await person.say("search", criteria=criteria)
    for person in people:
        await person.until("state", state="connecting")


async def call(*people: Person, **criteria: str) -> None:
    """Let two people search, be matched, and report that media flow."""
    await meet(*people, **criteria)
    for person in people:
        await person.about("connected")
    for person in people:
        await person.until("state", state="connected")
