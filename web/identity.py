"""Creates and verifies the signed tokens of guests.

A guest is one browser tab. The token contains its identity and the time of its creation. It is signed, so
nobody can impersonate a guest, and it never appears in a URL or a log. Its content is validated like any
input, because an earlier version may have signed what this one would not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from actors import let_go
from studymatch.ids import new_id
from studymatch.messages import Guest
from studymatch.rules.names import accept_name
from studymatch.rules.people import Person

SALT = "studymatch guest"

LEEWAY_S = 60.0
"""How far ahead of this clock the creation time of a token may be: clocks differ, and are set back."""


class Identities:
    """Makes guests, and recognises them. Tokens are valid for `life_s` seconds of wall clock.

    The first of `secrets` signs; a token of any of them is valid.
    """

    def __init__(self, secrets: tuple[str, ...], life_s: float, new_id: Callable[[], str] = new_id) -> None:
        oldest_first = secrets[::-1]  # the order that itsdangerous expects
        self._serializer = URLSafeTimedSerializer(oldest_first, salt=SALT)
        # The serializer would create one for each token: 6 of 16 µs.
        self._signer = TimestampSigner(oldest_first, salt=SALT)
        self._life_s = life_s
        self._new_id = new_id

    def new_guest(self, name: str) -> tuple[Person, str]:
        """A new person, and their token. `name` is a result of `accept_name`."""
        person = Person(self._new_id(), name)
        return person, self._token(person)

    def recognise(self, token: str) -> Guest | None:
        """The guest that a token identifies; None if no secret signed it, or it names no person.

        The result has a new token if this one is in the second half of its life, has expired, or is not valid
        yet. The hall decides what an expired token may still do.
        """
        try:
            payload, made_at = self._signer.unsign(token, return_timestamp=True)
            person = _person(self._serializer.load_payload(payload))
        except (BadData, ValueError, OverflowError, OSError) as error:  # the last two: a time out of range
            let_go(error)  # itsdangerous keeps a reference to the exception
            return None
        age_s = self._signer.get_timestamp() - made_at.timestamp()
        expired = not -LEEWAY_S <= age_s <= self._life_s
        is_old = expired or age_s > self._life_s / 2
        return Guest(person, expired, self._token(person) if is_old else None)

    def _token(self, person: Person) -> str:
        return self._serializer.dumps([person.id, person.name])


def _person(said: Any) -> Person:
    """The person that the payload of a token names.

    Raises:
        ValueError: it names no person that the database could record.
    """
    match said:
        case [str(person_id), str(name)] if str(UUID(person_id)) == person_id:
            return Person(person_id, accept_name(name))
    raise ValueError("it is no id and a name")
