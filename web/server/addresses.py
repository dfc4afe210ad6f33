"""The address of a client, behind any number of trusted proxies.

A trusted proxy names its client in `X-Forwarded-For`. The header is read from the right, because each proxy
appends the address of its peer, and the client may have made up everything further left. Apart from one
warning this module is pure. No address is logged.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

from web.server.config import logger

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

FORWARDED_MAX = 32
"""The most entries of `X-Forwarded-For` that are read, from the right: no chain of proxies is as long."""

IPV6_SITE_BITS = 64
"""A household or a server gets at least a whole /64 (RFC 6177), so a /64 counts as one address."""


def read_network(text: str) -> Network:
    """An address or a network in CIDR notation, like 127.0.0.1, 10.0.0.0/8 or fd00::/8.

    Raises:
        ValueError: it is neither.
    """
    return ip_network(text.strip(), strict=False)


@lru_cache(maxsize=1024)
def _read_address(text: str) -> Address | None:
    """The address in an entry of the header, which some proxies write with a port; None if there is none."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class TrustedProxies:
    """The proxies in `networks`, whose `X-Forwarded-For` is used."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._has_warned = False

    def client_of(self, peer: str, forwarded: list[bytes]) -> str:
        """The address of the client whose request came from `peer` with these `X-Forwarded-For` headers.

        It is `peer` itself unless `peer` is a trusted proxy. Then it is the rightmost entry that is not one,
        or, if an entry is not an address, the proxy that wrote it.
        """
        if not forwarded:
            return peer
        address = _read_address(peer)
        if address is None or not self._trusts(address):
            self._warn(address)
            return peer
        entries = b",".join(forwarded).decode("latin-1").split(",")
        for entry in reversed(entries[-FORWARDED_MAX:]):
            if (before := _read_address(entry)) is None:
                break
            address = before
            if not self._trusts(address):
                break
        return str(address)

    def key_of_peer(self, peer: str | None) -> str | None:
        """The `budget_key` of a connection from `peer`; None for a proxy, which serves many clients."""
        address = _read_address(peer or "")
        return None if address is None or self._trusts(address) else budget_key(peer)

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._networks)

    def _warn(self, peer: Address | None) -> None:
        """Warn once only: without a proxy in front, any client may send such a header."""
        if self._has_warned:
            return
        self._has_warned = True
        proxy = peer if peer is not None and peer.is_loopback else "ADDRESS-OF-THE-PROXY"
        logger.warning(
            "X-Forwarded-For came from a peer that is not a trusted proxy and is ignored; "
            "if it is a proxy of yours, set --trusted-proxy %s",
            proxy,
        )


def budget_key(host: str | None) -> str | None:
    """The key under which a client at `host` is counted: its IPv4 address, or the /64 of its IPv6 address.

    None for loopback, which has no budget: load tests come from there, and so do all clients of a proxy on
    this machine that is not set as trusted. None, too, if `host` is not an address.
    """
    address = _read_address(host or "")
    if address is None or address.is_loopback:
        return None
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address), IPV6_SITE_BITS), strict=False))
    return str(address)
