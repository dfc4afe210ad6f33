"""Hosts and origins of the web, in the one form in which browsers write them.

Results can be compared as text. No host name is looked up; this module is pure.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")

_READ_IN_TWO_WAYS = "ßς\u200c\u200d"
"""Browsers keep these characters in a host name; Python's codec would replace them."""


def read_origin(text: str) -> str:
    """The origin `text` as a browser sends it: in lower case, without default port and final slash.

    Raises:
        ValueError: it is not the origin of a page, like ``null``, or not just scheme, host and port.
    """
    text = text.strip()
    if not text.isprintable() or set(text) & set(" ,;*\\@?#%"):
        raise ValueError("one origin, with nothing but scheme, host and port")
    parts = urlsplit(text)
    scheme, port = parts.scheme.lower(), parts.port
    if scheme not in DEFAULT_PORTS or parts.path not in ("", "/") or not parts.hostname or port == 0:
        raise ValueError("http:// or https://, a host, and perhaps a port")
    bracketed = parts.netloc.startswith("[")
    host = f"[{IPv6Address(parts.hostname)}]" if bracketed else read_host(parts.hostname)
    return f"{scheme}://{host}" + ("" if port in (None, DEFAULT_PORTS[scheme]) else f":{port}")


def read_host(text: str) -> str:
    """A host name or IPv4 address in lower case and ASCII.

    Raises:
        ValueError: it is neither.
    """
    host = text.lower()
    if not host.isascii():
        if set(host) & set(_READ_IN_TWO_WAYS):
            raise ValueError("a host name that begins with xn--, because this one can be read in two ways")
        host = host.encode("idna").decode("ascii")
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("a host name")
    if labels[-1].isdecimal():
        return str(IPv4Address(host))
    return host
