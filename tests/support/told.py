"""Collects warnings in tests without a journal, which would need a running trio."""

from __future__ import annotations

from typing import Any


class Told:
    """The fields of each warning, with its `event`."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def __call__(self, event: str, **fields: Any) -> None:
        """Store a warning."""
        self.lines.append({"event": event, **fields})
