"""One connection of one person, from its handshake on; everything that passes over it is written down.

A `Wire` does not own what is said. It knows the few things that the page knows of its line: which
pings are unanswered, whether a search was asked for.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from tests.faults.transcript import Frame, Transcript

HANDSHAKE_LIMIT_S = 8.0


class Hopeless(Exception):  # noqa: N818
    """This connection is given up: it broke, or is silent, or the person pulled the plug."""


@asynccontextmanager
async def open_wire(address: tuple[str, int], transcript: Transcript) -> AsyncIterator[Wire | None]:
    """A connection to `address`; None if there is none, or no handshake in time. It ends without a goodbye.

    `open_websocket` leaves the stream open when the handshake fails, and at the end waits for a goodbye that
    nobody reads; so the stream is ours.
    """
    try:
        stream = await trio.open_tcp_stream(*address)
    except OSError:
        yield None
        return
    try:
        async with trio.open_nursery() as nursery:
            socket = await _shake_hands(nursery, stream)
            yield None if socket is None else Wire(socket, transcript)
            nursery.cancel_scope.cancel()
    finally:
        stream.socket.close()


async def _shake_hands(nursery: trio.Nursery, stream: trio.SocketStream) -> WebSocketConnection | None:
    with trio.move_on_after(HANDSHAKE_LIMIT_S) as handshake:
        try:
            return await wrap_client_stream(nursery, Watched(stream, handshake), "study.example", "/ws")  # type: ignore[arg-type]
        except (HandshakeError, ConnectionClosed):
            return None
    return None


class Watched(trio.abc.Stream):
    """The stream of a connection; gives up the `handshake` when it breaks meanwhile.

    By itself trio-websocket then waits for ever.
    """

    def __init__(self, stream: trio.SocketStream, handshake: trio.CancelScope) -> None:
        self._stream = stream
        self._handshake = handshake

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except trio.BrokenResourceError:
            self._handshake.cancel()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            return await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            self._handshake.cancel()
            raise

    async def aclose(self) -> None:
        await self._stream.aclose()


class Wire:
    """One open WebSocket; everything that passes is written down."""

    def __init__(self, socket: WebSocketConnection, transcript: Transcript) -> None:
        self._socket = socket
        self._transcript = transcript
        self._link = transcript.opened()
        self._pings: list[float] = []
        self.has_asked_to_search = False
        self.pinged_at = trio.current_time()

    @property
    def waits_for_pong_since(self) -> float | None:
        """Since when a ping is unanswered; None: all are answered."""
        return self._pings[0] if self._pings else None

    async def say(self, frame: Frame) -> None:
        self._transcript.said(self._link, slim(frame))
        await self._socket.send_message(json.dumps(frame))

    async def ping(self) -> None:
        self.pinged_at = trio.current_time()
        self._pings.append(self.pinged_at)
        await self.say({"type": "ping"})

    def may_ask_again(self) -> None:
        """What was asked for has been answered, with a state or with a refusal."""
        self.has_asked_to_search = False

    @property
    def close_code(self) -> int | None:
        """With which code the connection closed; 1006: with none."""
        return None if self._socket.closed is None else int(self._socket.closed.code)

    def closed(self, code: int | None) -> None:
        """It is over; `code` says how."""
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
    """A frame without what makes it as large as a real one."""
    if frame["type"] != "signal":
        return frame
    return frame | {"data": {name: value for name, value in frame["data"].items() if name != "text"}}
