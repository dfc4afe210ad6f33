"""What Quart does for a WebSocket before its handler, without what nobody here makes use of.

It routes, makes the context that `quart.websocket` stands for, runs the handler and answers for it, as ever.
Left out are a session, an application context, what may be called when the context ends, and, on the direct
path, a task and a queue for what comes in. Measured: 35 of 90 µs.
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
"""What comes in by way of Quart on the direct path."""

NO_SESSION = NullSession()


@got_websocket_exception.connect
async def _note_failure(_app: object, **_why: object) -> None:
    """Quart closes with 1000 after a handler that raised, as after one that returned; this tells which."""
    extensions = websocket.scope.get("extensions")
    if extensions is not None:
        extensions[FAILED] = {}


class App(QuartTrio):
    """A Quart-trio app whose WebSockets come in as above. All rules are there before the first request.

    It serves the files of `build` below its path, and nothing below that of any other build.
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
        """An adapter without a host, since a host that the client sends matters only for absolute URLs."""
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
        """The answer to OPTIONS: the methods of the path's rules."""
        methods = sorted(request.url_rule.methods or ()) if request.url_rule else []
        return Response("", headers={"Allow": ", ".join(methods)})

    async def answer_to(self, error: HTTPException) -> Response:
        """The answer to a request that cannot be served."""
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
        """The same for a WebSocket, which may have been accepted: the server closes it with 1011."""
        wrapper: Any = self.ensure_async
        await got_websocket_exception.send_async(self, _sync_wrapper=wrapper, exception=error)
        report(error, "the handler of a WebSocket failed", logging.ERROR)
        let_go(error)
        answer = await self.answer_to(InternalServerError())
        return await self.finalize_websocket(answer, from_error_handler=True)


class PlainRequestContext(RequestContext):
    """Quart's, with our way to find a route."""

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
    """A WebSocket and its route, and nothing else."""

    def match_request(self) -> None:
        """Find the rule; if there is none, the exception that the dispatcher is to raise."""
        _find_route(self.app, self.websocket, None)

    async def push(self) -> None:
        """Begin to be what `quart.websocket` stands for."""
        self._cv_tokens.append((_cv_websocket.set(self), None))
        self.session = NO_SESSION
        self.match_request()

    async def pop(self, exc: BaseException | None = None) -> None:
        """The handler has returned."""
        token, _ = self._cv_tokens.pop()
        _cv_websocket.reset(token)


class WebSocketConnection(TrioASGIWebsocketConnection):
    """Quart's, which on the direct path needs neither a task for what comes in nor a queue to put it."""

    def __init__(self, app: QuartTrio, scope: WebsocketScope) -> None:
        self._is_direct = DIRECT in (scope.get("extensions") or {})
        if self._is_direct:
            self.app, self.scope = app, scope
            self.receive_channel = NOTHING
            self._accepted = self._closed = False
        else:
            super().__init__(app, scope)

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Runs the handler."""
        if self._is_direct:
            await ASGIWebsocketConnection.handle_websocket(
                self, self._create_websocket_from_scope(send), send
            )
        else:
            await super().__call__(receive, send)
