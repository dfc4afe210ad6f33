"""Where the server is: its address, and the addresses of this machine to come from.

One address of ours has some 28,000 ports for one address of theirs. A server on this machine is therefore
visited from as many of 127.0.0.1, 127.0.0.2, … as it takes (Linux has them all).
"""

from __future__ import annotations

import ipaddress
import socket
import sys
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

PEOPLE_PER_SOURCE = 20_000


class PlaceError(ValueError):
    """A URL that leads nowhere. The text says what was expected."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server: `host` as in the URL, with the port; `address` as `socket.connect` takes it."""

    host: str
    family: int
    address: tuple[Any, ...]

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.address[1])

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine, as far as the address tells."""
        return ipaddress.ip_address(self.address[0]).is_loopback

    def source(self, number: int) -> str | None:
        """The address from which person `number` comes; None lets the system choose."""
        if not (self.is_here and self.family == socket.AF_INET and sys.platform == "linux"):
            return None
        return f"127.0.0.{1 + number // PEOPLE_PER_SOURCE}"


def find(url: str) -> Place:
    """The place that an http:// URL leads to.

    Raises:
        PlaceError: it is no such URL, or the name has no address.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise PlaceError(f"--url expects something like http://127.0.0.1:8000, got {url!r}")
    try:
        port = parts.port or 80
        family, _, _, _, address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0]
    except (OSError, ValueError) as error:
        raise PlaceError(f"--url leads nowhere: {parts.netloc}: {error}") from None
    return Place(parts.netloc, family, address)
