"""The simulated kernel: the sockets and the epoll under the product's own poller and direct sockets.

The server runs `web.server.poller` and `web.server.direct` unchanged, so that reading, pausing, flushing and
the limits of sending are simulated too. The buffer to a client has a limited size: a client that does not
read fills it, and then the server's `send` takes only a part, or nothing. Readiness is level-triggered, as
epoll's is. The order in which ready sockets are returned, and how many get their turn before other tasks
run, are drawn from the seed.
"""

from __future__ import annotations

import heapq
import os
import socket
from collections import deque
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Protocol

import trio

from web.server.direct import CHUNK_BYTES, GONE, LEAVING, READABLE, WRITABLE
from web.server.poller import SLICE_S

HALF_A_SLICE_S = SLICE_S / 2
"""A step of the clock that ends no slice by itself; several do."""

MERGED = 0.8
"""How likely one read returns the next part too, if several parts wait."""


class Timetable:
    """Calls functions at times on trio's clock, in order; those of the same time in a random order."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._calls: list[tuple[float, float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._news = trio.Event()

    def at(self, time: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._calls, (time, self._chance.random(), next(self._numbers), call))
        self._news.set()

    async def run(self) -> None:
        while True:
            now = trio.current_time()
            while self._calls and self._calls[0][0] <= now:
                heapq.heappop(self._calls)[-1]()
            self._news = trio.Event()
            until = self._calls[0][0] if self._calls else trio.current_time() + 10**6
            with trio.move_on_at(until):
                await self._news.wait()


class Client(Protocol):
    """The other end of a socket."""

    def server_reads(self) -> None:
        """The server is about to read."""

    def server_writes(self, data: bytes) -> int:
        """The server writes `data`. Returns how many bytes there was room for."""

    def server_has_closed(self, *, by_force: bool) -> None:
        """The server has closed: nothing more follows; by force, also what was not read yet is lost."""


class Kernel:
    """The sockets of one run. `timetable` says when data arrive."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(f"{seed} kernel")
        self.timetable = Timetable(self.chance)
        self.sockets: dict[int, SimulatedSocket] = {}
        self._numbers = count(1)
        self._seconds = 0.0

    def socket(self, client: Client) -> SimulatedSocket:
        """The server's end of a connection that was just accepted."""
        made = SimulatedSocket(self, next(self._numbers), client)
        self.sockets[made.fileno()] = made
        return made

    def epoll(self) -> SimulatedEpoll:
        """What the poller gets instead of `select.epoll()`."""
        return SimulatedEpoll(self)

    def perf_counter(self) -> float:
        """What the poller gets instead of the real clock: it makes slices end at any moment."""
        self._seconds += self.chance.choice((0.0, 0.0, HALF_A_SLICE_S, 2 * SLICE_S))
        return self._seconds


class SimulatedSocket:
    """What `DirectSocket` uses of `socket.socket`."""

    def __init__(self, kernel: Kernel, number: int, client: Client) -> None:
        self._kernel = kernel
        self._number = number
        self._client = client
        self._unread: deque[bytes] = deque()
        self._has_ended = False
        self.is_broken = False
        self._resets = False
        self.epoll: SimulatedEpoll | None = None
        self.has_room = True

    # For the client

    def arrive(self, data: bytes) -> None:
        """Data have arrived from the client."""
        if not (self.is_broken or self._number == -1):
            self._unread.append(data)
            self._tell()

    def end(self) -> None:
        """The client sends nothing more."""
        self._has_ended = True
        self._tell()

    def breaks(self) -> None:
        """The connection is reset: what was not read is lost, and reads and writes fail."""
        self.is_broken = True
        self._unread.clear()
        self._tell()

    def room_changed(self, has_room: bool) -> None:
        """The buffer to the client has room again, or none."""
        self.has_room = has_room
        self._tell()

    # For epoll

    @property
    def events(self) -> int:
        """What epoll would report, if all of it were asked for."""
        events = READABLE if self._unread or self._has_ended or self.is_broken else 0
        if self.has_room or self.is_broken:
            events |= WRITABLE
        if self._has_ended or self.is_broken:
            events |= LEAVING
        return events | GONE if self.is_broken else events

    def _tell(self) -> None:
        if self.epoll is not None:
            self.epoll.poke(self._number)

    # For the server

    def fileno(self) -> int:
        return self._number

    def recv(self, size: int) -> bytes:
        assert size == CHUNK_BYTES
        self._client.server_reads()
        self._fail_if_broken()
        if not self._unread:
            if self._has_ended:
                return b""
            raise BlockingIOError
        data = self._unread.popleft()
        while (
            self._unread
            and len(data) + len(self._unread[0]) <= size
            and self._kernel.chance.random() < MERGED
        ):
            data += self._unread.popleft()
        return data

    def send(self, data: bytes) -> int:
        self._fail_if_broken()
        taken = self._client.server_writes(data)
        self._fail_if_broken()
        if not taken:
            raise BlockingIOError
        return taken

    def _fail_if_broken(self) -> None:
        if self.is_broken:
            raise ConnectionResetError

    def setsockopt(self, *_: object) -> None:
        self._resets = True  # the only option that is set later: to reset the connection at its end

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self._fail_if_broken()
        self._client.server_has_closed(by_force=False)

    def close(self) -> None:
        if self._number != -1:
            del self._kernel.sockets[self._number]
            self._number = -1
            self._client.server_has_closed(by_force=self._resets or bool(self._unread))


class SimulatedEpoll:
    """What `Poller` uses of `select.epoll`. Its descriptor is that of a real pipe, for trio to wait for."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._asked_for: dict[int, int] = {}
        self._maybe_ready: dict[int, None] = {}  # a set in the order in which they became so
        self._wakes, self._wake = os.pipe()
        self._is_awake = False
        self.closed = False

    def fileno(self) -> int:
        return self._wakes

    def register(self, number: int, events: int) -> None:
        self._kernel.sockets[number].epoll = self
        self.modify(number, events)

    def modify(self, number: int, events: int) -> None:
        self._asked_for[number] = events | GONE
        self.poke(number)

    def unregister(self, number: int) -> None:
        del self._asked_for[number]
        self._maybe_ready.pop(number, None)
        self._kernel.sockets[number].epoll = None

    def poke(self, number: int) -> None:
        """Something has changed for this socket."""
        if self._ready(number):
            self._maybe_ready[number] = None
            if not self._is_awake:
                self._is_awake = True
                os.write(self._wake, b"!")

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        assert timeout == 0
        self._maybe_ready = {number: None for number in self._maybe_ready if self._ready(number)}
        numbers = list(self._maybe_ready)
        self._kernel.chance.shuffle(numbers)
        if not numbers and self._is_awake:
            self._is_awake = False
            os.read(self._wakes, 1)
        return [(number, self._ready(number)) for number in numbers[:most]]

    def close(self) -> None:
        self.closed = True
        os.close(self._wake)
        os.close(self._wakes)

    def _ready(self, number: int) -> int:
        return self._asked_for[number] & self._kernel.sockets[number].events
