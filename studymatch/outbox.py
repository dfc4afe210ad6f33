"""The outbox: numbers what goes to one person, and remembers what may have to be told again.

A socket can drop with frames inside it, and a person may be away while their partner goes on talking.
Snapshots need no memory (a fresh one makes the page right), but signals and chat do: they are kept
until the session they belong to is over, and those that the browser did not see follow it when it
comes back, once, in order, under new numbers. This module is pure.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from studymatch.protocol import numbered


class Outbox:
    """Frames for one person, in order.

    `kept_max` frames of `kept_max_bytes` are remembered. Of those already sent the oldest are forgotten
    beyond that, since they have long arrived; a frame never sent is not forgotten in silence: see `keep`.
    """

    __slots__ = ("_bytes", "_kept", "_kept_max", "_kept_max_bytes", "seq")

    def __init__(self, kept_max: int, kept_max_bytes: int) -> None:
        self._kept_max = kept_max
        self._kept_max_bytes = kept_max_bytes
        self._kept: deque[tuple[int | None, bytes]] = deque()
        self._bytes = 0
        self.seq = 0

    def __len__(self) -> int:
        """How many frames are remembered."""
        return len(self._kept)

    def number(self, body: bytes) -> bytes:
        """The frame `body` with the next number: to be sent now, and not remembered."""
        self.seq += 1
        return numbered(body, self.seq)

    def send(self, body: bytes) -> bytes:
        """The frame `body` with the next number: to be sent now, and remembered."""
        frame = self.number(body)
        self._remember(self.seq, body)
        return frame

    def keep(self, body: bytes) -> bool:
        """Remember `body` for someone who is away. Returns False when there is no room for it."""
        self._remember(None, body)
        return not self._over()

    def _remember(self, seq: int | None, body: bytes) -> None:
        self._kept.append((seq, body))
        self._bytes += len(body)
        while self._over() and self._kept[0][0] is not None:
            _, oldest = self._kept.popleft()
            self._bytes -= len(oldest)

    def _over(self) -> bool:
        return len(self._kept) > self._kept_max or self._bytes > self._kept_max_bytes

    def catch_up(self, seen: int) -> list[bytes]:
        """What somebody who has seen the frames up to number `seen` still lacks, numbered anew, in order."""
        missed = [body for seq, body in self._kept if seq is None or seq > seen]
        self.forget()
        return [self.send(body) for body in missed]

    def memory(self) -> tuple[tuple[int | None, str], ...]:
        """What is remembered, for the next life of the server: numbers (None: never sent) and frames."""
        return tuple((seq, body.decode()) for seq, body in self._kept)

    def remember(self, seq: int, memory: Iterable[tuple[int | None, str]]) -> None:
        """Go on after frame number `seq`, with the `memory` of a former life."""
        self.seq = seq
        for number, body in memory:
            self._remember(number, body.encode())

    def forget(self) -> None:
        """The session is over: nothing of it matters any more."""
        self._kept.clear()
        self._bytes = 0
