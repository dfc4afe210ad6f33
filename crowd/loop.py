"""One process's event loop: sockets that are ready, and timers that are due, as plain calls.

The load generator has to cost less than what it measures, and has no scopes worth owning: thousands of people
who all do the same. So it is a selector, a heap and callbacks, and not trio.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from time import monotonic
from typing import Any, Protocol

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


class Loop:
    """Calls back, in `run`, until `stop`. `worst_turn_s` is the longest that one turn has taken."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._running = False
        self.worst_turn_s = 0.0

    def watch(self, source: _HasFileno, events: int, ready: Callable[[int], None]) -> None:
        """Call `ready` with those of `events` that `source` is ready for, until it is forgotten."""
        self._selector.register(source, events, ready)

    def rewatch(self, source: _HasFileno, events: int, ready: Callable[[int], None]) -> None:
        """Watch for other events."""
        self._selector.modify(source, events, ready)

    def forget(self, source: _HasFileno) -> None:
        """Watch no longer. To be called before `source` is closed."""
        self._selector.unregister(source)

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call once, `delay_s` from now. It cannot be taken back: `call` sees whether it still matters."""
        heappush(self._timers, (monotonic() + delay_s, next(self._numbers), call))

    def stop(self) -> None:
        """Return from `run` after this turn."""
        self._running = False

    def run(self) -> None:
        """Turn after turn, until stopped."""
        self._running = True
        try:
            while self._running:
                self._turn()
        finally:
            self._selector.close()

    def _turn(self) -> None:
        timers = self._timers
        timeout = max(0.0, timers[0][0] - monotonic()) if timers else None
        ready = self._selector.select(timeout)
        begun = monotonic()
        for key, events in ready:
            # What an earlier call of this turn has closed is not ready any more.
            if key.fileobj.fileno() != -1:  # type: ignore[union-attr]
                key.data(events)
        while timers and timers[0][0] <= begun:
            heappop(timers)[2]()
        self.worst_turn_s = max(self.worst_turn_s, monotonic() - begun)


def source_socket(family: int, source: tuple[Any, ...] | None) -> socket.socket:
    """A non-blocking TCP socket, bound to the address `source` without taking a port of it yet."""
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source is not None:
        made.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        made.bind(source)
    return made
