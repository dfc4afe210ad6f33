"""One WebSocket: the handshake, then frames of limited size between the socket and the app.

This is the ordinary path, for any ASGI app. If an app chooses the direct path (`web.server.direct`), this
module only handles the handshake. The server negotiates no extension: with compression, a few kilobytes could
inflate to hundreds of megabytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from http import HTTPStatus
from typing import Any

import trio
from hypercorn.protocol.events import Body, Data, EndBody, Event, Request, Response, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hypercorn.typing import AppWrapper, ASGISendEvent, Scope, WebsocketAcceptEvent
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Message, Ping
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits
from wsproto.utilities import generate_accept_token

from web.server.allowance import FRAMES_A_TURN, OTHER_WEIGHT, Allowance
from web.server.answers import answer_for
from web.server.app_tasks import PeerGoneError
from web.server.config import ServerConfig
from web.server.direct import CHUNK_BYTES
from web.server.frame_boundaries import Cutter
from web.server.opening import Opening
from web.server.overload import OVERLOAD, Overseer
from web.server.text_frames import FINAL_TEXT

Headers = list[tuple[bytes, bytes]]

_HEADER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\r\n\0]*")

FAILED = "web.server.failed"
"""The key in a scope's `extensions` that an app sets when its handler has raised: the close code is 1011."""


class SizeLimit(Extension):
    """Refuses a frame by its header, before any payload is stored, if its message would be too large.

    It is an extension of wsproto, because only extensions see headers; it is never negotiated and changes no
    data.
    """

    name = "size-limit"

    def __init__(self, message_max_bytes: int) -> None:
        self._max = message_max_bytes
        self._message_bytes = 0
        self._is_control = False

    def enabled(self) -> bool:
        """Always True: the client need not agree."""
        return True

    def offer(self) -> bool:
        """Always False: the client never sees it."""
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Checks the size. It counts nothing: wsproto may call it twice for a header that arrives late."""
        self._is_control = opcode.iscontrol()
        if opcode in (Opcode.TEXT, Opcode.BINARY):
            self._message_bytes = 0
        if not self._is_control and self._message_bytes + payload_length > self._max:
            return CloseReason.MESSAGE_TOO_BIG
        return RsvBits(False, False, False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Counts the payload as it arrives."""
        if not self._is_control:
            self._message_bytes += len(data)
        return data


class TrueBytes(bytes):
    """An empty message that is truthy: Quart evaluates `bytes or text`, which would be None."""

    def __bool__(self) -> bool:
        return True


class WebSocket(WSStream):
    """The stream of one WebSocket, from the upgrade request to the end."""

    config: ServerConfig
    _code: int | None = None
    _is_ending = False
    opening: Opening | None = None
    _overseer: Overseer | None = None
    _allowance: Allowance
    _cutter: Cutter

    async def _send_error_response(self, status_code: int) -> None:
        """Refuses the handshake."""
        answer = answer_for(status_code, as_json=False)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        await self.send(Response(stream_id=self.stream_id, status_code=status_code, headers=headers))
        await self.send(Body(stream_id=self.stream_id, data=answer.body))
        await self.send(EndBody(stream_id=self.stream_id))
        self.state = ASGIWebsocketState.HTTPCLOSED

    def _tell_of_overload(self, overseer: Overseer) -> None:
        self._overseer = overseer

    def _offers(self) -> dict[str, Any]:
        """The functions that the app may call, by their keys in its scope's `extensions`."""
        direct = {} if self.opening is None else self.opening.offers()
        return {OVERLOAD: self._tell_of_overload, **direct}

    @property
    def _is_direct(self) -> bool:
        """Whether the WebSocket was accepted on the direct path."""
        return self.opening is not None and self.opening.is_direct

    async def handle(self, event: Event) -> None:
        """Handles the request, data, or the end of the connection."""
        if self.closed:
            return
        match event:
            case Request():
                self.app = partial(_with_offers, self.app, self._offers())
                await super().handle(event)
                del self.app  # it may refer to this stream
                if self.closed:  # the handshake was invalid, and has been refused
                    await self.send(StreamClosed(stream_id=self.stream_id))
            case Body() | Data() if not self.handshake.accepted:
                await self.hang_up(CloseReason.PROTOCOL_ERROR, "data before the handshake", status=400)
            case Body(data=data) | Data(data=data):
                await self._hear(data)
            case StreamClosed():
                self.closed = self._is_ending = True
                self.let_go()
                if self.app_put is not None:
                    await self.app_put({"type": "websocket.disconnect", "code": self._close_code()})

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Sends the app's message. Raises PeerGoneError if the client has disconnected, except for a close.

        On the direct path there is nothing more to send; a framework may still close, as it always does.
        """
        if not self._is_ending and not self._is_direct:
            await super().app_send(self._with_code(message))
        if self._is_ending and message is not None and message["type"] != "websocket.close":
            raise PeerGoneError("the client has gone")

    def let_go(self) -> None:
        """Breaks a cycle after the last read: the generator of wsproto's object refers to that object."""
        if (connection := vars(self).get("connection")) is not None:
            # No public method does this. `web.server.pins` allows only the version of wsproto that has these.
            connection._proto._parse_more = iter(())  # noqa: SLF001

    async def hang_up(self, code: int, reason: str | None, *, status: int = 503) -> None:
        """Sends the reason, tells the app, and ends the connection; before the handshake, sends `status`."""
        if self._is_ending or self._is_direct:
            return
        # Set before the first await, so that the app cannot answer in between.
        self._is_ending = True
        self._code = int(code)
        match self.state:
            case ASGIWebsocketState.HANDSHAKE:
                await self._send_error_response(status)
            case ASGIWebsocketState.CONNECTED:
                await self._send_wsproto_event(CloseConnection(code=code, reason=reason))
        await self.send(StreamClosed(stream_id=self.stream_id))

    def _with_code(self, message: Any) -> Any:
        """The app's message, with the code 1011 if it closes after its handler has raised."""
        is_close = message is not None and message["type"] == "websocket.close"
        if is_close and FAILED in self.scope["extensions"]:
            return {**message, "code": CloseReason.INTERNAL_ERROR}
        return message

    def _close_code(self) -> int:
        """The close code for the app: the one that either side sent, or the code for none."""
        if self._code is not None:
            return self._code
        has_closed = self.state in (ASGIWebsocketState.CLOSED, ASGIWebsocketState.HTTPCLOSED)
        return CloseReason.NORMAL_CLOSURE if has_closed else CloseReason.ABNORMAL_CLOSURE

    async def _accept(self, message: WebsocketAcceptEvent) -> None:
        """As Hypercorn's, but with `SizeLimit` as the only extension; or changes to the direct path."""
        headers = self._answer(message.get("subprotocol"), message.get("headers", []))
        response = Response(
            stream_id=self.stream_id, status_code=HTTPStatus.SWITCHING_PROTOCOLS, headers=headers
        )
        if self.opening is not None and self.opening.is_chosen:
            await self.opening.go_direct(partial(self.send, response))
            return
        self.connection = Connection(ConnectionType.SERVER, [SizeLimit(self.config.limits.message_max_bytes)])
        self._allowance = Allowance(self.config.limits)
        self._cutter = Cutter()
        self.state = ASGIWebsocketState.CONNECTED
        await self.send(response)

    def _answer(self, subprotocol: str | None, additional: Iterable[tuple[bytes, bytes]]) -> Headers:
        """The headers of the acceptance. (Hypercorn's method would negotiate extensions.)

        Raises ValueError for a subprotocol or a header that is not allowed.
        """
        key = self.handshake.key
        assert key is not None, "a handshake without one is not valid"
        headers = [
            (b"sec-websocket-accept", generate_accept_token(key)),
            (b"upgrade", b"WebSocket"),
            (b"connection", b"Upgrade"),
        ]
        if subprotocol is not None:
            if subprotocol not in (self.handshake.subprotocols or ()):
                raise ValueError(f"expected a subprotocol that was offered, and got {subprotocol!r}")
            headers.append((b"sec-websocket-protocol", subprotocol.encode()))
        for name, value in additional:
            if _HEADER.fullmatch(b"%s: %s" % (name, value)) is None or name == b"sec-websocket-protocol":
                raise ValueError(f"expected another header from the app, of one line, and got {name!r}")
            headers.append((name, value))
        self.handshake.accepted = True
        return headers

    async def _hear(self, data: bytes) -> None:
        """Receives frame by frame, within the client's budget; lets other tasks run in between."""
        allowance, heard = self._allowance, 0
        allowance.charge(trio.current_time(), len(data))
        start = 0
        while start < len(data) and not self._is_ending:
            now = trio.current_time()
            is_text = self._cutter.is_between and data[start] == FINAL_TEXT
            weight = 1 if is_text else OTHER_WEIGHT
            if not allowance.take(now, weight):
                await self._be_quiet(now, weight)
                continue
            end = self._cutter.end(data, start)
            self.connection.receive_data(data[start:end])
            await self._handle_events()
            start, heard = end, heard + 1
            if heard % FRAMES_A_TURN == 0:
                await trio.lowlevel.checkpoint()
        if allowance.is_over and len(data) < CHUNK_BYTES:
            allowance.worked_off()

    async def _be_quiet(self, now: float, weight: float) -> None:
        """The client exceeds its budget: wait, or close if it has done so for too long."""
        overseer, allowance = self._overseer, self._allowance
        if allowance.is_flood(now):
            if overseer is not None:
                overseer.flooding()
            await self.hang_up(self.config.limits.flood_code, "too many frames")
            return
        if allowance.is_to_be_told(now) and overseer is not None:
            overseer.too_fast()
        await trio.sleep(allowance.wait_s(now, weight))

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            match event:
                case Message() if self.state is ASGIWebsocketState.CONNECTED:
                    self.buffer.extend(event)
                    if event.message_finished:
                        await self._deliver()
                case Ping():
                    await self._send_wsproto_event(event.response())
                case CloseConnection():
                    await self._end(event)
                    return

    async def _deliver(self) -> None:
        message = self.buffer.to_message()
        self.buffer.clear()
        if message["bytes"] == b"":
            message["bytes"] = TrueBytes()
        assert self.app_put is not None
        await self.app_put(message)

    async def _end(self, event: CloseConnection) -> None:
        """Answer the client's close with the same code; or close with wsproto's code for a violation."""
        reason = event.reason
        if self._overseer is not None:
            self._overseer.closed(event.code)
        if event.code == CloseReason.MESSAGE_TOO_BIG:
            reason = f"a message may have {self.config.limits.message_max_bytes} bytes"
        await self.hang_up(event.code, reason)


async def _with_offers(app: AppWrapper, offers: dict[str, Any], scope: Scope, *channels: Any) -> None:
    """Runs the app with `offers` in its scope's extensions."""
    assert scope["type"] == "websocket"
    scope["extensions"].update(offers)
    await app(scope, *channels)
