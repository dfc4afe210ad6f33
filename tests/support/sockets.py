"""A client's WebSocket that may fail at any moment; its stream is always closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

HANDSHAKE_LIMIT_S = 8.0


@asynccontextmanager
async def open_socket(
    address: tuple[str, int], host: str = "study.example"
) -> AsyncIterator[WebSocketConnection | None]:
    """A WebSocket to `address`, which ends without a close frame.

    None if the server does not listen, or the handshake fails or is too slow. `trio_websocket.open_websocket`
    leaves the stream open when the handshake fails, and at the end waits for a close frame that is never
    read; so this function owns the stream.
    """
    try:
        stream = await trio.open_tcp_stream(*address)
    except OSError:
        yield None
        return
    try:
        async with trio.open_nursery() as nursery:
            yield await _shake_hands(nursery, stream, host)
            nursery.cancel_scope.cancel()
    finally:
        stream.socket.close()


async def _shake_hands(
    nursery: trio.Nursery, stream: trio.SocketStream, host: str
) -> WebSocketConnection | None:
    with trio.move_on_after(HANDSHAKE_LIMIT_S) as handshake:
        try:
            return await wrap_client_stream(nursery, Watched(stream, handshake), host, "/ws")  # type: ignore[arg-type]
        except (HandshakeError, ConnectionClosed):
            return None
    return None


class Watched(trio.abc.Stream):
    """The stream of a connection, which cancels the `handshake` when it breaks.

    trio-websocket itself would wait without limit.
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
