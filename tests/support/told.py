"""Takes warnings where there is no journal, which needs a running trio."""

from __future__ import annotations

from typing import Any


class Told:
    """What somebody was told: the fields of each warning, with its `event`."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def __call__(self, event: str, **fields: Any) -> None:
        """Take a warning."""
        self.lines.append({"event": event, **fields})
