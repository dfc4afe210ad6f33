"""Settings of the edge: where it listens, which proxies and origins it trusts, and its limits per address."""

from __future__ import annotations

from dataclasses import dataclass

from studymatch.settings.kinds import setting
from studymatch.settings.readings import read_host, read_network, read_origin


@dataclass(frozen=True, kw_only=True)
class EdgeSettings:
    """Settings of the edge. Durations are seconds."""

    host: str = setting(
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 for every IPv4 address of this machine, :: for IPv4 and IPv6.",
        read=read_host,
    )
    port: int = setting(
        8000, "TCP port to listen on; 0 lets the system choose a free one.", least=0, most=65_535
    )
    trusted_proxy: tuple[str, ...] = setting(
        (),
        "Address or network (10.0.0.0/8) of a proxy of yours; may be given several times. Limits per address "
        "use the address in its X-Forwarded-For. Without a proxy they use the address of the peer, and do "
        "not apply to a peer on loopback.",
        read=read_network,
    )
    origin: tuple[str, ...] = setting(
        (),
        "Origin of a page that may connect, like https://study.example; may be given several times, in the "
        "environment with blanks in between. Without it, a page may connect only to the host and port that "
        "it was loaded from.",
        read=read_origin,
    )
    hello_limit_s: float = setting(5.0, "Seconds a new connection has for its first frame.", least=0.1)
    token_life_s: float = setting(30 * 24 * 3600.0, "Seconds for which a guest's token is valid.", least=60)
    address_connections_max: int = setting(
        8000,
        "Connections of one address (IPv6: one /64) at a time: enough for a school of a thousand, with a "
        "WebSocket each and six more while the page loads.",
        least=1,
    )
    address_connections_per_s: float = setting(
        200.0, "New connections per second of one address in the long run.", least=0.01
    )
    address_connections_burst: int = setting(
        8000, "New connections of one address at once: enough for such a school.", least=1
    )
    address_requests_per_s: float = setting(
        10.0,
        "HTTP requests per second of one address that are served regardless of the load by others; a page "
        "makes about twenty-five.",
        least=0.01,
    )
    address_requests_burst: int = setting(200, "Such requests at once.", least=1)
    requests_per_s: float = setting(
        400.0,
        "HTTP requests per second of all addresses beyond that: each takes about a millisecond.",
        least=0.01,
    )
    requests_burst: int = setting(
        30_000, "Such requests at once: enough for a school of a thousand.", least=1
    )
    stop_limit_s: float = setting(
        8.0, "Seconds that stopping may take before connections are closed by force.", least=0.5, most=100
    )
