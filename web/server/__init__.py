"""A server for one ASGI app on trio: Hypercorn's HTTP/1.1 and WebSocket, hardened for the public internet.

It works with any ASGI app. A client can harm only its own connection: it cannot end the server, prevent it
from stopping, make it store more than the limits allow, or hold a connection by doing nothing.

    accept            accepts connections, isolates their failures from each other, stops the server
    connection        reads and writes the bytes of one socket, with a deadline for each direction
    http1             which requests are refused, and how long one may take; no HTTP/2
    websocket         the handshake without extensions, the size of messages, the close codes
    opening           how a WebSocket opens, from the first byte to the first frame
    direct            the same, for an app that receives its frames without ASGI
    text_frames       whole text messages, decoded by hand; framing: all other frames, by a library
    frame_boundaries  finds where frames end, by their headers alone
    allowance         how many frames and bytes one WebSocket may send, counted before they are decoded
    overload          how an app is told that a client exceeds its allowance
    outgoing          buffers data for clients that read slowly; progress limits for how long
    poller            the one task of all direct sockets
    app_tasks         the app's tasks, and what happens to them when the client has disconnected
    lifespan          the app's startup and shutdown; if the app crashes, the server ends
    admission         how many connections and requests an address may have
    addresses         the address of a client, behind trusted proxies
    listeners         opens the listening sockets; limits, config, pins
    open_files        the limit of file descriptors; gc_pacing and allocator: memory of the process

A proxy in front has to provide TLS. Each protection has a test in tests/web/ that fails without it.
"""

from web.server.pins import PINS, check_pins

check_pins(PINS)

from web.server.accept import serve  # noqa: E402
from web.server.addresses import TrustedProxies, budget_key, read_network  # noqa: E402
from web.server.app_tasks import PeerGoneError  # noqa: E402
from web.server.lifespan import LifespanError  # noqa: E402
from web.server.limits import ServerLimits  # noqa: E402
from web.server.listeners import open_listeners  # noqa: E402
from web.server.opening import DIRECT  # noqa: E402
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
