"""Parses the address of a database: a URL or key=value pairs, as libpq accepts them.

If an address is malformed, any of its parsed parts may contain a piece of the password, so no error quotes
it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ConnStatus, PGconn

EXPECTED = (
    "something like postgresql://user:password@host:5432/database, where each of @ : / ? # % in the user or "
    "the password is written as %40 %3A %2F %3F %23 %25"
)

_WHOLE_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
"""Parameters that libpq checks only once a server answers."""

_NOWHERE = "/nowhere"
"""A folder without a socket in it: libpq checks every parameter, and then finds no server there."""


def read_conninfo(text: str) -> dict[str, Any]:
    """The parameters of an address. This does not connect.

    Raises:
        ValueError: the address is malformed, or libpq knows no such parameter or value. Says what was
        expected.
    """
    try:
        params: dict[str, Any] = dict(conninfo_to_dict(text))
    except (psycopg.Error, ValueError):
        raise ValueError(EXPECTED) from None
    ports = [port for port in _listed(params, "port") if port]
    if not all(port.isdecimal() for port in ports) or any(
        "@" in str(params.get(p)) for p in ("host", "dbname")
    ):
        raise ValueError(EXPECTED)
    if not all(1 <= int(port[:6]) <= 65535 for port in ports):
        raise ValueError("a port from 1 to 65535 in the address of the database")
    for name in _WHOLE_NUMBERS:
        if name in params and not str(params[name]).strip().removeprefix("-").isdecimal():
            raise ValueError(f"a whole number as {name} in the address of the database")
    if complaint := _complaint(params):
        raise ValueError(f"parameters in the address that libpq takes ({complaint})")
    return params


def _listed(params: Mapping[str, Any], name: str) -> list[str]:
    """A parameter that may have a value for each of several hosts."""
    return str(params.get(name) or "").split(",")


def _complaint(params: Mapping[str, Any]) -> str | None:
    """The error of libpq about the parameters, with only their names in it; None: it accepts them."""
    hosts = max(len(_listed(params, name)) for name in ("host", "hostaddr"))
    elsewhere = {"host": ",".join([_NOWHERE] * hosts), "hostaddr": None, "password": "none"}
    connection = PGconn.connect_start(make_conninfo(**{**params, **elsewhere}).encode())
    try:
        said = connection.error_message.decode(errors="replace")
        if connection.status != ConnStatus.BAD or f"{_NOWHERE}/.s.PGSQL" in said:
            return None
        said = said.partition("\n")[0]
        return re.sub(r'"([^"]*)"', lambda quoted: quoted[1] if quoted[1] in params else "…", said)
    finally:
        connection.finish()
