"""Registers visitors: over HTTP as the page does, or with a function that makes tokens."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from crowd.target import Target
from crowd.wire import USER_AGENT

_TRIES = 3
_LIMIT_S = 30
_WAIT_MAX_S = 60.0
"""The longest that the crowd waits until the server accepts one more guest."""


class Guest(NamedTuple):
    """A registered person: an id and the token to connect with."""

    id: str
    token: str


MakeGuests: TypeAlias = Callable[[Iterable[str]], Iterator[Guest]]
"""Makes a guest for each name with the server's key. It must be picklable."""


class NoGuestError(Exception):
    """The server did not register a guest. The text says why."""


class TooManyError(NoGuestError):
    """The server registers no guest for `wait_s` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(
            "POST /api/guest: 429. What this run meets is the server's budget for one address, not its "
            "speed: give the server's --secret, have fewer --people, or raise the server's "
            "--address-guests-burst and --address-requests-burst."
        )
        self.wait_s = wait_s


def registered(target: Target, names: Iterator[str]) -> Iterator[Guest]:
    """Make guests by POST /api/guest, one after the other, on as few connections as the server allows.

    After a 429 answer the request is repeated when its `Retry-After` has passed.

    Raises:
        NoGuestError: the server cannot be reached, refuses, or answers 429 for too long.
    """
    connection = _connection(target)
    headers = {
        "Host": target.host,
        "Origin": target.origin,
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
    }
    try:
        for name in names:
            yield _patiently(connection, json.dumps({"name": name}), headers)
    finally:
        connection.close()


def _patiently(connection: http.client.HTTPConnection, body: str, headers: dict[str, str]) -> Guest:
    left_s = _WAIT_MAX_S
    while True:
        try:
            return _post(connection, body, headers)
        except TooManyError as error:
            left_s -= error.wait_s
            if left_s < 0:
                raise NoGuestError(str(error)) from None
            time.sleep(error.wait_s)


def _connection(target: Target) -> http.client.HTTPConnection:
    if target.name is None:
        return http.client.HTTPConnection(target.address[0], target.port, timeout=_LIMIT_S)
    return http.client.HTTPSConnection(target.name, target.port, timeout=_LIMIT_S, context=target.tls())


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
        if answer.status == 429:
            raise TooManyError(_seconds(answer.headers.get("Retry-After")))
        if answer.status != 201:
            raise NoGuestError(f"POST /api/guest: expected 201, got {answer.status} {text[:200]!r}")
        guest = json.loads(text)
        return Guest(guest["user"]["id"], guest["token"])
    raise AssertionError


def _seconds(retry_after: str | None) -> float:
    """The seconds of a `Retry-After` header; one second if it is missing or invalid."""
    return max(1.0, float(retry_after)) if retry_after is not None and retry_after.isdecimal() else 1.0


def enrol(
    target: Target,
    names: Iterator[str],
    *,
    make_guests: MakeGuests | None,
    needed: bool,
    enrolled: Callable[[int], None],
) -> list[Guest]:
    """Register a guest for each name, and call `enrolled` with their number now and then.

    `make_guests` makes them without the server; with None each is registered over HTTP.

    Raises:
        NoGuestError: the server refuses.
    """
    if not needed:
        return [Guest(name, "") for name in names]
    guests: list[Guest] = []
    for guest in make_guests(names) if make_guests else registered(target, names):
        guests.append(guest)
        if len(guests) % 100 == 0:
            enrolled(len(guests))
    return guests
