"""HTTP/1.1, and no other version, between the bytes of one connection and the app.

Decides which requests are refused before the app sees them, and how long the client may take. There is no
upgrade to HTTP/2: its preface is answered with 505, and an h2c upgrade is ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from http import HTTPStatus
from itertools import chain
from math import ceil, inf
from typing import Any

import h11
import trio
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import Body, EndBody, Request, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.typing import ASGISendEvent

from web.server.addresses import budget_key
from web.server.answers import answer_for, wants_json
from web.server.app_tasks import PeerGoneError
from web.server.config import ServerConfig, logger
from web.server.limits import ServerLimits
from web.server.opening import Opening
from web.server.strict import StrictConnection
from web.server.websocket import Headers, WebSocket

_ORIGIN = re.compile(rb"^https?://[^/?#]+", re.IGNORECASE)

FRAMED_MAX = 4
"""The most bytes on the wire, in multiples of the largest body: chunk framing and trailers count too."""


def path_of(request: h11.Request) -> bytes | None:
    """Path and query of a request, beginning with a slash; None if its target has no valid path.

    A target may be a whole URL (RFC 9112, 3.2.2). A NUL byte is invalid and makes file systems fail.
    """
    target = _ORIGIN.sub(b"", request.target)
    if target.startswith(b"?") or target == b"":
        target = b"/" + target
    return target if target.startswith(b"/") and b"%00" not in target else None


def is_websocket(request: h11.Request, headers: Headers) -> bool | None:
    """Whether a request asks to become a WebSocket; None if it does so in an invalid way."""
    upgrades = [value.strip().lower() for name, value in headers if name == b"upgrade"]
    if b"websocket" not in upgrades:
        return False
    tokens = b",".join([value for name, value in headers if name == b"connection"]).lower().split(b",")
    wants_to = b"upgrade" in [token.strip() for token in tokens]
    is_clear = len(upgrades) == 1 and request.method == b"GET" and wants_to
    odd = [name for name, value in headers if not value.isascii()]
    is_ascii = not any(name == b"connection" or name.startswith(b"sec-websocket-") for name in odd)
    return (is_clear and is_ascii) or None


def refusal(request: h11.Request, headers: Headers, limits: ServerLimits) -> int | None:
    """The status to refuse a request with before the app sees it; None to accept it."""
    if not request.http_version.startswith(b"1."):
        return 505
    if len(request.target) + sum(map(len, chain.from_iterable(headers))) > limits.headers_max_bytes:
        return 431
    if path_of(request) is None or is_websocket(request, headers) is None:
        return 400
    lengths = [int(value) for name, value in headers if name == b"content-length"]
    is_chunked = any(name == b"transfer-encoding" for name, _ in headers)
    if is_chunked and (lengths or request.http_version == b"1.0"):
        return 400  # two lengths: refuse, and close the connection (RFC 9112, 6.1)
    if lengths and max(lengths) > limits.body_max_bytes:
        return 413
    return None


def _switching(headers: Headers) -> bytes:
    """The answer that accepts a WebSocket, written by hand: h11 would take 40 µs for its headers."""
    lines = [b"HTTP/1.1 101 Switching Protocols", *[b"%s: %s" % header for header in headers]]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def _as_json(path: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    accept = b",".join([value for name, value in headers if name == b"accept"])
    return wants_json(path.decode("latin-1"), accept.decode("latin-1"))


class Exchange(HTTPStream):
    """One request and its answer, with a limit to the body."""

    config: ServerConfig
    _body_bytes = 0
    _was_cut_short = False

    async def handle(self, event: StreamEvent) -> None:
        """Handles data from the client; refuses a body that exceeds the limit, with or without a length."""
        match event:
            case Body(data=data) if not self.closed:
                self._body_bytes += len(data)
                if self._body_bytes > self.config.limits.body_max_bytes:
                    await self.refuse(413)
                    return
            case StreamClosed() if self.state is not ASGIHTTPState.CLOSED:
                self._was_cut_short = True
        await super().handle(event)

    async def refuse(self, status: int) -> None:
        """Ends the exchange, with this status unless the answer has begun."""
        self._was_cut_short = True
        if self.state is ASGIHTTPState.REQUEST:
            await self._send_error_response(status)
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_error_response(self, status_code: int) -> None:
        """Answers instead of the app, and closes the connection."""
        as_json = _as_json(self.scope["raw_path"], self.scope["headers"])
        answer = answer_for(status_code, as_json=as_json)
        headers = [*answer.raw_headers, (b"connection", b"close")]
        await self.send(Response(stream_id=self.stream_id, status_code=status_code, headers=headers))
        if self.scope["method"] != "HEAD":
            await self.send(Body(stream_id=self.stream_id, data=answer.body))
        await self.send(EndBody(stream_id=self.stream_id))
        self.state = ASGIHTTPState.CLOSED

    async def app_send(self, message: ASGISendEvent | None) -> None:
        """Sends the app's message. Raises PeerGoneError if the exchange was cut short."""
        if not self._was_cut_short:
            await super().app_send(message)
        if self._was_cut_short and message is not None:
            raise PeerGoneError("the client has gone")


class Http1(H11Protocol):
    """The protocol of one connection. It passes what it sends to `send`, as events of Hypercorn and ours."""

    config: ServerConfig
    _request_began: float | None
    _rests_since: float

    def __init__(self, *args: Any, new_opening: Callable[[], Opening | None]) -> None:
        super().__init__(*args)
        self._new_opening = new_opening
        self._received_bytes = 0
        self.connection = StrictConnection(max_incomplete_event_size=self.config.limits.headers_max_bytes)

    async def initiate(self) -> None:
        """The client has connected: its first request is due."""
        self._request_began = self._rests_since = trio.current_time()

    def read_deadline(self) -> float:
        """The time on trio's clock at which the next bytes are overdue; inf while the app has to act."""
        if isinstance(self.connection, H11WSConnection):
            return trio.current_time() + self.config.limits.read_limit_s
        if self.connection.their_state not in (h11.IDLE, h11.SEND_BODY):
            return inf
        if self._request_began is None:
            return self._rests_since + self.config.limits.keep_alive_s
        return self._request_began + self.config.limits.request_limit_s

    @property
    def awaits_client(self) -> bool:
        """Whether the next bytes come from the client, and the connection is not a WebSocket."""
        return not isinstance(self.connection, H11WSConnection) and self.read_deadline() != inf

    async def handle(self, event: Event) -> None:
        """Handles bytes from the client, or its disconnect."""
        if isinstance(event, RawData) and self._request_began is None:
            self._request_began = trio.current_time()
        if isinstance(event, RawData) and isinstance(self.stream, Exchange):
            self._received_bytes += len(event.data)
            if self._received_bytes > FRAMED_MAX * self.config.limits.body_max_bytes:
                await self.stream.refuse(413)
                return
        await super().handle(event)

    def let_go(self) -> None:
        """The connection has ended: breaks the reference cycle with the stream, which sends through this.

        So the memory is freed at once, and not by the next garbage collection.
        """
        if isinstance(self.stream, WebSocket):
            self.stream.let_go()
        self.stream = None

    async def time_out(self) -> None:
        """The next bytes are overdue: ends the connection, and tells the client why if it may be reading."""
        match self.stream:
            case WebSocket() as websocket:
                await websocket.hang_up(1001, f"nothing was heard for {self.config.limits.read_limit_s:g} s")
            case Exchange() as exchange:
                await exchange.refuse(408)
            case None:
                if self.connection.trailing_data[0]:
                    await self._send_error_response(408)
                await self.send(Closed())

    async def go_away(self) -> None:
        """The server stops: ends the connection, or lets an open request finish, which then ends it."""
        match self.stream:
            case WebSocket() as websocket:
                await websocket.hang_up(1001, "the server is stopping")
            case None:
                await self.send(Closed())

    async def stream_send(self, event: StreamEvent) -> None:
        """Sends for the stream; says `connection: close` in the last answer, and the date once."""
        if isinstance(event, Response):
            ours = {b"date"}  # Hypercorn adds a second one if the app has set it
            if self.context.terminated.is_set() and event.status_code >= 200:
                ours.add(b"connection")
            headers = [(name, value) for name, value in event.headers if name.lower() not in ours]
            if b"connection" in ours:
                headers.append((b"connection", b"close"))
            if event.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                await self.send(RawData(_switching(headers + self.config.response_headers("h11"))))
                return
            event = replace(event, headers=headers)
        await super().stream_send(event)

    async def _check_protocol(self, event: h11.Request) -> None:
        """Does nothing: Hypercorn's method would switch to HTTP/2 here."""

    async def _send_error_response(
        self, status_code: int, request: h11.Request | None = None, more: Iterable[tuple[str, str]] = ()
    ) -> None:
        """Answers a request that is malformed or withheld from the app; the connection has to be closed."""
        as_json = request is not None and _as_json(request.target, request.headers)
        answer = answer_for(status_code, as_json=as_json, more=more)
        headers = [*answer.raw_headers, (b"connection", b"close"), *self.config.response_headers("h11")]
        await self._send_h11_event(h11.Response(status_code=status_code, headers=headers))
        if request is None or request.method != b"HEAD":
            await self._send_h11_event(h11.Data(data=answer.body))
        await self._send_h11_event(h11.EndOfMessage())

    async def _maybe_recycle(self) -> None:
        self._request_began = None
        self._received_bytes = 0
        self._rests_since = trio.current_time()
        await super()._maybe_recycle()

    def _client_of(self, headers: Headers) -> tuple[str, int] | None:
        """The client of a request: the peer, or the one that a trusted proxy names."""
        if self.client is None:
            return None
        peer, port = self.client
        forwarded = [value for name, value in headers if name == b"x-forwarded-for"]
        return self.config.proxies.client_of(peer, forwarded), port

    async def _create_stream(self, request: h11.Request) -> None:
        """As Hypercorn's, but checks the request first, and uses our streams."""
        headers = list(request.headers)  # h11's sequence is slow to iterate over
        status = refusal(request, headers, self.config.limits)
        if status is not None:
            await self._send_error_response(status, request)
            await self.send(Closed())
            return
        client = self._client_of(headers)
        key = None if client is None else budget_key(client[0])
        if wait_s := self.config.admission.requests_s(key, trio.current_time()):
            logger.warning("a request was refused: too many of one address")
            more = [("Retry-After", str(ceil(wait_s)))]
            await self._send_error_response(429, request, more)
            await self.send(Closed())
            return
        stream_class = WebSocket if is_websocket(request, headers) else Exchange
        self.stream = stream_class(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        if isinstance(self.stream, WebSocket):
            self.stream.opening = self._new_opening()
            assert isinstance(self.connection, h11.Connection)
            self.connection = H11WSConnection(self.connection)
        path = path_of(request)
        assert path is not None, "refused above"
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=headers,
                http_version=request.http_version.decode(),
                method=request.method.decode("ascii").upper(),
                raw_path=path,
                state=self.connection_state,
            )
        )
        self.keep_alive_requests += 1
