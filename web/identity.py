"""Who somebody is: signed tokens for guests, and the key that signs them.

A guest is one browser tab. The token says who it is and when it was made; it is signed, so that nobody
can be somebody else, and it goes in no URL and no log.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer

from studymatch.ids import new_id
from studymatch.messages import Person

SALT = "studymatch guest"
SECRET_FILE = "signing.key"


class Identities:
    """Makes guests, and recognises them. Tokens are valid for `life_s` seconds of wall clock."""

    def __init__(self, secret: str, life_s: float, new_id: Callable[[], str] = new_id) -> None:
        self._serializer = URLSafeTimedSerializer(secret, salt=SALT)
        # The serializer would make one for each token: 6 of 16 µs.
        self._signer = TimestampSigner(secret, salt=SALT)
        self._life_s = life_s
        self._new_id = new_id

    def new_guest(self, name: str) -> tuple[Person, str]:
        """A person who was not here before, and their token. `name` is one that `accept_name` returned."""
        person = Person(self._new_id(), name)
        return person, self._serializer.dumps([person.id, person.name])

    def recognise(self, token: str) -> Person | None:
        """Whose token this is; None if it was not made with this key, or has expired."""
        try:
            payload = self._signer.unsign(token, max_age=round(self._life_s))
            person_id, name = self._serializer.load_payload(payload)
        except (BadData, ValueError):
            return None
        return Person(person_id, name)


def load_secret(folder: Path) -> str:
    """The signing key kept in `folder`, made at the first call, readable by this user only.

    Raises:
        OSError: it can be neither read nor written.
    """
    path = folder / SECRET_FILE
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        secret = secrets.token_urlsafe(32)
        file.write(secret + "\n")
    return secret
