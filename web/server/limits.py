"""All limits on what one client may use of the server."""

from dataclasses import dataclass, field

from actors import Rate


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerLimits:
    """Limits of a server, for each connection unless stated otherwise. Durations are on trio's clock.

    The defaults suit small requests and small messages, many thousand connections and a heartbeat of 25 s.
    """

    send_limit_s: float = 10.0
    """How long a send may make no progress before the connection is ended by force."""

    request_limit_s: float = 10.0
    """The time from connecting, or the first byte of a later request, to the last byte of head and body."""

    read_limit_s: float = 90.0
    """How long a WebSocket may be silent. It has to exceed the silence that the heartbeat allows."""

    keep_alive_s: float = 10.0
    """How long a connection may be idle between two requests."""

    linger_s: float = 2.0
    """How long to wait for the client's end of file after ours, so that no reset destroys our last data."""

    disconnect_grace_s: float = 2.0
    """How long the app may go on after the client has disconnected, to handle what it sent."""

    stop_grace_s: float = 5.0
    """At a stop: how long open requests may take, and after them the app's shutdown."""

    message_max_bytes: int = 65_536
    """The payload of one WebSocket message, all its fragments together."""

    inbox_max_messages: int = 4
    """Messages of one client that wait for the app; then its socket is not read, and TCP slows it down."""

    body_max_bytes: int = 65_536
    """The body of one request."""

    headers_max_bytes: int = 16_384
    """The request line and headers of one request."""

    frames: Rate = field(default=Rate(per_s=100, burst=1000))
    """The rate of frames of one WebSocket, whole or partial and of every kind; excess frames wait."""

    bytes_a_frame: int = 2048
    """This many bytes count as one more frame: in the long run, 200 KiB a second at 100 frames a second."""

    flood_limit_s: float = 3.0
    """How long a WebSocket may exceed that rate before it is closed."""

    flood_code: int = 1008
    """The close code in that case (1008: policy violation)."""

    linger_max_bytes: int = 1_048_576
    """The bytes that are read and dropped from a client that sends after the close; TCP limits the rest."""

    unsent_max_bytes: int = 8_388_608
    """The bytes that may wait for a client that does not read, before it is closed by force. On the ordinary
    path senders wait for the client, so only cancelled sends count."""

    unsent_hear_bytes: int = 65_536
    """With more unsent bytes, the client is not read, since its frames would cause more to be sent."""

    send_min_bytes_per_s: float = 2048.0
    """Bytes a second that a client must read while data wait for it; see `Progress`."""

    kernel_buffer_bytes: int = 131_072
    """The socket buffer of a connection, each way, in bytes; Linux doubles it for its own bookkeeping."""

    connections_max: int | None = None
    """The most connections of the server. At the limit, the oldest idle connection is closed to make room for
    the next one; if there is none, the next one gets 503. None: as many as the system allows."""

    first_words_s: float = 0.5
    """How long a connection may be idle before it can be closed to make room."""

    address_connections_max: int = 8000
    """The most connections of one address at a time."""

    address_connections: Rate = field(default=Rate(per_s=200, burst=8000))
    """The rate of new connections of one address."""

    address_requests: Rate = field(default=Rate(per_s=10, burst=200))
    """The rate of requests of one address that are served independently of other addresses."""

    requests: Rate = field(default=Rate(per_s=400, burst=30_000))
    """The rate of requests of all addresses together beyond that."""

    at_once: int = 4
    """The number of connections whose first bytes or requests are handled at the same time. Each takes about
    a millisecond, in small steps between which frames of others are passed on."""

    backlog: int = 4096
    """Connections that wait to be accepted; Linux cuts it to net.core.somaxconn, 4096 since Linux 5.4."""

    user_timeout_s: float = 30.0
    """How long the kernel keeps a connection whose peer acknowledges nothing (TCP_USER_TIMEOUT, Linux)."""
