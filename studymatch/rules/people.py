"""The identity of a person, and what they search for."""

from __future__ import annotations

from msgspec import Struct

from studymatch.rules.protocol import Criteria


class Person(Struct, frozen=True):
    """The identity of a person: a guest of one browser tab."""

    id: str
    name: str


class Wish(Struct, frozen=True):
    """What a person searches for, and how many seconds they have waited already.

    `back`: their last match did not become a call, so they go to the head of the queue.
    """

    criteria: Criteria
    waited_s: float = 0.0
    back: bool = False
