"""Parsers for the texts of settings.

Every function returns the parsed value in its canonical form, and raises a ValueError that says what was
expected, in words that follow "expects". None of them uses the network. `shown` formats a value for an error.
"""

from __future__ import annotations

from ipaddress import ip_network

from studymatch.postgres.conninfo import read_conninfo
from studymatch.settings import origins

SHOWN = 100
"""The most characters of a value that an error quotes."""


def shown(value: object) -> str:
    """A value as an error quotes it: printable, on one line and not too long."""
    try:
        text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    except ValueError:  # an integer of thousands of digits
        return "a number of thousands of digits"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"


def read_host(text: str) -> str:
    """An address or a name to listen on."""
    try:
        text.encode("idna")
    except UnicodeError:
        raise ValueError(f"an address or a name, got {shown(text)}") from None
    if set(text) & set(" /,"):
        raise ValueError(f"an address or a name, got {shown(text)}")
    return text


def read_network(text: str) -> str:
    """An IP address, or a network of them."""
    try:
        ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            f"an IP address or a network, like 127.0.0.1 or 10.0.0.0/8; got {shown(text)}"
        ) from None
    return text


def read_origin(text: str) -> str:
    """The origin of a page, as browsers write it."""
    try:
        return origins.read_origin(text)
    except ValueError as error:
        expected = str(error) if text.isascii() else "a host name that every browser writes alike"
        raise ValueError(f"an origin like https://study.example ({expected}); got {shown(text)}") from None


def read_database_url(text: str) -> str:
    """The address of a database."""
    read_conninfo(text)
    return text
