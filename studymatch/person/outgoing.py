"""Sends frames of one person's actor to their page: on the current connection, or later if there is none.

An `Outgoing` belongs to one user actor. It owns the outbox, knows the current connection and decides nothing.
A person without a connection is *away*: snapshots are not sent to them (they get the latest one when they are
back), signals and chat are kept. Frames of one or more turns are collected, and `flush` writes them together.
"""

from __future__ import annotations

from studymatch.messages import Connection
from studymatch.rules import sentences
from studymatch.rules.outbox import Outbox
from studymatch.rules.protocol import (
    ChatFrom,
    Error,
    PartnerChanged,
    Pong,
    Presence,
    SignalFrom,
    Snapshot,
    Welcome,
    encode,
)

COLLECTED_MAX = 64
"""The most frames that are collected: a person whose mailbox is never empty is sent their frames, too."""


class Outgoing:
    """The frames that go to the page of one person.

    `shown` is the number of the snapshot of the last change of state; None: it was not sent.
    `connection` is the present one; None: the person is away. `counted` is the last count of people that was
    sent on it.
    """

    __slots__ = ("_collected", "connection", "counted", "outbox", "shown")

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.connection: Connection | None = None
        self.shown: int | None = None
        self.counted: Presence | None = None
        self._collected: list[bytes] = []

    @property
    def present(self) -> bool:
        """Whether the person has a connection."""
        return self.connection is not None

    def saw(self, seq: int | None) -> bool:
        """Whether a page that has received the frames up to `seq` has received the last change of state."""
        return seq is not None and self.shown is not None and seq >= self.shown

    def up(self, connection: Connection, seq: int | None, welcome: Welcome, snapshot: Snapshot) -> int:
        """Make `connection` the current one.

        Sends the welcome and the snapshot, then, in order, the kept frames that this page has not received;
        `seq` is the number of the last frame that it has received. If frames are lost, an error follows.
        Returns how many are lost, at least.
        """
        self._collected.clear()
        self.connection, self.counted = connection, None
        lost = self.outbox.back(seq or 0)
        self.send(welcome)
        self.send(snapshot)
        self.shown = self.outbox.seq
        for frame in self.outbox.again():
            self._collect(frame)
        if lost:
            self._collect(self.outbox.send(encode(Error("missed", sentences.MISSED))))
        return lost

    def down(self) -> None:
        """The connection has dropped."""
        self.connection = None
        self._collected.clear()

    def flush(self) -> None:
        """No more frames follow at the moment: write the collected ones, if there are any."""
        if self._collected and self.connection is not None:
            frames, self._collected = self._collected, []
            self.connection.write(frames)

    def _collect(self, frame: bytes) -> None:
        self._collected.append(frame)
        if len(self._collected) == COLLECTED_MAX:
            self.flush()

    def show(self, snapshot: Snapshot) -> None:
        """Send a change of state now, or let `up` send it when the person is back."""
        if self.connection is None:
            self.shown = None
        else:
            self.send(snapshot)
            self.shown = self.outbox.seq

    def send(self, frame: Welcome | Snapshot | PartnerChanged | Pong | Presence | Error) -> None:
        """Send a frame that a person who is away does not need; it is not kept for them."""
        if self.connection is not None:
            self._collect(self.outbox.number(encode(frame)))

    def relay(self, frame: SignalFrom | ChatFrom) -> bool:
        """Send a frame that must arrive, now or when the person is back. Returns False if there is no
        room."""
        body = encode(frame)
        if self.connection is None:
            return self.outbox.keep(body)
        self._collect(self.outbox.send(body))
        return True

    def lacks(self, presence: Presence) -> bool:
        """Whether the person has a connection, and the last count sent on it was another."""
        return self.connection is not None and presence != self.counted

    def count(self, presence: Presence) -> None:
        """Send the number of people who are here."""
        self.counted = presence
        self.send(presence)

    def forget(self) -> None:
        """A session is over: forget its frames."""
        self.outbox.forget()
