"""For tests of actors: a sink that keeps the lines it is given."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.journal import Journal


class Lines(list[dict[str, Any]]):
    """Every line written, as a dict of its fields, `level` and `event` included."""

    def journal(self, actor: str) -> Journal:
        """A journal that writes to this list."""
        return Journal(actor, self)

    def events(self, event: str) -> list[dict[str, Any]]:
        """The lines with this event."""
        return [line for line in self if line["event"] == event]

    def write(self, level: str, actor: str, event: str, line: bytes) -> None:
        """Append a line."""
        self.append({"level": level, **msgspec.json.decode(line)})
