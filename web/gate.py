"""Decides which hellos and frames of the protocol a reception accepts, by rate and by form.

A reception has one `Gate`. It counts in the accounts of the hall (`person.accounts`), by person and by
address, so a client cannot renew its limits by reconnecting. A client beyond a limit first gets an error. If
it goes on, the server closes its connection, and newcomers from its address have to wait. The gate does no
I/O and does not depend on the states of people.
"""

from __future__ import annotations

from studymatch.messages import Refused
from studymatch.person.accounts import Accounts
from studymatch.person.user import User
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.people import Person
from studymatch.rules.protocol import (
    Chat,
    Inbound,
    Malformed,
    Signal,
    decode,
    number_of,
)
from studymatch.rules.waits import Wait, Why

Message = str | bytes | None
"""The payload of a WebSocket message. Only text can be a frame of the protocol."""

TOO_FAST = "Too many frames at once; this one was dropped. Please slow down."


class Gate:
    """The gate of one reception; it counts in `accounts`. `now` is trio's clock."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def hello(self, person: Person | None, address: str | None, now: float, *, resumes: bool) -> Wait | None:
        """Count a hello of `person` (None: the token is not valid). Returns the wait; None: accepted."""
        who = None if person is None else person.id
        wait = self._accounts.hello(who, address, now, resumes=resumes)
        if wait is not None and wait.why is not Why.FULL:
            self._accounts.hung_up_on(address, now)
        return wait

    def flooded(self, address: str | None, now: float) -> None:
        """A connection from `address` is closed for a flood below the protocol: newcomers from there wait."""
        self._accounts.hung_up_on(address, now)

    def check(
        self, message: Message, user: User, address: str | None, now: float
    ) -> Inbound | Refused | CloseCode:
        """The frame in `message`; or its refusal; or the code with which to close the connection.

        A frame is counted before it is decoded, unless it may be an answer to the partner (see `Answers`).
        """
        person = user.person.id
        if user.answers.due:
            return self._check_answer(message, user, address, now)
        if not self._accounts.frame(person, address, now):
            return self._too_fast(message, person, address, now)
        return self._read(message, person, address, now)

    def _check_answer(
        self, message: Message, user: User, address: str | None, now: float
    ) -> Inbound | Refused | CloseCode:
        person = user.person.id
        try:
            frame = read(message)
        except Malformed:
            frame = None
        if isinstance(frame, Signal | Chat):
            within = user.answers.take(now)
            return frame if within else Refused("too_fast", TOO_FAST, _number(message))
        if not self._accounts.frame(person, address, now):
            return self._too_fast(message, person, address, now)
        return self._read(message, person, address, now) if frame is None else frame

    def _read(
        self, message: Message, person: str, address: str | None, now: float
    ) -> Inbound | Refused | CloseCode:
        try:
            frame = read(message)
        except Malformed as error:
            if not self._accounts.malformed(person, now):
                return CloseCode.NO_HELLO
            return Refused("malformed", f"This frame could not be read: {error}.", _number(message))
        if isinstance(frame, Signal) and not self._accounts.signal(person, now):
            return self._too_fast(message, person, address, now)
        return frame

    def _too_fast(
        self, message: Message, person: str, address: str | None, now: float
    ) -> Refused | CloseCode:
        if self._accounts.strike(person, now):
            return Refused("too_fast", TOO_FAST, _number(message))
        self._accounts.hung_up_on(address, now)
        return CloseCode.TOO_MANY


def read(message: Message) -> Inbound:
    """The frame in `message`.

    Raises:
        Malformed: it is not a frame of this protocol.
    """
    if not isinstance(message, str):
        raise Malformed("expected a text frame")
    return decode(message)


def _number(message: Message) -> int | None:
    """The number `n` of a frame that is refused."""
    return number_of(message) if isinstance(message, str) else None
