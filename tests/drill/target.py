"""The attacked server as its clients reach it: connections, guests, and people with a WebSocket.

Every client sends an address in `X-Forwarded-For`, as a proxy would. The attacked server trusts loopback, so
its limits per address apply as on the internet.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from crowd.wire import USER_AGENT
from tests.support.person import Page, Person
from tests.support.raw_client import Client, Refused, open_stream

ANSWER_LIMIT_S = 10.0
"""The time within which a working server answers."""


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
    async def connection(self, *, receive_buffer: int | None = None) -> AsyncIterator[Client]:
        """A connection that ends with a reset, so that no data stay in the kernel.

        Raises:
            Refused: the server does not listen.
        """
        try:
            stream = await open_stream((self.host, self.port), receive_buffer=receive_buffer)
        except OSError as error:
            raise Refused(str(error)) from None
        client = Client(stream)
        try:
            yield client
        finally:
            with suppress(OSError):
                client.reset()
            stream.socket.close()

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
        async with self.connection() as client:
            status, _, answer = await client.request(head + body)
        if status != 201:
            raise Refused(f"{status} for a guest")
        token: str = json.loads(answer)["token"]
        return token

    @asynccontextmanager
    async def person(
        self, source: str, token: str | None, *, receive_buffer: int | None = None
    ) -> AsyncIterator[Person]:
        """A WebSocket from the address `source`; with a `token`, one that has received its first state.

        Raises:
            Refused: the server does not accept it.
            Closed: the server closes it at once.
        """
        async with self.connection(receive_buffer=receive_buffer) as client:
            person = Person(client.stream, Page(token=token or ""))
            headers = (
                f"X-Forwarded-For: {source}",
                f"User-Agent: {USER_AGENT}",
                f"Origin: http://{self.authority}",
            )
            with trio.move_on_after(ANSWER_LIMIT_S) as limit:
                await person.open("\r\n".join([*headers, ""]).encode())
                if token is not None:
                    await person.come_in()
            if limit.cancelled_caught:
                raise Refused("no answer in time")
            yield person
