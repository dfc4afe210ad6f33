"""Who somebody is, and whom they want to meet."""

from __future__ import annotations

from msgspec import Struct

from studymatch.rules.protocol import Criteria


class Person(Struct, frozen=True):
    """Who somebody is, whatever they do: a guest of one browser tab."""

    id: str
    name: str


class Wish(Struct, frozen=True):
    """Whom somebody wants to meet, and how long they have waited already.

    `back`: they come back from a match that did not become a call, and go to the head of the queue.
    """

    criteria: Criteria
    waited_s: float = 0.0
    back: bool = False
