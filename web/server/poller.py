"""One task for all direct sockets: it waits until some can be read or written, and gives each its turn.

A task and a waiting place for each socket cost most of what a frame costs (measured: 25 of 60 µs); one task
that asks the kernel about all of them at once costs a fraction of it, and less the busier it gets. Owns the
epoll object, which sockets are open, and their deadlines; knows nothing of frames.
"""

from __future__ import annotations

import heapq
import select
import socket
from math import inf

import trio

from web.server.direct import DirectSocket, Receiver
from web.server.failures import report
from web.server.limits import ServerLimits

TURNS_AT_ONCE = 64
"""Sockets that get their turn before others run: at about 30 µs each, 2 ms."""


class Poller:
    """The direct sockets of one server. `run` it once; it ends after `go_away` when all have gone."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._epoll = select.epoll()
        self._sockets: dict[int, DirectSocket] = {}
        self._deadlines: list[tuple[float, int]] = []
        self._waiting = trio.CancelScope()
        self._is_stopping = False

    def __len__(self) -> int:
        """How many sockets are open."""
        return len(self._sockets)

    def adopt(self, sock: socket.socket, receiver: Receiver, unsent: bytes) -> None:
        """Own an accepted WebSocket from now on; `unsent` is what is left of the handshake's answer."""
        adopted = DirectSocket(sock, self, self._limits, receiver)
        self._sockets[adopted.fd] = adopted
        self._epoll.register(adopted.fd, 0)
        adopted.open(unsent)
        if self._is_stopping:
            adopted.go_away()

    async def run(self) -> None:
        """Give sockets their turns. Cancelling closes all of them by force."""
        try:
            while self._sockets or not self._is_stopping:
                with trio.CancelScope(deadline=self._next_deadline()) as self._waiting:
                    await self._give_turns()
                self._call_overdue()
        finally:
            for left in list(self._sockets.values()):
                left.lose()
            self._epoll.close()

    async def _give_turns(self) -> None:
        """Until a deadline has passed, or the server stops: a scope for each turn would cost a third more."""
        fd = self._epoll.fileno()
        while True:
            await trio.lowlevel.wait_readable(fd)
            turns = self._epoll.poll(0, TURNS_AT_ONCE)
            now = trio.current_time()
            for number, events in turns:
                socket = self._sockets.get(number)
                if socket is None:
                    continue  # it has closed meanwhile
                try:
                    socket.ready(events, now)
                except Exception as error:
                    self._failed(socket, error)

    def _next_deadline(self) -> float:
        return self._deadlines[0][0] if self._deadlines else inf

    def go_away(self) -> None:
        """The server stops: close every socket, in good order."""
        self._is_stopping = True
        for open_one in list(self._sockets.values()):
            try:
                open_one.go_away()
            except Exception as error:
                self._failed(open_one, error)
        self._waiting.cancel()

    def _failed(self, socket: DirectSocket, error: Exception) -> None:
        """The failure of one socket remains its own."""
        report(error)
        socket.lose()

    def _call_overdue(self) -> None:
        """Call those whose deadline has passed; one that has moved since it was noted is noted anew."""
        now = trio.current_time()
        while self._deadlines and self._deadlines[0][0] <= now:
            noted_at, fd = heapq.heappop(self._deadlines)
            socket = self._sockets.get(fd)
            if socket is None or noted_at != socket.scheduled_at:
                continue  # it has closed, or it was noted again, for an earlier time
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
        """Take note that the deadline of `socket` may have come nearer."""
        deadline = socket.deadline
        if deadline < socket.scheduled_at and self._sockets.get(socket.fd) is socket:
            socket.scheduled_at = deadline
            heapq.heappush(self._deadlines, (deadline, socket.fd))
            self._waiting.deadline = min(self._waiting.deadline, deadline)

    def forget(self, socket: DirectSocket) -> None:
        """`socket` is about to be closed."""
        del self._sockets[socket.fd]
        self._epoll.unregister(socket.fd)
        if self._is_stopping and not self._sockets:
            self._waiting.cancel()
