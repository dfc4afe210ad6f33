"""One connection of one person, from its handshake on; the transcript records all its frames.

A `Wire` does not decide what to send. It stores what a page knows about its connection: which pings are
unanswered, and whether a search was sent.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio_websocket import WebSocketConnection

from tests.promises.transcript import Frame, Transcript
from tests.support.sockets import open_socket


class Hopeless(Exception):  # noqa: N818
    """The connection is given up: it broke, is silent, or the person cut it."""


@asynccontextmanager
async def open_wire(address: tuple[str, int], transcript: Transcript) -> AsyncIterator[Wire | None]:
    """A connection to `address`; None if there is none, or no handshake in time. It ends without a close."""
    async with open_socket(address) as socket:
        yield None if socket is None else Wire(socket, transcript)


class Wire:
    """One open WebSocket, whose frames the transcript records."""

    def __init__(self, socket: WebSocketConnection, transcript: Transcript) -> None:
        self._socket = socket
        self._transcript = transcript
        self._link = transcript.opened()
        self._pings: list[float] = []
        self.has_asked_to_search = False
        self.pinged_at = trio.current_time()

    @property
    def waits_for_pong_since(self) -> float | None:
        """The time of the oldest unanswered ping; None: all are answered."""
        return self._pings[0] if self._pings else None

    async def say(self, frame: Frame) -> None:
        self._transcript.said(self._link, slim(frame))
        await self._socket.send_message(json.dumps(frame))

    async def ping(self) -> None:
        self.pinged_at = trio.current_time()
        self._pings.append(self.pinged_at)
        await self.say({"type": "ping"})

    def may_ask_again(self) -> None:
        """The last search has been answered, with a state or an error."""
        self.has_asked_to_search = False

    @property
    def close_code(self) -> int | None:
        """The close code, 1006 if there was none; None while the connection is open."""
        return None if self._socket.closed is None else int(self._socket.closed.code)

    def closed(self, code: int | None) -> None:
        """Record the end of the connection with `code`."""
        self._transcript.closed(self._link, code)

    async def hear(self) -> Frame:
        frame: Frame = json.loads(await self._socket.get_message())
        self._transcript.heard(self._link, slim(frame))
        match frame["type"]:
            case "pong":
                self._pings.pop(0)
            case "state":
                self.may_ask_again()
        return frame


def slim(frame: Frame) -> Frame:
    """A frame without its padding to a realistic size."""
    if frame["type"] != "signal":
        return frame
    return frame | {"data": {name: value for name, value in frame["data"].items() if name != "text"}}
