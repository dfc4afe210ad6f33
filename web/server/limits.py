"""What one client may cost the server: every limit, in one place."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerLimits:
    """Limits of a server, for each connection unless it says otherwise. Durations are trio's clock.

    The defaults suit small requests and small messages, many thousand connections and a heartbeat of 25 s.
    """

    send_limit_s: float = 10.0
    """How long a send may make no progress before the connection is ended by force."""

    request_limit_s: float = 10.0
    """From connecting, or from the first byte of a later request, to the last byte of its head and body."""

    read_limit_s: float = 90.0
    """How long a WebSocket may be silent; to be longer than the silence the protocol's heartbeat allows."""

    keep_alive_s: float = 10.0
    """How long a connection may rest between two requests."""

    linger_s: float = 2.0
    """How long the client's end is awaited after ours, so that our last words are not lost to a reset."""

    disconnect_grace_s: float = 2.0
    """How long the app may go on after its client has gone, to take in what it sent, until cancelled."""

    stop_grace_s: float = 5.0
    """At a stop: how long requests under way may take, and after them the app's own shutdown."""

    message_max_bytes: int = 65_536
    """The payload of one WebSocket message, all its fragments together."""

    inbox_max_messages: int = 4
    """Messages of one client that wait for the app; then its socket is not read, and TCP slows it down."""

    body_max_bytes: int = 65_536
    """The body of one request."""

    headers_max_bytes: int = 16_384
    """The request line and headers of one request."""

    unsent_max_bytes: int = 262_144
    """What may be left unsent by sends that were cancelled, before the connection is ended by force."""

    connections_max: int | None = None
    """Connections of the whole server; those beyond are told 503 and closed. None: what the system allows."""

    backlog: int = 4096
    """Connections that wait to be accepted; Linux cuts it to net.core.somaxconn, 4096 since Linux 5.4."""

    user_timeout_s: float = 30.0
    """How long the kernel keeps a connection whose peer acknowledges nothing (TCP_USER_TIMEOUT, Linux)."""
