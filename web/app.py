"""The Quart-trio app: the routes for the page, guests, the count of people, health and the WebSocket.

It checks the origin and the limits of a request, and passes it to `web.reception` and the hall.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from math import ceil
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio
from hypercorn.typing import HTTPScope, WebsocketScope
from quart import Response, jsonify, request, websocket
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio

from actors import Journal
from studymatch.rules import sentences
from studymatch.rules.names import accept_name
from studymatch.settings.origins import read_origin
from web.build import this_build
from web.front_page import FrontPage
from web.identity import Identities
from web.openapi import DESCRIPTION
from web.quart_app import App
from web.reception import Reception
from web.server import DIRECT, OVERLOAD, budget_key
from web.server.answers import SECURITY_HEADERS
from web.static_files import begin_answer

REFUSALS = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
"""Statuses that are logged, so that an operator can see why a client was refused."""

BODY_MAX_BYTES = 4096
"""The largest request body: the only POST request has a guest's name."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)

PAGE_HEADERS = SECURITY_HEADERS | {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), display-capture=()",
}
"""Only the document has `Permissions-Policy`: the dozens of other responses of a visit do not need it."""


class QuartSocket:
    """The WebSocket of the present Quart context, as `web.reception.AsgiSocket`."""

    async def receive(self) -> str | bytes | None:
        """The next message. When the browser has disconnected, Quart cancels the handler."""
        message: str | bytes | None = await websocket.receive()
        return message

    async def send(self, frame: str) -> None:
        """Send one text message."""
        await websocket.send(frame)

    async def close(self, code: int, reason: str) -> None:
        """Close with `code`."""
        await websocket.close(code, reason)


def create_app(reception: Reception, identities: Identities) -> QuartTrio:
    """The app whose WebSockets lead to `reception` and its hall."""
    app = App("web", this_build())
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX_BYTES
    _add_page(app, reception)
    _add_guests(app, reception, identities)
    _add_probes(app, reception)
    _add_signaling(app, reception)
    _add_headers(app)
    return app


def _add_page(app: App, reception: Reception) -> None:
    front_page = FrontPage(app, lambda: reception.hall.presence())

    @app.get("/")
    async def page() -> Response:
        answer, _ = begin_answer(front_page.file(trio.current_time()), request.headers)
        return answer

    @app.get("/openapi.json")
    async def description() -> ResponseReturnValue:
        return jsonify(DESCRIPTION)


def _add_guests(app: App, reception: Reception, identities: Identities) -> None:
    @app.get("/api/presence")
    async def presence() -> ResponseReturnValue:
        return jsonify(msgspec.structs.asdict(reception.hall.presence()))

    @app.post("/api/guest")
    async def guest() -> ResponseReturnValue:
        if wait := reception.hall.accounts.guest(_address(request.scope), trio.current_time()):
            answer = jsonify(code="too_many", message=sentences.of_wait(wait))
            return answer, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(ceil(wait.s))}
        body = read_json(await request.get_data())
        try:
            name = accept_name(body.get("name") if isinstance(body, dict) else None)
        except ValueError as error:
            return jsonify(code="bad_name", message=str(error)), HTTPStatus.BAD_REQUEST
        person, token = identities.new_guest(name)
        return jsonify(token=token, user={"id": person.id, "name": person.name}), HTTPStatus.CREATED


def _add_probes(app: App, reception: Reception) -> None:
    @app.get("/healthz")
    async def alive() -> ResponseReturnValue:
        return jsonify(status="alive")

    @app.get("/readyz")
    async def ready() -> ResponseReturnValue:
        reason = await reception.hall.not_ready_because()
        if reason is None:
            return jsonify(status="ready")
        return jsonify(status="not ready", reason=reason), HTTPStatus.SERVICE_UNAVAILABLE


def _add_signaling(app: App, reception: Reception) -> None:
    refused = RefusedOrigins()

    @app.websocket("/ws")
    async def signaling() -> ResponseReturnValue | None:
        origin = websocket.headers.get("Origin")
        if not may_connect(origin, websocket.host, reception.settings.origin):
            refused.tell(str(origin), reception.settings.origin or (websocket.host,))
            return "This page may not connect here.", HTTPStatus.FORBIDDEN
        extensions: dict[str, Any] = websocket.scope.get("extensions") or {}
        conversation = reception.conversation(_address(websocket.scope))
        if DIRECT in extensions:
            extensions[DIRECT](conversation)
            await websocket.accept()
            return None
        await websocket.accept()
        if OVERLOAD in extensions:
            extensions[OVERLOAD](conversation)
        await reception.carry(QuartSocket(), conversation)
        return None


def _add_headers(app: App) -> None:
    """Add the security headers to every response, and log refused requests."""
    journal = Journal("web")

    @app.after_websocket  # type: ignore[type-var]  # there is no answer once it has been accepted
    async def protect_refusal(response: Response | None) -> Response | None:
        if response is not None:
            response.headers.update(SECURITY_HEADERS)
        return response

    @app.after_request
    async def protect(response: Response) -> Response:
        if response.status_code in REFUSALS:
            path = request.url_rule and request.url_rule.rule
            journal.info("refused", status=response.status_code, path=path)
        is_page = response.status_code < 400 and response.mimetype == "text/html"
        response.headers.update(PAGE_HEADERS if is_page else SECURITY_HEADERS)
        response.headers.setdefault("Cache-Control", "no-store")
        return response


def read_json(body: str | bytes) -> Any:
    """The decoded JSON of a body; None if it is not valid JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _address(scope: HTTPScope | WebsocketScope) -> str | None:
    """The address of a client for the rate limits; None: no limit by address applies."""
    client = scope.get("client")
    return budget_key(client[0]) if client else None


def may_connect(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a page of `origin` may open a WebSocket to `host`.

    A client that is not a browser sends no origin, and no page can misuse it. Otherwise the origin must be
    one of `allowed`, or, if that is empty, have exactly this host and port.
    """
    if origin is None:
        return True
    try:
        came = read_origin(origin)
        return came in (allowed or (read_origin(f"{urlsplit(came).scheme}://{host}"),))
    except ValueError:  # such as `null`, or an incomplete address
        return False


class RefusedOrigins:
    """Logs each refused origin once, so that the operator sees which to allow."""

    MAX = 100
    """The most origins that are logged, since a client can send any number of them."""

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._journal = Journal("web")

    def tell(self, origin: str, allowed: Sequence[str]) -> None:
        """Log that `origin` was refused, and that only `allowed` may connect."""
        origin = origin[:200]
        if origin not in self._told and len(self._told) < self.MAX:
            self._told.add(origin)
            self._journal.warning("origin refused", origin=origin, allowed=" ".join(allowed)[:1000])
