"""The client side of the WebSocket format (RFC 6455): handshake, masked frames, and a message parser.

Pure functions and one small parser; no socket, no clock. It is written for speed, because a load generator
must cost far less than the server it measures. Masks are drawn once for the process and used in turn: they
protect proxies, not the server.
"""

from __future__ import annotations

import base64
import os
import zlib
from dataclasses import dataclass
from hashlib import sha1
from itertools import cycle

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_CONTINUATION = 0x0
_FIN, _RSV1 = 0x80, 0x40
_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_DEFLATE_OFFER = "permessage-deflate; client_max_window_bits"
_DEFLATE_TAIL = b"\x00\x00\xff\xff"
_HEAD_MAX_BYTES = 16 * 1024

USER_AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
"""The user agent of a current browser; its length matters, because servers store it."""


class WireError(Exception):
    """The server violated the WebSocket protocol. The text says how."""


class ForbiddenError(WireError):
    """The server refuses pages of this origin (403); trying again is useless."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server's answer to a handshake: its length in bytes, and whether compression was agreed."""

    size: int
    deflate: bool


def handshake(host: str, path: str, *, deflate: bool, origin: str | None = None) -> tuple[bytes, bytes]:
    """The upgrade request of a browser to `host` (with the port), and its `Sec-WebSocket-Key`.

    `origin` is the origin of the page; None: ``http://`` and `host`.
    """
    key = base64.b64encode(os.urandom(16))
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Connection: Upgrade",
        "Pragma: no-cache",
        "Cache-Control: no-cache",
        f"User-Agent: {USER_AGENT}",
        "Upgrade: websocket",
        f"Origin: {origin or f'http://{host}'}",
        "Sec-WebSocket-Version: 13",
        "Accept-Encoding: gzip, deflate, br, zstd",
        "Accept-Language: en-GB,en;q=0.9",
        f"Sec-WebSocket-Key: {key.decode()}",
    ]
    if deflate:
        lines.append(f"Sec-WebSocket-Extensions: {_DEFLATE_OFFER}")
    return "\r\n".join([*lines, "", ""]).encode(), key


def accepted(data: bytes, key: bytes) -> Accepted | None:
    """Read the answer to a handshake; None while it is incomplete.

    Raises:
        ForbiddenError: the server refuses for good.
        WireError: the answer is another refusal, or does not match `key`.
    """
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end:
        if len(data) > _HEAD_MAX_BYTES:
            raise WireError("the answer to the handshake has no end")
        return None
    status, *lines = head.decode("latin-1").split("\r\n")
    if status.split(" ")[1:2] == ["403"]:
        raise ForbiddenError(f"expected status 101, got {status!r}: is --origin one that the server allows?")
    if status.split(" ")[1:2] != ["101"]:
        raise WireError(f"expected status 101, got {status!r}")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
    }
    expected = base64.b64encode(sha1(key + _MAGIC).digest()).decode()
    if headers.get("sec-websocket-accept") != expected:
        raise WireError(
            f"expected Sec-WebSocket-Accept {expected}, got {headers.get('sec-websocket-accept')}"
        )
    deflate = headers.get("sec-websocket-extensions", "").startswith("permessage-deflate")
    return Accepted(len(head) + len(end), deflate)


_MASK_FRAMES_BYTES = 4096
_masks = cycle(
    [
        (key, int.from_bytes(key * (_MASK_FRAMES_BYTES // 4), "little"))
        for key in (os.urandom(4) for _ in range(61))
    ]
)


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """`payload` as one masked frame."""
    size = len(payload)
    key, pattern = next(_masks)
    if size > _MASK_FRAMES_BYTES:
        pattern = int.from_bytes((key * (size // 4 + 1))[:size], "little")
    else:
        pattern &= (1 << 8 * size) - 1
    masked = (int.from_bytes(payload, "little") ^ pattern).to_bytes(size, "little")
    first = _FIN | opcode
    if size < 126:
        return b"%c%c%b%b" % (first, 0x80 | size, key, masked)
    if size < 65536:
        return b"%c\xfe%b%b%b" % (first, size.to_bytes(2, "big"), key, masked)
    return b"%c\xff%b%b%b" % (first, size.to_bytes(8, "big"), key, masked)


class MessageReader:
    """Parses the bytes of one connection after its handshake into messages."""

    __slots__ = ("_inflater", "_opcode", "_parts", "_rest")

    def __init__(self, *, deflate: bool) -> None:
        self._rest = b""
        self._opcode = 0
        self._parts: list[bytes] | None = None
        self._inflater = zlib.decompressobj(-15) if deflate else None

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that `data` completes, as opcode and payload.

        Raises:
            WireError: a masked or reserved frame, or a continuation without a beginning.
        """
        if self._rest:
            data = self._rest + data
        messages: list[tuple[int, bytes]] = []
        at, size = 0, len(data)
        while size - at >= 2:
            first, length = data[at], data[at + 1]
            start = at + 2
            if length >= 126:
                if length & 0x80:
                    raise WireError("a frame of the server is masked")
                start += 2 if length == 126 else 8
                if start > size:
                    break
                length = int.from_bytes(data[at + 2 : start], "big")
            end = start + length
            if end > size:
                break
            if first == _FIN | TEXT and self._parts is None:
                messages.append((TEXT, data[start:end]))
            else:
                self._take(first, data[start:end], messages)
            at = end
        self._rest = data[at:]
        return messages

    def _take(self, first: int, payload: bytes, messages: list[tuple[int, bytes]]) -> None:
        """Handle a frame that is not an uncompressed, unfragmented text."""
        opcode = first & 0x0F
        if opcode >= CLOSE:
            if not first & _FIN or opcode > PONG:
                raise WireError(f"a control frame begins with {first:#04x}")
            messages.append((opcode, payload))
            return
        if opcode > BINARY or (opcode == _CONTINUATION) != (self._parts is not None):
            raise WireError(f"a frame begins with {first:#04x} where that makes no sense")
        if opcode != _CONTINUATION:
            self._opcode = opcode | (first & _RSV1)
            self._parts = []
        assert self._parts is not None
        self._parts.append(payload)
        if first & _FIN:
            messages.append((self._opcode & 0x0F, self._whole()))

    def _whole(self) -> bytes:
        assert self._parts is not None
        payload = b"".join(self._parts)
        self._parts = None
        if not self._opcode & _RSV1:
            return payload
        if self._inflater is None:
            raise WireError("a compressed message where no compression was agreed")
        return self._inflater.decompress(payload + _DEFLATE_TAIL)
