"""A server for one ASGI app on trio: Hypercorn's HTTP/1.1 and WebSocket, hardened for the public internet.

It knows of no app in particular. A client can harm its own connection and no other: it cannot end the server,
keep it from stopping, make it store more than the limits say, or hold a connection by doing nothing.

    accept            accepts, and keeps the failure of one connection from the others; the stop
    connection        the bytes of one socket, with a deadline each way
    http1             requests that are refused, how long one may take, no HTTP/2
    websocket         the handshake without extensions, the size of messages, the codes of every ending
    direct            the same, for an app that takes its frames without ASGI
    text_frames       whole text messages, decoded by hand; framing: all other frames, by the library
    frame_boundaries  where frames end, by their headers alone
    allowance         how many frames and bytes one WebSocket may send, counted before they are decoded
    overload          what an app hears of a client that exceeds it
    outgoing          unsent data for clients that read slowly; progress limits for how long
    poller            the one task of all direct sockets
    app_tasks         the app's tasks, and what becomes of them when the client has gone
    lifespan          the app's startup and shutdown; its crash is the server's
    admission         how many connections and requests an address may have
    addresses         the address of a client, behind trusted proxies
    listeners         the sockets listened on; limits, config, pins
    open_files        the limit of file descriptors; gc_pacing and allocator: memory of the process

TLS is for a proxy in front. Each remedy has a test in tests/web/ that fails without it.
"""

from web.server.pins import PINS, check_pins

check_pins(PINS)

from web.server.accept import serve  # noqa: E402
from web.server.addresses import TrustedProxies, budget_key, read_network  # noqa: E402
from web.server.app_tasks import PeerGoneError  # noqa: E402
from web.server.direct import DIRECT  # noqa: E402
from web.server.lifespan import LifespanError  # noqa: E402
from web.server.limits import ServerLimits  # noqa: E402
from web.server.listeners import open_listeners  # noqa: E402
from web.server.overload import OVERLOAD  # noqa: E402
from web.server.websocket import FAILED  # noqa: E402

__all__ = [
    "DIRECT",
    "FAILED",
    "OVERLOAD",
    "LifespanError",
    "PeerGoneError",
    "ServerLimits",
    "TrustedProxies",
    "budget_key",
    "open_listeners",
    "read_network",
    "serve",
]
