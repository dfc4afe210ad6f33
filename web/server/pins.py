"""The versions of the libraries whose internals `web` and `web.server` use, and the names of these internals.

The versions are checked before `web.server` is imported. The names are for whoever moves to a new version:
`tests/web/test_internals.py` resolves each, and says for what it is needed if it has gone.
"""

from importlib.metadata import version
from typing import NamedTuple

PINS = {
    "h11": "0.16",
    "hypercorn": "0.18",
    "quart": "0.22",
    "quart-trio": "0.12",
    "websockets": "17.4",
    "wsproto": "1.3",
}
"""The minor version of each distribution that was reviewed and tested. Others may work, or fail silently."""


class Internal(NamedTuple):
    """A name that a library does not promise to keep.

    `arguments` are those of a method that is overridden or called, without `self`; None: it is no method.
    """

    module: str
    name: str
    needed: str
    arguments: tuple[str, ...] | None = None


INTERNALS = (
    Internal("h11._receivebuffer", "ReceiveBuffer.maybe_extract_lines", "to refuse ambiguous heads", ()),
    Internal("h11._receivebuffer", "ReceiveBuffer()._data", "to read a head before it is parsed"),
    Internal("h11._receivebuffer", "ReceiveBuffer()._multiple_lines_search", "to go on where h11 stopped"),
    Internal("h11._receivebuffer", "blank_line_regex", "to find the end of a head as h11 does"),
    Internal("h11", "Connection(CLIENT)._receive_buffer", "to put the strict buffer in its place"),
    Internal("hypercorn.protocol.h11", "H11Protocol._check_protocol", "to stay with HTTP/1.1", ("event",)),
    Internal("hypercorn.protocol.h11", "H11Protocol._create_stream", "to check requests first", ("request",)),
    Internal("hypercorn.protocol.h11", "H11Protocol._maybe_recycle", "to time the next request", ()),
    Internal(
        "hypercorn.protocol.h11",
        "H11Protocol._send_error_response",
        "to answer malformed requests",
        ("status_code",),
    ),
    Internal("hypercorn.protocol.h11", "H11Protocol._send_h11_event", "to write such answers", ("event",)),
    Internal("hypercorn.protocol.h11", "H11WSConnection", "to pass on the bytes of a WebSocket"),
    Internal(
        "hypercorn.protocol.http_stream",
        "HTTPStream._send_error_response",
        "to answer for an app that failed",
        ("status_code",),
    ),
    Internal(
        "hypercorn.protocol.ws_stream",
        "WSStream._send_error_response",
        "to refuse a handshake",
        ("status_code",),
    ),
    Internal("hypercorn.protocol.ws_stream", "WSStream._accept", "to negotiate no extension", ("message",)),
    Internal("hypercorn.protocol.ws_stream", "WSStream._send_wsproto_event", "to write frames", ("event",)),
    Internal(
        "quart.asgi", "ASGIWebsocketConnection.handle_websocket", "to run a handler", ("websocket", "send")
    ),
    Internal(
        "quart.asgi",
        "ASGIWebsocketConnection._create_websocket_from_scope",
        "to make what the handler sees",
        ("send",),
    ),
    Internal("quart.ctx", "WebsocketContext.push", "to leave out the session", ()),
    Internal("quart.ctx", "WebsocketContext.pop", "the same", ("exc",)),
    Internal("quart.globals", "_cv_websocket", "to be what `quart.websocket` refers to"),
    Internal("websockets.protocol", "Protocol(SERVER).parser", "to break its reference cycle"),
    Internal("websockets.protocol", "Protocol(SERVER).parser_exc", "the same"),
    Internal(
        "wsproto.connection", "Connection(ConnectionType.SERVER)._proto", "to break its reference cycle"
    ),
    Internal("wsproto.frame_protocol", "FrameProtocol(False, [])._parse_more", "the same"),
)
"""The internals that are used, each with what it is needed for."""


def check_pins(pins: dict[str, str]) -> None:
    """Raises ImportError, with what to install, unless each distribution has its pinned minor version."""
    for distribution, wanted in pins.items():
        found = version(distribution)
        if found != wanted and not found.startswith(f"{wanted}."):
            raise ImportError(
                f"web.server leans on the internals of {distribution} {wanted} and found {found}: "
                f"install '{distribution}=={wanted}.*'"
            )
