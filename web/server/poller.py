"""One task for all direct sockets: it waits until some can be read or written, and gives each its turn.

A task that waits for each socket costs much of the price of a frame (measured: 25 of 60 µs). One task that
asks the kernel about all sockets at once costs a fraction of that, and less per frame the busier the server
is. Owns the epoll object, the set of open sockets, and their deadlines; knows nothing about frames.
"""

from __future__ import annotations

import heapq
import select
import socket
from math import inf
from time import perf_counter

import trio

from web.server.direct import DirectSocket, Receiver
from web.server.failures import report
from web.server.limits import ServerLimits

TURNS_AT_ONCE = 64
"""The most sockets that epoll returns at once: at about 30 µs each, 2 ms."""

SLICE_S = 0.002
"""How long sockets get turns before other tasks run, in real seconds, because the client determines how long
a turn takes."""

SECOND_SLICE_S = 0.00025
"""The same for sockets that had their turn and have data left: they have sent more than others at once."""


STALE_MAX = 100
"""The queue of deadlines may hold this many entries of closed sockets, beyond the number of open ones."""


class Poller:
    """The direct sockets of one server. Call `run` once; it ends after `adopted_last` and the last close."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._epoll = select.epoll()
        self._sockets: dict[int, DirectSocket] = {}
        self._new: dict[DirectSocket, float] = {}  # when they were added, the oldest first
        self._deadlines: list[tuple[float, int]] = []
        self._again: dict[DirectSocket, None] = {}  # a set in the order in which they came
        self._waiting = trio.CancelScope()
        self._is_resting = False
        self._is_stopping = False
        self._has_last = False

    def __len__(self) -> int:
        """The number of open sockets."""
        return len(self._sockets)

    def adopt(self, sock: socket.socket, receiver: Receiver, unsent: bytes) -> None:
        """Take over an accepted WebSocket; `unsent` is the unsent rest of the handshake's answer.

        If the server is stopping, the socket is closed after `receiver.opened`. If the server was cancelled,
        the socket is closed by force, and `receiver` is not called.
        """
        if self._epoll.closed:
            sock.close()
            return
        adopted = DirectSocket(sock, self, self._limits, receiver)
        self._sockets[adopted.fd] = adopted
        self._new[adopted] = trio.current_time()
        self._epoll.register(adopted.fd, 0)
        adopted.open(unsent)
        if self._is_stopping:
            adopted.go_away()

    async def run(self) -> None:
        """Give sockets their turns. Cancelling closes all of them by force."""
        try:
            while self._sockets or not self._has_last:
                with trio.CancelScope(deadline=self._next_deadline()) as self._waiting:
                    await self._give_turns()
                self._call_overdue()
        finally:
            for left in list(self._sockets.values()):
                left.lose()
            self._epoll.close()

    async def _give_turns(self) -> None:
        """Give turns until a deadline passes or the server stops. (A scope per turn costs a third more.)"""
        fd = self._epoll.fileno()
        while True:
            if self._again:
                await trio.lowlevel.checkpoint()
            else:
                self._is_resting = True
                await trio.lowlevel.wait_readable(fd)
            self._is_resting = False
            now, until = trio.current_time(), perf_counter() + SLICE_S
            for number, events in self._epoll.poll(0, TURNS_AT_ONCE):
                if perf_counter() > until:
                    await trio.lowlevel.checkpoint()
                    now, until = trio.current_time(), perf_counter() + SLICE_S
                socket = self._sockets.get(number)
                if socket is not None:  # otherwise it has been closed meanwhile
                    self._turn(socket, events, now)
            if self._again:
                self._give_second_turns(now)

    def _give_second_turns(self, now: float) -> None:
        """Continue with sockets that had their turn and have data left: at least one, for at most a slice."""
        until = perf_counter() + SECOND_SLICE_S
        for _ in range(len(self._again)):
            socket = next(iter(self._again))
            del self._again[socket]
            self._turn(socket, None, now)
            if perf_counter() > until:
                break

    def _turn(self, socket: DirectSocket, events: int | None, now: float) -> None:
        try:
            if events is None:
                socket.take_turn(now)
            else:
                socket.ready(events, now)
        except Exception as error:
            self._failed(socket, error)

    def make_room(self) -> bool:
        """Close the oldest socket that is neither established nor new. Returns False if there is none."""
        while self._new:
            oldest, since = next(iter(self._new.items()))
            if oldest.is_established:
                del self._new[oldest]
            elif trio.current_time() < since + self._limits.first_words_s:
                return False
            else:
                oldest.lose()
                return True
        return False

    def _next_deadline(self) -> float:
        return self._deadlines[0][0] if self._deadlines else inf

    def go_away(self) -> None:
        """The server stops: close every socket, and those adopted later, with a close frame."""
        self._is_stopping = True
        for open_one in list(self._sockets.values()):
            try:
                open_one.go_away()
            except Exception as error:
                self._failed(open_one, error)

    def adopted_last(self) -> None:
        """No more sockets will be adopted."""
        self._has_last = True
        self._waiting.cancel()

    def _failed(self, socket: DirectSocket, error: Exception) -> None:
        """Close one socket after its failure, which does not affect the others."""
        report(error)
        socket.lose()

    def _call_overdue(self) -> None:
        """Call `overdue` of sockets whose deadline has passed; queue one again if its deadline has moved."""
        now = trio.current_time()
        while self._deadlines and self._deadlines[0][0] <= now:
            noted_at, fd = heapq.heappop(self._deadlines)
            socket = self._sockets.get(fd)
            if socket is None or noted_at != socket.scheduled_at:
                continue  # it has closed, or is queued again for an earlier time
            socket.scheduled_at = inf
            if socket.deadline <= now:
                try:
                    socket.overdue()
                except Exception as error:
                    self._failed(socket, error)
            self.schedule(socket)

    # For the sockets

    def watch(self, socket: DirectSocket, events: int) -> None:
        """Wake `socket` for these events of epoll."""
        self._epoll.modify(socket.fd, events)

    def schedule(self, socket: DirectSocket) -> None:
        """Record that the deadline of `socket` may have moved earlier."""
        deadline = socket.deadline
        if deadline < socket.scheduled_at and self._sockets.get(socket.fd) is socket:
            socket.scheduled_at = deadline
            heapq.heappush(self._deadlines, (deadline, socket.fd))
            self._waiting.deadline = min(self._waiting.deadline, deadline)

    def again(self, socket: DirectSocket) -> None:
        """Let `socket` handle the rest of its data after the turns of other sockets."""
        self._again[socket] = None
        if self._is_resting:
            self._is_resting = False
            self._waiting.deadline = -inf

    def forget(self, socket: DirectSocket) -> None:
        """`socket` is about to be closed."""
        del self._sockets[socket.fd]
        self._new.pop(socket, None)
        self._again.pop(socket, None)
        self._epoll.unregister(socket.fd)
        if len(self._deadlines) > STALE_MAX + 2 * len(self._sockets):
            self._deadlines = [
                (it.scheduled_at, it.fd) for it in self._sockets.values() if it.scheduled_at < inf
            ]
            heapq.heapify(self._deadlines)
        if self._has_last and not self._sockets:
            self._waiting.cancel()
