"""A raw client: one connection that can send any bytes, valid or not, and reads what is answered."""

from __future__ import annotations

import socket
import struct

import trio

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bKdPyn3u98cTfZJSh4TNeQ==\r\n%s\r\n"
)


class Client:
    """One raw connection. It masks frames with zeros, which is valid and simple."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._seen = bytearray()

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read(self, size: int) -> bytes:
        """Read exactly `size` bytes; fails at the end of file."""
        while len(self._seen) < size:
            data = await self.stream.receive_some()
            assert data, f"the server closed after {bytes(self._seen)!r}"
            self._seen += data
        taken = bytes(self._seen[:size])
        del self._seen[:size]
        return taken

    async def read_to_end(self) -> bytes:
        """Read until the end of file. A reset raises `trio.BrokenResourceError`."""
        while data := await self.stream.receive_some():
            self._seen += data
        taken = bytes(self._seen)
        self._seen.clear()
        return taken

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read the status and headers of an answer."""
        while b"\r\n\r\n" not in self._seen:
            data = await self.stream.receive_some()
            assert data, f"the server closed after {bytes(self._seen)!r}"
            self._seen += data
        head, _, rest = bytes(self._seen).partition(b"\r\n\r\n")
        self._seen = bytearray(rest)
        first, *lines = head.decode("latin1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        headers = {name.lower(): value for name, value in pairs}
        assert len(headers) == len(pairs), f"a header twice in {pairs}"
        return int(first.split(" ")[1]), headers

    async def request(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request; returns status, headers and body of the answer."""
        await self.send(data)
        status, headers = await self.head()
        return status, headers, await self.read(int(headers["content-length"]))

    async def get(self, path: str = "/") -> tuple[int, bytes]:
        status, _, body = await self.request(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        return status, body

    async def upgrade(self, path: str = "/echo", headers: bytes = b"") -> dict[str, str]:
        """Do the WebSocket handshake; returns the headers of the answer."""
        await self.send(UPGRADE % (path.encode(), headers))
        status, answer = await self.head()
        assert status == 101
        return answer

    async def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        await self.send(frame_head(opcode, len(payload), fin=fin, rsv=rsv) + payload)

    async def frame(self) -> tuple[int, bytes]:
        """Read the opcode and payload of the next frame, which must be unfragmented."""
        first, size = await self.read(2)
        assert first & 0xF0 == 0x80, "expected a frame that is final and without extensions"
        if size == 126:
            (size,) = struct.unpack("!H", await self.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.read(8))
        return first & 0xF, await self.read(size)

    async def close_code(self) -> int:
        """Read a close frame, which must come next and be followed by end of file; returns its code."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, f"expected a close frame and got {(opcode, payload[:80])}"
        assert await self.read_to_end() == b""
        (code,) = struct.unpack("!H", payload[:2])
        return int(code)

    def reset(self) -> None:
        """Close with a reset."""
        self.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.stream.socket.close()


def frame_head(opcode: int, size: int, *, fin: bool = True, rsv: int = 0) -> bytes:
    """The header of a masked frame whose payload has `size` bytes."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if size < 126:
        return bytes([first, 0x80 | size]) + bytes(4)
    if size < 65_536:
        return bytes([first, 0xFE]) + struct.pack("!H", size) + bytes(4)
    return bytes([first, 0xFF]) + struct.pack("!Q", size) + bytes(4)
