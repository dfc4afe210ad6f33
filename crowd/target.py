"""Where the server is: its address, and the addresses of this machine to come from.

One address of ours has some 28,000 ports for one address of theirs. A server on this machine is therefore
visited from as many of 127.0.0.1, 127.0.0.2, … as it takes (Linux has them all).
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

PEOPLE_PER_SOURCE = 20_000

URL_SHOWN = 100
"""Characters of a URL that an error repeats."""


class TargetError(ValueError):
    """A URL that leads nowhere, or no origin, or no certificates. The text says what was expected."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server: `host` as in the URL, with the port; `address` as `socket.connect` takes it.

    `name` is the host that a certificate has to be for, None without TLS; `ca_file` holds the certificates of
    those who may vouch for it, None: those that the system trusts. `page` is where the pages come from, None:
    from this server.
    """

    host: str
    family: int
    address: tuple[Any, ...]
    name: str | None = None
    ca_file: Path | None = None
    page: str | None = None

    @property
    def url(self) -> str:
        """The base address."""
        return f"{'https' if self.name else 'http'}://{self.host}"

    @property
    def origin(self) -> str:
        """The `Origin` that the browsers send."""
        return self.page or self.url

    def tls(self) -> ssl.SSLContext | None:
        """The TLS configuration for it; None: it is reached without TLS."""
        return _context(self.ca_file) if self.name else None

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


@cache
def _context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def find(url: str, *, ca_file: Path | None = None, origin: str | None = None) -> Target:
    """The target that an http:// or https:// URL leads to.

    Raises:
        TargetError: it is not such a URL, the name has no address, or `ca_file` holds no certificates.
    """
    parts = _read(url)
    is_secure = parts.scheme == "https"
    try:
        port = parts.port or (443 if is_secure else 80)
        family, _, _, _, address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0]
    except (OSError, ValueError) as error:
        raise TargetError(f"--url leads nowhere: {parts.hostname}: {error}") from None
    target = Target(parts.netloc, family, address, parts.hostname if is_secure else None, ca_file, origin)
    try:
        target.tls()
    except OSError as error:
        raise TargetError(f"--ca-file cannot be used: {ca_file}: {error.strerror or error}") from None
    return target


def _read(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    is_valid = parts.scheme in ("http", "https") and parts.hostname and not parts.path.strip("/")
    if not is_valid or not url.isprintable():
        raise TargetError(f"--url expects something like https://study.example, got {url[:URL_SHOWN]!a}")
    return parts
