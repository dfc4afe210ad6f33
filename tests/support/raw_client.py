"""A raw client: one connection that can send any bytes, valid or not, and reads what is answered."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import trio

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTINUATION = 0

UPGRADE = (
    b"GET %s HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bKdPyn3u98cTfZJSh4TNeQ==\r\n%s\r\n"
)


class Refused(Exception):  # noqa: N818
    """The server refuses a connection or a request; the text is the reason."""


class Closed(Exception):  # noqa: N818
    """The connection has ended. `code` is its close code, or 1006 if it ended without one."""

    def __init__(self, code: int = 1006, why: str = "") -> None:
        super().__init__(code, why)
        self.code = code


async def open_stream(address: tuple[str, int], *, receive_buffer: int | None = None) -> trio.SocketStream:
    """Connect to host and port; with a small receive buffer (bytes) it is soon full.

    Raises:
        OSError: the server does not listen.
    """
    sock = trio.socket.socket()
    try:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return trio.SocketStream(sock)


class Client:
    """One raw connection. It masks frames with zeros, which is valid and simple."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._seen = bytearray()

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read(self, size: int) -> bytes:
        """Read exactly `size` bytes.

        Raises:
            Closed: the server has closed before.
        """
        await self._receive(lambda: len(self._seen) >= size)
        taken = bytes(self._seen[:size])
        del self._seen[:size]
        return taken

    async def _receive(self, is_enough: Callable[[], bool]) -> None:
        """Receive until there is enough. What has been received stays, if this is cancelled."""
        while not is_enough():
            data = await self.stream.receive_some()
            if not data:
                raise Closed(why=f"after {bytes(self._seen)!r}")
            self._seen += data

    async def read_to_end(self) -> bytes:
        """Read until the end of file. A reset raises `trio.BrokenResourceError`."""
        while data := await self.stream.receive_some():
            self._seen += data
        taken = bytes(self._seen)
        self._seen.clear()
        return taken

    async def head(self) -> tuple[int, dict[str, str]]:
        """Read the status and headers of an answer."""
        await self._receive(lambda: b"\r\n\r\n" in self._seen)
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
        return status, headers, await self.read(int(headers.get("content-length", 0)))

    async def get(self, path: str = "/") -> tuple[int, bytes]:
        status, _, body = await self.request(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        return status, body

    async def upgrade(
        self, path: str = "/echo", headers: bytes = b"", *, host: str = "test"
    ) -> dict[str, str]:
        """Do the WebSocket handshake; returns the headers of the answer.

        Raises:
            Refused: the server answers with another status.
        """
        request = UPGRADE % (path.encode(), headers)
        await self.send(request.replace(b"Host: test", f"Host: {host}".encode()))
        status, answer = await self.head()
        if status != 101:
            raise Refused(f"status {status}")
        return answer

    async def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        await self.send(frame_head(opcode, len(payload), fin=fin, rsv=rsv) + payload)

    async def frame(self) -> tuple[int, bytes]:
        """Read the opcode and payload of the next frame, which must be unfragmented.

        Raises:
            Closed: the server has closed before.
        """
        await self._receive(lambda: len(self._seen) >= 2)
        first, size = self._seen[:2]
        assert first & 0xF0 == 0x80, "expected a frame that is final and without extensions"
        head = {126: 4, 127: 10}.get(size, 2)
        if head > 2:
            await self._receive(lambda: len(self._seen) >= head)
            size = int.from_bytes(self._seen[2:head], "big")
        return first & 0xF, (await self.read(head + size))[head:]

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
