"""Registers people with the server: over HTTP as the page does, or, with the server's key, by oneself."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

from web.crowd.place import Place
from web.crowd.wire import USER_AGENT
from web.identity import Identities

_TRIES = 3
_LIMIT_S = 30


class Guest(NamedTuple):
    """Somebody who may connect."""

    id: str
    token: str


class NoGuestError(Exception):
    """The server did not take somebody in. The text says why."""


def made(secret: str, names: Iterator[str]) -> Iterator[Guest]:
    """Guests by the key of the server: nothing goes over the wire."""
    identities = Identities(secret, 3600)
    for name in names:
        person, token = identities.new_guest(name)
        yield Guest(person.id, token)


def registered(place: Place, names: Iterator[str]) -> Iterator[Guest]:
    """Guests by POST /api/guest, one after the other on as few connections as the server allows.

    Raises:
        NoGuestError: it cannot be reached, or refuses.
    """
    connection = http.client.HTTPConnection(place.address[0], place.port, timeout=_LIMIT_S)
    headers = {
        "Host": place.host,
        "Origin": f"http://{place.host}",
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
    }
    try:
        for name in names:
            yield _post(connection, json.dumps({"name": name}), headers)
    finally:
        connection.close()


def _post(connection: http.client.HTTPConnection, body: str, headers: dict[str, str]) -> Guest:
    for tries_left in reversed(range(_TRIES)):
        try:
            connection.request("POST", "/api/guest", body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # the server may end a connection between two requests
            if not tries_left:
                raise NoGuestError(f"POST /api/guest: {error or type(error).__name__}") from None
            continue
        if answer.status != 201:
            raise NoGuestError(f"POST /api/guest: expected 201, got {answer.status} {text[:200]!r}")
        guest = json.loads(text)
        return Guest(guest["user"]["id"], guest["token"])
    raise AssertionError


def enrol(
    place: Place, names: Iterator[str], *, secret: str | None, needed: bool, enrolled: Callable[[int], None]
) -> list[Guest]:
    """Register everybody; `enrolled` is told now and then how many there are.

    Raises:
        NoGuestError: the server refuses.
    """
    if not needed:
        return [Guest(name, "") for name in names]
    guests: list[Guest] = []
    for guest in made(secret, names) if secret else registered(place, names):
        guests.append(guest)
        if len(guests) % 100 == 0:
            enrolled(len(guests))
    return guests
