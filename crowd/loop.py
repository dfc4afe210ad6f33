"""One process's event loop: it calls back for ready sockets and due timers.

The load generator has to cost less than the server it measures, and thousands of visitors who all do the same
gain little from trio's scopes. So this is a selector, a heap and callbacks.
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
    """Calls back, inside `run`, until `stop`. `worst_turn_s` is the duration of the longest turn."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._running = False
        self.worst_turn_s = 0.0

    def watch(self, source: _HasFileno, events: int, ready: Callable[[int], None]) -> None:
        """Call `ready` with those of `events` that `source` is ready for, until `forget`."""
        self._selector.register(source, events, ready)

    def rewatch(self, source: _HasFileno, events: int, ready: Callable[[int], None]) -> None:
        """Watch `source` for other events."""
        self._selector.modify(source, events, ready)

    def forget(self, source: _HasFileno) -> None:
        """Stop watching. Call this before `source` is closed."""
        self._selector.unregister(source)

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call once, `delay_s` from now. It cannot be cancelled: `call` checks whether it still applies."""
        heappush(self._timers, (monotonic() + delay_s, next(self._numbers), call))

    def stop(self) -> None:
        """Return from `run` after this turn."""
        self._running = False

    def run(self) -> None:
        """Run turns until stopped."""
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
            # An earlier call in this turn may have closed it.
            if key.fileobj.fileno() != -1:  # type: ignore[union-attr]
                key.data(events)
        while timers and timers[0][0] <= begun:
            heappop(timers)[2]()
        self.worst_turn_s = max(self.worst_turn_s, monotonic() - begun)


def source_socket(family: int, source: tuple[Any, ...] | None) -> socket.socket:
    """A non-blocking TCP socket, bound to the address `source` but not yet to a port."""
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if source is not None:
        made.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        made.bind(source)
    return made
