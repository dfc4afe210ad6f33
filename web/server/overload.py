"""What an app may hear of a client that exceeds its budget of frames and bytes, on the ordinary path.

An app that wants it takes `scope["extensions"][OVERLOAD]` and calls it with an `Overseer`, before or after it
accepts. On the direct path the `Receiver` (`web.server.direct`) hears the same.
"""

from __future__ import annotations

from typing import Protocol

OVERLOAD = "web.server.overload"
"""Key in the `extensions` of a WebSocket's scope, where the server says when a client exceeds its budget."""


class Overseer(Protocol):
    """What is told that a client exceeds its budget, or closes. Neither call may block, or raise."""

    def too_fast(self) -> None:
        """The client has exceeded its budget and is not read for a while. The app may tell it so."""

    def closed(self, code: int) -> None:
        """The client closes, with this code (RFC 6455, 7.4); 1005 if it gave none."""

    def flooding(self) -> None:
        """The client has exceeded its budget for `flood_limit_s`. The app closes, or else the server."""
