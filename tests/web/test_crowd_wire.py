"""The crowd's side of a WebSocket, against wsproto as the other side."""

from __future__ import annotations

import base64
from hashlib import sha1

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Message,
    Ping,
    Request,
    TextMessage,
)
from wsproto.extensions import PerMessageDeflate

from crowd.wire import BINARY, CLOSE, PING, TEXT, MessageReader, WireError, accepted, frame, handshake


def heard_by_a_server(data: bytes) -> list[str | bytes]:
    """The messages that wsproto, as a server, finds in what a client sent."""
    server = Connection(ConnectionType.SERVER)
    server.receive_data(data)
    messages: list[str | bytes] = []
    for event in server.events():
        assert isinstance(event, Message)
        messages.append(event.data)
    return messages


@given(st.lists(st.text(max_size=200), max_size=5))
def test_what_is_sent_is_what_a_server_reads(texts: list[str]) -> None:
    data = b"".join(frame(text.encode()) for text in texts)
    assert "".join(str(part) for part in heard_by_a_server(data)) == "".join(texts)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 4095, 4096, 4097, 65_535, 65_536, 70_001])
def test_every_length_has_its_header(size: int) -> None:
    payload = bytes(n % 127 for n in range(size))
    sent = frame(payload, BINARY)
    assert (
        b"".join(bytes(part) for part in heard_by_a_server(sent) if isinstance(part, bytes | bytearray))
        == payload
    )


def test_a_payload_does_not_go_over_the_wire_as_it_is() -> None:
    payload = b"a payload that would be seen"
    frames = {frame(payload) for _ in range(10)}
    assert len(frames) > 1, "the mask varies"
    assert not any(payload in sent for sent in frames)


@given(
    st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=6),
    st.integers(1, 50),
    st.booleans(),
)
def test_what_a_server_sends_is_read_however_it_is_cut(
    parts: list[tuple[bytes, bool]], step: int, deflate: bool
) -> None:
    """In fragments, with pings between them, compressed, and in pieces of any size."""
    server = Connection(ConnectionType.SERVER, [agreed_deflate()] if deflate else [])
    data, expected, begun = b"", [], b""
    for part, finished in [*parts, (b"end", True)]:
        data += server.send(BytesMessage(part, message_finished=finished)) + server.send(Ping(b"hi"))
        begun += part
        expected.append((PING, b"hi"))
        if finished:
            expected.insert(len(expected) - 1, (BINARY, begun))
            begun = b""
    reader = MessageReader(deflate=deflate)
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert [message for piece in pieces for message in reader.feed(piece)] == expected


def agreed_deflate() -> PerMessageDeflate:
    extension = PerMessageDeflate()
    extension.accept("permessage-deflate; client_max_window_bits")
    return extension


def test_texts_and_the_goodbye_are_told_apart() -> None:
    server = Connection(ConnectionType.SERVER)
    data = server.send(TextMessage("hello")) + server.send(CloseConnection(4503, "restarting"))
    assert MessageReader(deflate=False).feed(data) == [
        (TEXT, b"hello"),
        (CLOSE, (4503).to_bytes(2, "big") + b"restarting"),
    ]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x81\x81aaaax", "masked"),
        (b"\x81\xfe\x00\x80" + bytes(132), "masked"),
        (b"\x80\x01x", "no sense"),
        (b"\x01\x01x\x81\x01y", "no sense"),
        (b"\x83\x01x", "no sense"),
        (b"\x09\x00", "control"),
        (b"\x8b\x00", "control"),
        (b"\xc1\x01x", "no compression"),
    ],
)
def test_what_no_server_may_send_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        MessageReader(deflate=False).feed(data)


@pytest.mark.parametrize("deflate", [True, False])
def test_the_handshake_is_one_that_a_server_accepts(deflate: bool) -> None:
    request, key = handshake("study.example:80", "/ws", deflate=deflate)
    server = WSConnection(ConnectionType.SERVER)
    server.receive_data(request)
    [event] = list(server.events())
    assert isinstance(event, Request)
    assert (event.host, event.target) == ("study.example:80", "/ws")
    headers = dict(event.extra_headers)
    assert headers[b"origin"] == b"http://study.example:80"
    assert headers[b"user-agent"].startswith(b"Mozilla/5.0")
    assert bool(event.extensions) is deflate
    answer = server.send(AcceptConnection(extensions=[PerMessageDeflate()] if deflate else []))
    rest = server.send(TextMessage("hello"))
    assert accepted(answer[:-1], key) is None
    found = accepted(answer + rest, key)
    assert found is not None
    assert found.deflate is deflate
    assert found.size == len(answer)


@pytest.mark.parametrize(
    ("status", "answered_key", "why"),
    [("403 Forbidden", "right", "403"), ("101 Switching Protocols", "wrong", "Sec-WebSocket-Accept")],
)
def test_a_refused_handshake_says_what_came(status: str, answered_key: str, why: str) -> None:
    _, key = handshake("127.0.0.1:8000", "/ws", deflate=False)
    right = base64.b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    accept = right if answered_key == "right" else "x" * 28
    answer = f"HTTP/1.1 {status}\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    with pytest.raises(WireError, match=why):
        accepted(answer.encode(), key)


def test_an_answer_without_an_end_is_not_waited_for() -> None:
    with pytest.raises(WireError, match="no end"):
        accepted(b"x" * 20_000, b"key")
