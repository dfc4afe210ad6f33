"""The wait of a person who has reached a limit: why, and for how long."""

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
