"""However frames are cut into packets, and whoever reads them: what is heard is what was said."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, pairwise
from math import inf

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from actors.rate import Rate
from tests.support.raw_client import CONTINUATION, PING, PONG, TEXT, frame_head
from web.server import ServerLimits
from web.server.direct import READABLE, DirectSocket
from web.server.framing import Framing
from web.server.outgoing import text_head
from web.server.text_frames import whole_text

BINARY = 2

texts = st.text(max_size=140).map(str.encode)
lengths = st.sampled_from([125, 126, 127, 65_535, 65_536])


@dataclass
class Said:
    """A piece of what a client sends, with the message and the pong that it makes."""

    data: bytes
    heard: str | bytes | None = None
    pong: bytes | None = None


def masked(opcode: int, payload: bytes, mask: bytes, *, fin: bool = True) -> bytes:
    head = frame_head(opcode, len(payload), fin=fin)[:-4]
    return head + mask + bytes(byte ^ key for byte, key in zip(payload, cycle(mask), strict=False))


@st.composite
def said(draw: st.DrawFn) -> Said:
    """Mostly whole texts, some of which look like the beginning of another frame once they are masked."""
    frame = partial(masked, mask=draw(st.one_of(st.binary(min_size=4, max_size=4), st.just(b"\x81\x83\0\0"))))
    match draw(st.sampled_from(["text", "text", "long", "binary", "ping", "parts"])):
        case "text":
            text = draw(texts)
            return Said(frame(TEXT, text), heard=text.decode())
        case "long":
            text = b"x" * draw(lengths)
            return Said(frame_head(TEXT, len(text)) + text, heard=text.decode())
        case "binary":
            payload = draw(st.binary(max_size=20))
            return Said(frame(BINARY, payload), heard=payload)
        case "ping":
            payload = draw(st.binary(max_size=20))
            return Said(frame(PING, payload), pong=payload)
        case _:
            first, last, ping = draw(texts), draw(texts), draw(st.binary(max_size=5))
            data = (
                frame(TEXT, first, fin=False)
                + frame(PING, ping)
                + frame(CONTINUATION, b"", fin=False)
                + frame(CONTINUATION, last)
            )
            return Said(data, heard=(first + last).decode(), pong=ping)


class Listener:
    """A receiver that has had enough for the moment after every so many messages."""

    deadline = inf
    is_established = True

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self.has_enough = False
        self.heard_of: list[str | bytes] = []
        self.socket: DirectSocket

    def opened(self, socket: DirectSocket) -> None:
        self.socket = socket

    def heard(self, message: str | bytes, now: float) -> None:
        assert not self.has_enough, "nothing is heard during a pause"
        self.heard_of.append(message)
        if len(self.heard_of) % self._patience == 0:
            self.has_enough = True
            self.socket.pause()

    def go_on(self) -> None:
        while self.has_enough:
            self.has_enough = False
            self.socket.resume()

    def too_fast(self) -> None:
        raise AssertionError("the budget is large")

    def closed(self, code: int) -> None: ...

    def flooding(self) -> None:
        raise AssertionError("the budget is large")

    def overdue(self) -> None:
        raise AssertionError("there is no deadline")

    def gone(self) -> None:
        raise AssertionError("the connection stays open")


class NoPoller:
    """Watches nothing: the test says when there is something to read, and lets who had their share go on."""

    def __init__(self) -> None:
        self._waiting: list[DirectSocket] = []

    def watch(self, socket: DirectSocket, events: int) -> None: ...
    def schedule(self, socket: DirectSocket) -> None: ...
    def forget(self, socket: DirectSocket) -> None: ...

    def again(self, socket: DirectSocket) -> None:
        self._waiting.append(socket)

    def give_turns(self) -> None:
        while self._waiting:
            self._waiting.pop().take_turn(trio.current_time())


LIMITS = ServerLimits(message_max_bytes=70_000, frames=Rate(1e6, 1e6))


@contextmanager
def a_line(
    listener: Listener, limits: ServerLimits = LIMITS, poller: NoPoller | None = None
) -> Iterator[tuple[socket.socket, DirectSocket]]:
    """The client's end, and ours."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        ours.setblocking(False)
        theirs.setblocking(False)
        direct = DirectSocket(ours, poller or NoPoller(), limits, listener)
        direct.open(b"")
        yield theirs, direct


@given(pieces=st.lists(said(), max_size=8), cuts=st.lists(st.integers(0, 2000)), patience=st.integers(1, 4))
def test_what_is_heard_is_what_was_said(pieces: list[Said], cuts: list[int], patience: int) -> None:
    data = b"".join(piece.data for piece in pieces)
    listener = Listener(patience)

    poller = NoPoller()

    async def talk() -> bytes:
        with a_line(listener, poller=poller) as (client, direct):
            for start, end in pairwise([0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]):
                client.sendall(data[start:end])
                for _ in range(start, end, 16_384):
                    direct.ready(READABLE, trio.current_time())
                    listener.go_on()
                    poller.give_turns()
                    listener.go_on()
            direct.send([b"the end"])
            return client.recv(10_000)

    answers = trio.run(talk)
    assert listener.heard_of == [piece.heard for piece in pieces if piece.heard is not None]
    pongs = b"".join(
        bytes((0x80 | PONG, len(piece.pong))) + piece.pong for piece in pieces if piece.pong is not None
    )
    assert answers == pongs + text_head(7) + b"the end"


def test_a_head_that_comes_alone_is_remembered_though_the_rest_looks_like_a_frame() -> None:
    frame = masked(TEXT, b"hello", b"\x81\x83\0\0")
    assert whole_text(frame[2:], 0) is not None
    listener = Listener(patience=10)
    with a_line(listener) as (client, direct):
        for part in (frame[:2], frame[2:]):
            client.sendall(part)
            direct.ready(READABLE, 0)
    assert listener.heard_of == ["hello"]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535])
def test_whole_texts_are_read_one_after_the_other(size: int) -> None:
    first, second = os.urandom(size), b"and on"
    data = masked(TEXT, first, b"mask") + masked(TEXT, second, b"\1\2\3\4")
    found = whole_text(data, 0)
    assert found is not None
    assert found[0] == first
    assert whole_text(data, found[1]) == (second, len(data))
    assert whole_text(data, len(data)) is None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 300])
def test_a_text_that_has_not_come_whole_is_none(size: int) -> None:
    data = masked(TEXT, b"x" * size, b"mask")
    assert all(whole_text(data[:end], 0) is None for end in range(len(data)))


OTHERS = {
    "binary": masked(BINARY, b"x", b"mask"),
    "a fragment": masked(TEXT, b"x", b"mask", fin=False),
    "a reserved bit": frame_head(TEXT, 1, rsv=4) + b"x",
    "unmasked": b"\x81\x05hello",
    "a length not in its shortest form": b"\x81\xfe\x00\x01mask" + b"x",
    "more than 64 KiB": frame_head(TEXT, 65_536) + bytes(65_536),
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS.keys())
def test_whatever_else_there_is_is_none(data: bytes) -> None:
    assert whole_text(data, 0) is None


def test_the_library_is_let_go_between_messages_and_not_before() -> None:
    framing = Framing(message_max_bytes=1000)
    data = masked(TEXT, b"one ", b"mask", fin=False) + masked(CONTINUATION, b"two", b"mask")
    for place in range(len(data) - 1):
        byte = data[place : place + 1]
        assert framing.end(byte, 0) == 1
        assert framing.receive(byte) is None
        assert not framing.is_idle
    assert framing.end(data, len(data) - 1) == len(data)
    assert framing.receive(data[-1:]) == (TEXT, b"one two")
    assert framing.is_idle
    framing.close(1000, "")
    assert not framing.is_idle
