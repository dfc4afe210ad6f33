"""The Quart-trio app: the page, guests, health, and the door to the WebSocket.

It is a thin edge: it checks who asks and from where, and hands over to `web.socket` and the hall.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from quart import Response, jsonify, render_template, request, websocket
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio

from studymatch.protocol import accept_name
from web.identity import Identities
from web.server import DIRECT
from web.socket import Reception
from web.upgrade import App

BODY_MAX_BYTES = 4096
"""The largest request body: a guest's name is all that is ever posted."""

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

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=(), display-capture=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class QuartSocket:
    """The WebSocket of the present Quart context, as `web.socket.Socket`."""

    async def receive(self) -> str | bytes | None:
        """The next message; when the browser has gone, Quart cancels the handler."""
        message: str | bytes | None = await websocket.receive()
        return message

    async def send(self, frame: str) -> None:
        """Send one text message."""
        await websocket.send(frame)

    async def close(self, code: int, reason: str) -> None:
        """Close with `code`."""
        await websocket.close(code, reason)


def create_app(reception: Reception, identities: Identities) -> QuartTrio:
    """The app that lets people into the hall of `reception`."""
    app = App("web")
    app.config["MAX_CONTENT_LENGTH"] = BODY_MAX_BYTES

    @app.get("/")
    async def page() -> str:
        return await render_template("index.html")

    @app.post("/api/guest")
    async def guest() -> ResponseReturnValue:
        body = await request.get_json(force=True, silent=True)
        try:
            name = accept_name(body.get("name") if isinstance(body, dict) else None)
        except ValueError as error:
            return jsonify(code="bad_name", message=str(error)), HTTPStatus.BAD_REQUEST
        person, token = identities.new_guest(name)
        return jsonify(token=token, user={"id": person.id, "name": person.name}), HTTPStatus.CREATED

    @app.get("/healthz")
    async def alive() -> ResponseReturnValue:
        return jsonify(status="alive")

    @app.get("/readyz")
    async def ready() -> ResponseReturnValue:
        reason = await reception.hall.not_ready_because()
        if reason is None:
            return jsonify(status="ready")
        return jsonify(status="not ready", reason=reason), HTTPStatus.SERVICE_UNAVAILABLE

    @app.websocket("/ws")
    async def signaling() -> ResponseReturnValue | None:
        if not may_connect(websocket.headers.get("Origin"), websocket.host, reception.settings.origin):
            return "This page may not connect here.", HTTPStatus.FORBIDDEN
        extensions: dict[str, Any] = websocket.scope.get("extensions") or {}
        if DIRECT in extensions:
            extensions[DIRECT](reception.conversation())
            await websocket.accept()
        else:
            await websocket.accept()
            await reception.converse(QuartSocket())
        return None

    @app.after_request
    async def protect(response: Response) -> Response:
        response.headers.update(SECURITY_HEADERS)
        if not request.path.startswith("/static/"):
            response.headers["Cache-Control"] = "no-store"
        return response

    return app


def may_connect(origin: str | None, host: str, allowed: tuple[str, ...]) -> bool:
    """Whether a page of `origin` may open a WebSocket to `host`.

    A program that is not a browser sends no origin, and cannot be misused by a page either. Otherwise
    the origin must be one of `allowed`, or, without any, have exactly this host and port.
    """
    if origin is None:
        return True
    if allowed:
        return origin in allowed
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc == host
