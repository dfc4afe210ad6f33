"""Parses STUN and TURN servers, and accepts those that every browser does: RFC 7064, RFC 7065, W3C WebRTC.

If a browser does not accept a server, its RTCPeerConnection throws, and no call can begin.
Firefox does not accept the scheme `stuns`.
"""

from __future__ import annotations

import json
import re
from ipaddress import IPv6Address

import msgspec

from studymatch.rules.protocol import IceServer
from studymatch.settings.origins import read_host

_URL = re.compile(
    r"(?P<scheme>stun|turns?):(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<host>[a-z0-9._-]+))"
    r"(?::(?P<port>[0-9]{1,5}))?(?:\?transport=(?P<transport>udp|tcp))?",
    re.ASCII,
)

USERNAME_MAX_BYTES = 508
"""W3C WebRTC, from RFC 8489: browsers refuse more than 509; some count the zero at the end."""


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    """An ICE server as in RTCConfiguration, where `urls` may be a single string."""

    urls: list[str] | str
    username: str | None = None
    credential: str | None = None


def read_ice_server(text: str) -> IceServer:
    """An ICE server as given on the command line: a URL, or a JSON object as RTCIceServer has it.

    Raises:
        ValueError: it is neither, or browsers do not accept it. The text holds no credential.
    """
    text = text.strip()
    try:
        given = msgspec.json.decode(text, type=_Given) if text.startswith("{") else _Given([text])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise ValueError(f"a JSON object with urls, username and credential ({error})") from None
    urls = [given.urls] if isinstance(given.urls, str) else given.urls
    if not urls:
        raise ValueError("one URL at least")
    server = IceServer([_read_url(url) for url in urls], given.username, given.credential)
    if any(url.startswith("turn") for url in server.urls) and not (server.username and server.credential):
        what = '{"urls": ["turn:host:port"], "username": "…", "credential": "…"}'
        raise ValueError(f"username and credential with turn: and turns:, as in {what}")
    if len((server.username or "").encode()) > USERNAME_MAX_BYTES:
        raise ValueError(f"a username of at most {USERNAME_MAX_BYTES} bytes")
    return server


def split_ice_servers(text: str) -> list[str]:
    """The servers in one text: a JSON list, or URLs and JSON objects with blanks between them."""
    if text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
        except (ValueError, RecursionError):
            return [text]
        return [one if isinstance(one, str) else json.dumps(one) for one in listed]
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        try:
            end = decoder.raw_decode(rest)[1] if rest.startswith("{") else len(rest.split(maxsplit=1)[0])
        except (ValueError, RecursionError):
            end = len(rest)
        found.append(rest[:end])
        rest = rest[end:].lstrip()
    return found


def _read_url(url: str) -> str:
    """The URL in the form that every browser accepts.

    Raises:
        ValueError: there is none.
    """
    read = _URL.fullmatch(url.lower())
    if read is None or (read["transport"] and not read["scheme"].startswith("turn")):
        raise ValueError(
            "stun:host:port, or turn:host:port with ?transport=udp or ?transport=tcp after it if need be, "
            f"without //, and no stuns:, which Firefox does not accept; got {url[:200]!r}"
        )
    if read["port"] and not 1 <= int(read["port"]) <= 65535:
        raise ValueError(f"a port from 1 to 65535; got {url[:200]!r}")
    try:
        IPv6Address(read["v6"]) if read["v6"] else read_host(read["host"])
    except ValueError:
        raise ValueError(f"the name or the address of a host; got {url[:200]!r}") from None
    return url.lower()
