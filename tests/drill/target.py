"""A client for the drill: raw connections, HTTP requests and WebSockets on trio.

Every client sends an address in `X-Forwarded-For`, as a proxy would. The attacked server trusts loopback, so
its limits per address apply as on the internet.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from crowd.wire import CLOSE, PING, PONG, TEXT, MessageReader, WireError, accepted, frame, handshake

ANSWER_LIMIT_S = 10.0
"""The time within which a working server answers."""

Frame = dict[str, Any]


class Refused(Exception):  # noqa: N818
    """The server refuses the client's request; the text is the reason."""


class Closed(Exception):  # noqa: N818
    """The connection has ended; `code` is the close code, or None."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Target:
    """The attacked server."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    @property
    def authority(self) -> str:
        """Host and port, as in the `Host` header."""
        return f"{self.host}:{self.port}"

    def head(self, method: str, path: str, source: str, *headers: str) -> bytes:
        """The head of a request from the address `source`."""
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self.authority}",
            f"X-Forwarded-For: {source}",
            *headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    @asynccontextmanager
    async def connection(self, *, receive_buffer: int | None = None) -> AsyncIterator[trio.SocketStream]:
        """A connection that ends with a reset, so that no data stay in the kernel.

        Raises:
            Refused: the server does not listen.
        """
        sock = trio.socket.socket()
        try:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            try:
                await sock.connect((self.host, self.port))
            except OSError as error:
                raise Refused(str(error)) from None
            yield trio.SocketStream(sock)
        finally:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    async def request(self, stream: trio.SocketStream, head: bytes, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of one request on `stream`.

        Raises:
            Refused: the server does not answer.
        """
        await stream.send_all(head + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += await _some(stream)
        answer, _, rest = data.partition(b"\r\n\r\n")
        lines = answer.decode("latin-1").lower().split("\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith("content-length:")), 0)
        while len(rest) < length:
            rest += await _some(stream)
        return int(lines[0].split()[1]), rest

    async def guest(self, source: str) -> str:
        """The token of a new guest.

        Raises:
            Refused: the server does not register one.
        """
        body = b'{"name": "Visitor"}'
        head = self.head(
            "POST",
            "/api/guest",
            source,
            f"Content-Length: {len(body)}",
            "Content-Type: application/json",
            "Connection: close",
        )
        async with self.connection() as stream:
            status, answer = await self.request(stream, head, body)
        if status != 201:
            raise Refused(f"{status} for a guest")
        token: str = json.loads(answer)["token"]
        return token

    @asynccontextmanager
    async def line(
        self, source: str, token: str | None, *, receive_buffer: int | None = None
    ) -> AsyncIterator[Line]:
        """A WebSocket; with a `token`, one that has received its welcome.

        Raises:
            Refused: the server does not accept it.
            Closed: the server closes it at once.
        """
        async with self.connection(receive_buffer=receive_buffer) as stream:
            line = Line(stream)
            with trio.move_on_after(ANSWER_LIMIT_S) as limit:
                await line.upgrade(self, source)
                if token is not None:
                    await line.say("hello", version=1, token=token)
                    await line.until("state")
            if limit.cancelled_caught:
                raise Refused("no answer in time")
            yield line


class Line:
    """One WebSocket."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.session: str | None = None
        self.state = "idle"
        self._reader = MessageReader(deflate=False)
        self._heard: list[Frame] = []

    async def upgrade(self, target: Target, source: str) -> None:
        """Do the WebSocket handshake."""
        request, key = handshake(target.authority, "/ws", deflate=False)
        await self.stream.send_all(request[:-2] + f"X-Forwarded-For: {source}\r\n\r\n".encode())
        data = b""
        try:
            while (answer := accepted(data, key)) is None:
                data += await _some(self.stream)
            self._take(data[answer.size :])
        except WireError as error:
            raise Refused(str(error)) from None

    async def say(self, kind: str, **fields: Any) -> None:
        """Send a frame of the protocol."""
        await self.stream.send_all(frame(json.dumps({"type": kind, **fields}).encode()))

    async def hear(self) -> Frame:
        """Return the next frame of the protocol, and answer pings meanwhile.

        Raises:
            Closed: the connection has ended.
        """
        while not self._heard:
            data = await _some(self.stream)
            if (pong := self._take(data)) is not None:
                await self.stream.send_all(pong)
        heard = self._heard.pop(0)
        if heard["type"] == "state":
            self.state, self.session = heard["state"], heard["session"]
        return heard

    async def until(self, kind: str, **expected: Any) -> Frame:
        """Return the next frame of this kind with these values, and skip those before it."""
        while True:
            heard = await self.hear()
            if heard["type"] == kind and expected.items() <= heard.items():
                return heard

    def _take(self, data: bytes) -> bytes | None:
        """Parse data; returns the pong for a ping."""
        pong = None
        for opcode, payload in self._reader.feed(data):
            if opcode == TEXT:
                self._heard.append(json.loads(payload))
            elif opcode == PING:
                pong = frame(payload, PONG)
            elif opcode == CLOSE:
                raise Closed(int.from_bytes(payload[:2], "big") if payload else None)
        return pong


async def _some(stream: trio.SocketStream) -> bytes:
    data = await stream.receive_some()
    if not data:
        raise Closed(None)
    return bytes(data)
