"""Hostile clients: each is a task that begins to misbehave, reports `started`, and goes on.

They connect directly to the server. The tests check what happens to them, and to others meanwhile.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from tests.faults.server_under_test import ServerUnderTest
from tests.support.person import LIMIT_S, Page, Person, meet
from tests.support.raw_client import BINARY, CONTINUATION, TEXT, UPGRADE, Client, frame_head, open_stream

SMALL = 2048
"""The size of a receive buffer that is soon full."""

PING = json.dumps({"type": "ping", "padding": "x" * 1000}).encode()

Started = trio.TaskStatus[None]


@asynccontextmanager
async def hostile(tested: ServerUnderTest, *, receive_buffer: int | None = None) -> AsyncIterator[Person]:
    """Open a connection to the server, and send nothing yet."""
    assert tested.proxy.target is not None
    stream = await open_stream(tested.proxy.target, receive_buffer=receive_buffer)
    try:
        yield Person(stream, Page())
    finally:
        stream.socket.close()


async def come_in(tested: ServerUnderTest, client: Person) -> None:
    """Become a guest, do the handshake, say hello, and wait for the first state."""
    guest = await trio.to_thread.run_sync(tested.new_guest)
    client.page = Page(guest["user"]["id"], guest["token"])
    await client.open()
    await client.come_in()


async def stalled_reader(tested: ServerUnderTest, task_status: Started = trio.TASK_STATUS_IGNORED) -> None:
    """A person in a session who stops reading their partner's frames, until all network buffers are full.

    When this reports `started`, the connection has just stalled, so the server has not closed it yet.
    """
    async with hostile(tested, receive_buffer=SMALL) as stalled, hostile(tested) as partner:
        for client in (stalled, partner):
            await come_in(tested, client)
        await meet(stalled, partner, subject=f"stalled {random.getrandbits(64)}")
        for _ in range(30):
            await partner.about("signal", data="x" * 8000)
        await partner.say("ping")
        await partner.until("pong")
        task_status.started()
        await trio.sleep_forever()


async def flood_without_reading(
    tested: ServerUnderTest, task_status: Started = trio.TASK_STATUS_IGNORED
) -> None:
    """Send pings without reading the answers, until the server closes the connection."""
    async with hostile(tested, receive_buffer=SMALL) as client:
        await come_in(tested, client)
        task_status.started()
        with suppress(trio.BrokenResourceError):
            while True:
                await client.send_frame(TEXT, PING)


async def silent_peer(tested: ServerUnderTest, task_status: Started = trio.TASK_STATUS_IGNORED) -> None:
    """A person who searches, and then sends nothing more, as after a pulled cable."""
    async with hostile(tested) as client:
        await come_in(tested, client)
        await client.say("search", criteria={"subject": f"nobody else {random.getrandbits(64)}"})
        task_status.started()
        await is_hung_up_on(client)


async def slow_handshake(tested: ServerUnderTest, task_status: Started = trio.TASK_STATUS_IGNORED) -> None:
    """Send the request byte by byte, so slowly that it is never complete."""
    async with hostile(tested) as client:
        task_status.started()
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_drip, client, UPGRADE % (b"/ws", b""))
                await is_hung_up_on(client)
                nursery.cancel_scope.cancel()


async def _drip(client: Client, data: bytes) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        for byte in data[:-1]:
            await client.send(bytes([byte]))
            await trio.sleep(0.3)
    await trio.sleep_forever()


async def never_says_hello(tested: ServerUnderTest, task_status: Started = trio.TASK_STATUS_IGNORED) -> None:
    """Open a WebSocket, and send nothing."""
    async with hostile(tested) as client:
        await client.upgrade("/ws")
        task_status.started()
        assert await client.code() == 4408


async def is_hung_up_on(client: Client) -> None:
    """Wait until the server has ended the connection."""
    with trio.fail_after(LIMIT_S), suppress(trio.BrokenResourceError):
        while await client.stream.receive_some():
            pass


HELLO_FIRST = frozenset({"many malformed frames", "a frame too large", "fragments too large"})
"""Garbage that the server can only recognise after the welcome."""

GARBAGE: dict[str, tuple[bytes, int]] = {
    "a frame too large": (frame_head(TEXT, 70_000), 1009),
    "a frame larger than memory": (frame_head(BINARY, 2**62), 1009),
    "fragments too large": (
        frame_head(TEXT, 40_000, fin=False) + bytes(40_000) + frame_head(CONTINUATION, 40_000),
        1009,
    ),
    "an unknown opcode": (frame_head(5, 1) + b"x", 1002),
    "a frame without a mask": (b"\x81\x02hi", 1002),
    "reserved bits": (frame_head(TEXT, 2, rsv=7) + b"hi", 1002),
    "a ping in fragments": (frame_head(9, 1, fin=False) + b"x", 1002),
    "text that is no UTF-8": (frame_head(TEXT, 2) + b"\xff\xfe", 1007),
    "a frame that is no hello": (frame_head(TEXT, 2) + b"{}", 4400),
    "JSON too deep": (frame_head(TEXT, 60_000) + b"[" * 60_000, 4400),
    "many malformed frames": ((frame_head(TEXT, 2) + b"{]") * 30, 4400),
}
"""Invalid data, and the close code that the server answers with."""


async def send_garbage(tested: ServerUnderTest, what: str) -> int:
    """Send it, and return the server's close code."""
    data, _ = GARBAGE[what]
    async with hostile(tested) as client:
        if what in HELLO_FIRST:
            await come_in(tested, client)
        else:
            await client.upgrade("/ws")
        with suppress(trio.BrokenResourceError):
            await client.send(data)
        return await client.code()


async def send_noise(tested: ServerUnderTest, seed: int) -> None:
    """Send random bytes, before the handshake or after it."""
    chance = random.Random(seed)
    async with hostile(tested) as client:
        if chance.random() < 0.5:
            await client.upgrade("/ws")
        with suppress(trio.BrokenResourceError):
            await client.send(chance.randbytes(chance.randrange(1, 3000)))
            await client.stream.send_eof()
        await is_hung_up_on(client)
