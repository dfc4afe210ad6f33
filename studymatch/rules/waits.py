"""Why, and for how long, a person has to wait who reached a limit."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class Why(Enum):
    """The reason for which a person has to wait."""

    SKIPS = "skips"
    NETWORK_SKIPS = "network skips"
    OFTEN = "often"
    NETWORK_OFTEN = "network often"
    FULL = "full"


class Wait(Struct, frozen=True):
    """The person has to wait `s` seconds, because of `why`."""

    s: float
    why: Why
