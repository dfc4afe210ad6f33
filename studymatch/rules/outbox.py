"""The outbox: numbers the frames to one person, and keeps those that may have to be sent again.

A socket can drop with frames in its buffers, and a person may be away while their partner sends. A missed
snapshot is not sent again, since a new one replaces it. Signals and chat are kept until their session is
over. When the page comes back, the frames that it has not received are sent once, in order, with new numbers.
This module is pure.

A frame that is sent again has one number on each connection. A page that comes back reports the last number
that it has received; it has also received the earlier ones on the same connection. That need not be the
newest connection: a delayed `hello` may arrive after a later one, and the page never reads the answers to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from studymatch.rules.protocol import numbered

CONNECTIONS_MAX = 4
"""For how many connections the numbers are kept. A frame that was received on an older one is sent again."""

Numbers = tuple[int, ...]
"""The numbers of a frame, on the newest connection last; empty: it was never sent."""


class Outbox:
    """Frames for one person, in order.

    It remembers at most `kept_max` frames and `kept_max_bytes` bytes. Beyond that it forgets the oldest sent
    frames, which have very probably arrived, and drops a new frame for a person who is away (see `keep`).
    """

    __slots__ = (
        "_bytes",
        "_connections",
        "_kept",
        "_kept_max",
        "_kept_max_bytes",
        "forgotten",
        "seq",
        "without_room",
    )

    def __init__(self, kept_max: int, kept_max_bytes: int) -> None:
        self._kept_max = kept_max
        self._kept_max_bytes = kept_max_bytes
        self._kept: deque[tuple[Numbers, bytes]] = deque()
        self._bytes = 0
        self._connections: deque[int] = deque([1], CONNECTIONS_MAX)  # the first number on each
        self.forgotten: Numbers = ()
        """The numbers of the last frame that was sent and is not remembered, for `remember`."""
        self.seq = 0
        self.without_room = 0

    def number(self, body: bytes) -> bytes:
        """Return `body` with the next number, to send now. It is not remembered."""
        self.seq += 1
        return numbered(body, self.seq)

    def send(self, body: bytes) -> bytes:
        """Return `body` with the next number, to send now, and remember it."""
        self._remember((self.seq + 1,), body)
        return self.number(body)

    def keep(self, body: bytes) -> bool:
        """Remember `body` for a person who is away. Returns False if there is no room and it is dropped."""
        self._remember((), body)
        if not self._over():
            return True
        self._kept.pop()
        self._bytes -= len(body)
        self.without_room += 1
        return False

    def _remember(self, numbers: Numbers, body: bytes) -> None:
        self._kept.append((numbers, body))
        self._bytes += len(body)
        while self._over() and self._kept[0][0]:
            self.forgotten, oldest = self._kept.popleft()
            self._bytes -= len(oldest)

    def _over(self) -> bool:
        return len(self._kept) > self._kept_max or self._bytes > self._kept_max_bytes

    def back(self, seen: int) -> int:
        """The page has connected again; `seen` is the number of the last frame that it received, 0 if none.

        Forgets the frames that the page has received. Returns how many frames are lost, at least.
        """
        age = next((age for age, first in enumerate(reversed(self._connections), 1) if first <= seen), None)

        def has_seen(numbers: Numbers) -> bool:
            return age is not None and age <= len(numbers) and numbers[-age] <= seen

        missed = [(numbers, body) for numbers, body in self._kept if not has_seen(numbers)]
        lost = self.without_room + (self.forgotten != () and not has_seen(self.forgotten))
        self.forget()
        for numbers, body in missed:
            self._remember(numbers, body)
        self._connections.append(self.seq + 1)
        return lost

    def again(self) -> list[bytes]:
        """The frames that the page has not received, in order, with new numbers. Call it once after
        `back`."""
        frames = []
        for position, (numbers, body) in enumerate(self._kept):
            frames.append(self.number(body))
            self._kept[position] = ((*numbers, self.seq)[-CONNECTIONS_MAX:], body)
        return frames

    def connections(self) -> Numbers:
        """The first number on each of the last connections, for `remember` after a restart."""
        return tuple(self._connections)

    def memory(self) -> tuple[tuple[Numbers, str], ...]:
        """The remembered frames and their numbers, for `remember` after a restart."""
        return tuple((numbers, body.decode()) for numbers, body in self._kept)

    def remember(
        self,
        seq: int,
        memory: Iterable[tuple[Numbers, str]],
        connections: Iterable[int] = (),
        without_room: int = 0,
        forgotten: Numbers = (),
    ) -> None:
        """Go on after frame number `seq`, with what this outbox had before a restart."""
        self.seq = seq
        self.forgotten = forgotten
        self.without_room = without_room
        self._connections.extend(connections)
        for numbers, body in memory:
            self._remember(numbers, body.encode())

    def forget(self) -> None:
        """Forget all frames, because their session is over."""
        self._kept.clear()
        self._bytes = self.without_room = 0
        self.forgotten = ()
