"""The server under load: its address, and the local addresses to connect from.

One local address has some 28,000 ports for connections to one server address. So the visitors of a server on
this machine connect from 127.0.0.1, 127.0.0.2, … as needed (Linux accepts them all).
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
"""The number of characters of a URL that an error message repeats."""


class TargetError(ValueError):
    """An unusable URL or certificate file. The text says what was expected."""


@dataclass(frozen=True, slots=True)
class Target:
    """A server: `host` as in the URL, with the port; `address` as `socket.connect` takes it.

    `name` is the host name to verify in the certificate, None without TLS. `ca_file` holds the CA
    certificates, None: those of the system. `page` is the origin of the pages, None: this server.
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
        """The TLS configuration; None without TLS."""
        return _context(self.ca_file) if self.name else None

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.address[1])

    @property
    def is_here(self) -> bool:
        """Whether it has a loopback address."""
        return ipaddress.ip_address(self.address[0]).is_loopback

    def source(self, number: int) -> str | None:
        """The local address of person `number`; None lets the system choose."""
        if not (self.is_here and self.family == socket.AF_INET and sys.platform == "linux"):
            return None
        return f"127.0.0.{1 + number // PEOPLE_PER_SOURCE}"


@cache
def _context(ca_file: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def find(url: str, *, ca_file: Path | None = None, origin: str | None = None) -> Target:
    """The target of an http:// or https:// URL.

    Raises:
        TargetError: the URL is invalid, its host has no address, or `ca_file` holds no certificates.
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
