"""Every frame that is not simply a whole text: fragments, pings, binary, closing, violations (RFC 6455).

A `Framing` is the sans-I/O protocol of the `websockets` library and what waits in it. A connection has one
only while there is something for it to do, which with a browser is at the end: see `web.server.direct`. Pure.
"""

from __future__ import annotations

from collections import deque

from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, State

from web.server.config import logger

DATA = frozenset((Opcode.TEXT, Opcode.BINARY, Opcode.CONT))

CONTROL_MAX_BYTES = 125
"""The largest payload of a control frame (RFC 6455, 5.5)."""


class Framing:
    """What one connection, until now between two messages, says from now on."""

    __slots__ = ("_fragments", "_library", "_unheard", "_unparsed_bytes")

    def __init__(self, message_max_bytes: int) -> None:
        # To the library, a control frame between fragments counts as a part of the message.
        self._library = Protocol(SERVER, max_size=message_max_bytes + CONTROL_MAX_BYTES, logger=logger)
        self._unheard: deque[Frame] = deque()
        self._fragments: list[bytes] | None = None
        self._unparsed_bytes = 0

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed, nor broken the rules."""
        return self._library.state is State.OPEN

    @property
    def is_heard(self) -> bool:
        """Whether `next_message` has given all that has come whole."""
        return not self._unheard

    @property
    def is_idle(self) -> bool:
        """Whether the connection is between two messages again, and nothing waits."""
        return not (self._unparsed_bytes or self._unheard) and self._fragments is None and self.is_open

    def receive(self, data: bytes) -> None:
        """Take in what the client sent."""
        self._library.receive_data(data)
        self._unparsed_bytes += len(data)
        for frame in self._library.events_received():
            assert isinstance(frame, Frame), "there is no handshake here"
            self._unparsed_bytes -= _least_size(frame)
            self._unheard.append(frame)

    def to_send(self) -> list[bytes]:
        """What this side has to say since the last call: pongs, a close. To be sent in this order."""
        # An empty one says that the end has come; so does `is_open`.
        return [data for data in self._library.data_to_send() if data]

    def next_message(self) -> tuple[int, bytes] | None:
        """The next message that has come whole: its opcode and payload."""
        while self._unheard:
            frame = self._unheard.popleft()
            if frame.opcode in DATA and (message := self._gather(frame)) is not None:
                return message
        return None

    def _gather(self, frame: Frame) -> tuple[int, bytes] | None:
        """One message, or with the last part of one, the message (RFC 6455, 5.4)."""
        if self._fragments is None and frame.fin:
            return frame.opcode, bytes(frame.data)
        if self._fragments is None:
            self._fragments = [bytes((frame.opcode,))]
        if frame.data:
            self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return None
        (opcode,), *parts = self._fragments
        self._fragments = None
        return opcode, b"".join(parts)

    def close(self, code: int, reason: str) -> None:
        """Begin to close."""
        self._library.send_close(code, reason)

    def fail(self, code: int, reason: str) -> None:
        """Close because the client broke a rule."""
        self._library.fail(code, reason)


def _least_size(frame: Frame) -> int:
    """Bytes of a client's frame. It may have had more, if its length was not in the shortest form."""
    size = len(frame.data)
    return size + (6 if size < 126 else 8 if size < 0x10000 else 14)
