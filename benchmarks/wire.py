"""Measures the cost of a frame: parsed by several libraries, and echoed on both paths of the server.

    python -m benchmarks.wire

The first table is the CPU for parsing one masked text frame and decoding its text. The second is the server's
CPU per echo of 300 bytes over loopback, with 256 connections that each wait for one echo. Both tables are
written to benchmarks/results/wire.md.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from selectors import EVENT_READ, DefaultSelector
from statistics import median

import click
import trio
from websockets.frames import Frame
from websockets.protocol import SERVER, Protocol
from wsproto.connection import Connection as WsprotoConnection
from wsproto.connection import ConnectionType
from wsproto.events import TextMessage

from benchmarks.pages import RESULTS, head, row
from tests.support.echo import DirectEcho, direct_app, echo_app, serving
from tests.support.raw_client import TEXT, UPGRADE, frame_head
from web.server.text_frames import whole_text

SIZES = (40, 600, 2400)
"""Sizes of a frame in bytes: a report, a batch of candidates, an offer."""

READS = 20_000
ROUNDS = 5
CLIENTS = 256
ECHOES = 20_000


def masked(payload: bytes) -> bytes:
    """A client's text frame, with a random mask."""
    mask = os.urandom(4)
    begin = frame_head(TEXT, len(payload))[:-4]
    return begin + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def by_wsproto() -> Callable[[bytes], str]:
    connection = WsprotoConnection(ConnectionType.SERVER)

    def read(data: bytes) -> str:
        connection.receive_data(data)
        [event] = connection.events()
        assert isinstance(event, TextMessage)
        return event.data

    return read


def by_websockets() -> Callable[[bytes], str]:
    protocol = Protocol(SERVER)

    def read(data: bytes) -> str:
        protocol.receive_data(data)
        [event] = protocol.events_received()
        assert isinstance(event, Frame)
        return str(event.data, "utf-8")

    return read


def by_hand() -> Callable[[bytes], str]:
    def read(data: bytes) -> str:
        found = whole_text(data, 0)
        assert found is not None
        return found[0].decode()

    return read


READERS = {
    "wsproto": by_wsproto,
    "websockets, its sans-I/O core": by_websockets,
    "a whole text by hand, masks by websockets": by_hand,
}


def cost_of_reading(read: Callable[[bytes], str], data: bytes) -> float:
    """CPU seconds per frame: the minimum of several rounds, because other work only adds to it."""
    costs = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(READS):
            read(data)
        costs.append((time.process_time() - began) / READS)
    return min(costs)


def clients(port: int, control: Connection) -> None:
    """Connect, wait for `control`, exchange the echoes, and report the end. Runs in a separate process."""
    frame = masked(b"x" * 300)
    selector = DefaultSelector()
    sockets = []
    for _ in range(CLIENTS):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(UPGRADE % (b"/echo", b""))
        while b"\r\n\r\n" not in client.recv(4096, socket.MSG_PEEK):
            pass
        client.recv(4096)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(client, EVENT_READ)
        sockets.append(client)
    control.send("connected")
    control.recv()
    for client in sockets:
        client.sendall(frame)
    echoes = 0
    while echoes < ECHOES:
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.recv(4096)
            key.fileobj.sendall(frame)
            echoes += 1
    control.send("done")


async def cost_of_an_echo(*, direct: bool) -> float:
    """CPU seconds of the server per echo."""
    app = direct_app(DirectEcho) if direct else echo_app()
    async with serving(app) as served:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(target=clients, args=(served.port, theirs))
        process.start()
        try:
            await trio.to_thread.run_sync(ours.recv)
            began = time.process_time()
            ours.send("go")
            await trio.to_thread.run_sync(ours.recv)
            return (time.process_time() - began) / ECHOES
        finally:
            await trio.to_thread.run_sync(partial(process.join, 10))
            process.kill()


PATHS = {"on the ordinary path (Quart-trio, Hypercorn, our limits)": False, "on the direct path": True}
"""The paths of the server, by title: whether frames go directly to a person's actor."""

PAGE = RESULTS / "wire.md"
HEAD = """\
<!-- made by python -m benchmarks.wire -->

# The cost of a frame

CPU for parsing one masked text frame, by library, and the server's CPU per echo of 300 bytes.

"""


def page(reading: Mapping[str, Sequence[float]], echoing: Mapping[str, float]) -> str:
    """The text of the page, from CPU seconds: of reading by size, and of an echo by path."""
    lines = head(["reading a text of", *(f"{size} bytes" for size in SIZES)])
    lines += [row([name, *(f"{1e6 * cost:.1f} µs" for cost in costs)]) for name, costs in reading.items()]
    lines += ["", *head(["an echo of 300 bytes", "CPU of the server"])]
    lines += [row([name, f"{1e6 * cost:.0f} µs"]) for name, cost in echoing.items()]
    return HEAD + "\n".join(lines) + "\n"


def main() -> None:
    """Measure, write the page and print it."""
    reading = {
        name: [cost_of_reading(reader(), masked(b"x" * size)) for size in SIZES]
        for name, reader in READERS.items()
    }
    echoing = {
        name: median(trio.run(partial(cost_of_an_echo, direct=direct)) for _ in range(3))
        for name, direct in PATHS.items()
    }
    text = page(reading, echoing)
    PAGE.write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
