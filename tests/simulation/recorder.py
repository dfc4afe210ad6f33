"""Records the transcripts of simulated pages, and collects the evidence of a run for the shared checks."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import trio

from tests.promises.evidence import Evidence, Row, Rules, Searched
from tests.promises.transcript import Transcript
from tests.simulation.network import Frame, Wire

if TYPE_CHECKING:
    from tests.simulation.people import Page
    from tests.simulation.world import World

SLACK_S = 30.0
"""The tolerance for slow connections, and for pages that do not read."""

CLOCKS_S = 0.002
"""The tolerance for times in whole milliseconds: there is one clock only."""


class Recorder:
    """Writes the transcript of each page of a run."""

    def __init__(self) -> None:
        self._of_page: dict[int, Transcript] = {}
        self._open: dict[int, tuple[Page, Transcript, int]] = {}

    @property
    def transcripts(self) -> list[Transcript]:
        """The transcripts of all pages so far."""
        return list(self._of_page.values())

    def opened(self, page: Page, wire: Wire) -> None:
        """Record a new connection of a page."""
        transcript = self._of_page.setdefault(id(page), Transcript(page.person.id, clock=trio.current_time))
        self._open[wire.number] = page, transcript, transcript.opened()

    def said(self, wire: Wire, message: str) -> None:
        """Record what a page sends; nonsense gets a type of its own."""
        if wire.number not in self._open:
            return
        _, transcript, link = self._open[wire.number]
        said: Any = json.loads(message) if message else None
        transcript.said(link, said if isinstance(said, dict) else {"type": "nonsense", "text": message})

    def heard(self, wire: Wire, frame: Frame) -> None:
        """Record what a page receives. The page itself changes the state that it received: hence the copy."""
        if wire.number not in self._open:
            return
        _, transcript, link = self._open[wire.number]
        partner = frame.get("partner")
        transcript.heard(link, frame | {"partner": dict(partner)} if partner else frame)

    def over(self, wire: Wire) -> None:
        """The server's conversation has ended. A page that still uses the connection learns it later."""
        if wire.number in self._open and self._open[wire.number][0].wire is not wire:
            self.closed(wire)

    def closed(self, wire: Wire) -> None:
        """Record that a page has lost its connection, or has given it up."""
        if wire.number in self._open:
            _, transcript, link = self._open.pop(wire.number)
            transcript.closed(link, wire.code)


def evidence_of(world: World) -> Evidence:
    """All evidence of a run that has ended."""
    settings, store = world.settings, world.store
    return Evidence(
        world.recorder.transcripts,
        [Row.of(session, row) for session, row in store.rows.items()],
        Rules(
            grace_s=settings.grace_s,
            apart_s=settings.apart_s,
            heartbeat_s=settings.heartbeat_s,
            search_again_s=settings.search_again_s,
            slack_s=SLACK_S,
            clocks_s=CLOCKS_S,
        ),
        stops=world.stopped_at,
        taken=dict(world.accepted),
        searches=_searches(world),
        arrived=_arrived(world),
    )


def _searches(world: World) -> dict[tuple[str, str], Searched]:
    """The searches that led to a match, by the journal: the clock may have jumped before the page learned."""
    found: dict[tuple[str, str], Searched] = {}
    began: dict[str, float] = {}
    for line in world.lines.events("moved"):
        person = line["actor"].removeprefix("user ")
        if line["to"] == "searching":
            began[person] = float(line["at"])
        elif line["from"] == "searching" and line.get("session") is not None:
            search = Searched(began[person], int(line["lasted_ms"]) / 1000)
            found.setdefault((person, line["session"]), search)  # a restart repeats the line
    return found


def _arrived(world: World) -> dict[str, list[float]]:
    """When each person got an actor, by the journal; not one that was restored after a restart."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for line in world.lines.events("arrived"):
        found[line["actor"].removeprefix("user ")].append(float(line["at"]))
    return found
