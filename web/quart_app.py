"""A Quart-trio app that does less work per request than Quart, for features that nobody here uses.

As in Quart, it routes, makes the context behind `quart.websocket`, runs the handler and sends its response.
It leaves out the session, the application context, the callbacks at the end of the context, and, on the
direct path, a task and a queue for incoming messages. That saves 35 of 90 µs per WebSocket.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import cached_property
from typing import Any, cast

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, WebsocketScope
from quart import Response, has_request_context, request, websocket
from quart.asgi import ASGIWebsocketConnection
from quart.ctx import RequestContext, WebsocketContext
from quart.globals import _cv_websocket
from quart.routing import QuartRule
from quart.sessions import NullSession
from quart.signals import got_websocket_exception
from quart.wrappers import BaseRequestWebsocket, Request, Websocket
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIWebsocketConnection
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException, InternalServerError

from actors import let_go
from web.build import Build
from web.routing import Routes
from web.server import DIRECT, FAILED
from web.server.answers import answer_for, wants_json
from web.server.failures import report

_, NOTHING = trio.open_memory_channel[Any](0)
"""The receive channel on the direct path, where no message comes through Quart."""

NO_SESSION = NullSession()


@got_websocket_exception.connect
async def _note_failure(_app: object, **_why: object) -> None:
    """Mark the connection as failed: Quart closes with 1000 if the handler raised, as if it returned."""
    extensions = websocket.scope.get("extensions")
    if extensions is not None:
        extensions[FAILED] = {}


class App(QuartTrio):
    """The app. All routes must be added before the first request.

    It serves the files of `build` below the path of that build, and no files of other builds.
    """

    def __init__(self, name: str, build: Build) -> None:
        super().__init__(name, static_url_path=build.path)
        self.build = build
        self.asgi_websocket_class = WebSocketConnection
        self.register_error_handler(HTTPException, self.answer_to)

    async def send_static_file(self, filename: str) -> Response:
        """A file of the page."""
        return self.build.files.answer(filename, request.method, request.headers)

    @cached_property
    def routes(self) -> Routes:
        """Finds the handlers of requests."""
        return Routes(cast(Iterable[QuartRule], self.url_map.iter_rules()))

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> Any:
        """An adapter without a host, since the host that a client sends matters only for absolute URLs."""
        if request is None:
            return super().create_url_adapter(request)
        return self.url_map.bind("", url_scheme=request.scheme, path_info=request.path)

    def request_context(self, request: Request) -> RequestContext:
        """The context of a request's handler."""
        return PlainRequestContext(self, request)

    def websocket_context(self, websocket: Websocket) -> WebsocketContext:
        """The context of a WebSocket's handler."""
        return HandlerContext(self, websocket)

    async def make_default_options_response(self) -> Response:
        """The response to OPTIONS: the methods of the path's rules."""
        methods = sorted(request.url_rule.methods or ()) if request.url_rule else []
        return Response("", headers={"Allow": ", ".join(methods)})

    async def answer_to(self, error: HTTPException) -> Response:
        """The response to a request that cannot be served."""
        let_go(error)
        asked = request if has_request_context() else websocket
        as_json = has_request_context() and wants_json(asked.path, asked.headers.get("Accept", ""))
        methods = getattr(error, "valid_methods", None)
        more = [("Allow", ", ".join(methods))] if methods else []
        status, headers, body = answer_for(error.code or 500, as_json=as_json, more=more)
        return Response(body, status, Headers(headers))

    async def handle_exception(self, error: Exception) -> Any:
        """A handler failed: answer 500, and log one line that quotes nothing of the request."""
        report(error, "a request failed and was answered with 500", logging.ERROR)
        let_go(error)
        answer = await self.answer_to(InternalServerError())
        return await self.finalize_request(answer, from_error_handler=True)

    async def handle_websocket(self, websocket: Websocket) -> Any:
        """Run the handler and build the response, without Quart-trio's reference cycle at a cancellation."""
        async with self.websocket_context(websocket) as context:
            try:
                return await self.full_dispatch_websocket(context)
            except Exception as error:
                return await self.handle_websocket_exception(error)

    async def full_dispatch_websocket(self, websocket_context: WebsocketContext | None = None) -> Any:
        """What the handler returns, as an answer; None once it has accepted."""
        try:
            result: Any = await self.preprocess_websocket(websocket_context)
            if result is None:
                result = await self.dispatch_websocket(websocket_context)
        except HTTPException as error:
            result = await self.answer_to(error)
        return await self.finalize_websocket(result, websocket_context)

    async def handle_websocket_exception(self, error: Exception) -> Any:
        """The same for a WebSocket; if it was accepted, the server closes it with 1011."""
        wrapper: Any = self.ensure_async
        await got_websocket_exception.send_async(self, _sync_wrapper=wrapper, exception=error)
        report(error, "the handler of a WebSocket failed", logging.ERROR)
        let_go(error)
        answer = await self.answer_to(InternalServerError())
        return await self.finalize_websocket(answer, from_error_handler=True)


class PlainRequestContext(RequestContext):
    """Quart's request context with the routing of `web.routing`."""

    def match_request(self) -> None:
        """Find the rule; if there is none, the exception that the dispatcher is to raise."""
        _find_route(self.app, self.request, self.request.method)


def _find_route(app: Any, asked: BaseRequestWebsocket, method: str | None) -> None:
    assert isinstance(app, App), "whose contexts these are"
    try:
        found = app.routes.find(asked.path, method)
    except HTTPException as error:
        let_go(error)
        asked.routing_exception = error
    else:
        asked.url_rule, asked.view_args = found


class HandlerContext(WebsocketContext):
    """A WebSocket context with only the WebSocket and its route."""

    def match_request(self) -> None:
        """Find the rule; if there is none, the exception that the dispatcher is to raise."""
        _find_route(self.app, self.websocket, None)

    async def push(self) -> None:
        """Become the context of `quart.websocket`."""
        self._cv_tokens.append((_cv_websocket.set(self), None))
        self.session = NO_SESSION
        self.match_request()

    async def pop(self, exc: BaseException | None = None) -> None:
        """Stop being the context; the handler has returned."""
        token, _ = self._cv_tokens.pop()
        _cv_websocket.reset(token)


class WebSocketConnection(TrioASGIWebsocketConnection):
    """Quart's connection, without a task and a queue for incoming messages on the direct path."""

    def __init__(self, app: QuartTrio, scope: WebsocketScope) -> None:
        self._is_direct = DIRECT in (scope.get("extensions") or {})
        if self._is_direct:
            self.app, self.scope = app, scope
            self.receive_channel = NOTHING
            self._accepted = self._closed = False
        else:
            super().__init__(app, scope)

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Run the handler."""
        if self._is_direct:
            await ASGIWebsocketConnection.handle_websocket(
                self, self._create_websocket_from_scope(send), send
            )
        else:
            await super().__call__(receive, send)
