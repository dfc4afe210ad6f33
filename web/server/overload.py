"""Tells an app that a client exceeds its budget of frames and bytes, on the ordinary path.

An app that wants to know calls `scope["extensions"][OVERLOAD]` with an `Overseer`, before or after it
accepts. On the direct path the `Receiver` (`web.server.direct`) gets the same calls.
"""

from __future__ import annotations

from typing import Protocol

OVERLOAD = "web.server.overload"
"""The key in the `extensions` of a WebSocket's scope under which an app registers an `Overseer`."""


class Overseer(Protocol):
    """Is called when a client exceeds its budget, or closes. No method may block or raise."""

    def too_fast(self) -> None:
        """The client has exceeded its budget and is not read for a while. The app may tell it so."""

    def closed(self, code: int) -> None:
        """The client closes, with this code (RFC 6455, 7.4); 1005 if it gave none."""

    def flooding(self) -> None:
        """The client has exceeded its budget for `flood_limit_s`. The app closes, or else the server."""
