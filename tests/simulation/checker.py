"""The interface of checkers: small objects that observe one run, and report violations to its world.

The world calls a checker at these moments: `step` (a task has run until it waits), `rest` (all tasks wait,
and the clock is about to jump), `told` (a frame has reached a page), `recorded` (the ledger has received a
record), `closed` (a connection has ended at the server), `calm` (faults have stopped and time has passed),
`deserted` (everybody has left, and the hall is still open), `end` (the hall has closed). A checker raises
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studymatch.rules.records import LedgerMessage
    from tests.simulation.network import Frame, Wire
    from tests.simulation.people import Page
    from tests.simulation.world import World


class Checker:
    """Checks nothing; the base class. The name of a checker is that of its class.

    `promise` is the number of the promise in docs/protocol.md; 0: none. `needs` says why this checker is not
    one of the shared checks (`tests/promises`): the evidence that only the simulator has.
    """

    promise = 0
    needs = ""

    def __init__(self, world: World) -> None:
        self.world = world

    def violated(self, what: str) -> None:
        self.world.violation(f"{type(self).__name__}: {what}")

    def step(self) -> None: ...
    def rest(self) -> None: ...
    def told(self, page: Page, wire: Wire, frame: Frame) -> None: ...
    def recorded(self, record: LedgerMessage) -> None: ...
    def closed(self, wire: Wire) -> None: ...
    def calm(self) -> None: ...
    def deserted(self) -> None: ...
    def end(self) -> None: ...
