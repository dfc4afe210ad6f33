"""Decodes every frame that is not a whole text: fragments, pings, binary, closing, violations (RFC 6455).

A `Framing` is the sans-I/O protocol of the `websockets` library and the parts of a message. A connection has
one only while it is needed, which for a browser is at the end: see `web.server.direct`. It gets at most one
frame at a time, so no complete frame waits in it. This module is pure.
"""

from __future__ import annotations

from collections.abc import Generator

from websockets.frames import Frame, Opcode
from websockets.protocol import SERVER, Protocol, State

from actors import let_go
from web.server.config import logger
from web.server.frame_boundaries import Cutter

DATA = frozenset((Opcode.TEXT, Opcode.BINARY, Opcode.CONT))

CONTROL_MAX_BYTES = 125
"""The largest payload of a control frame (RFC 6455, 5.5)."""


class Framing:
    """Decodes the frames of one connection, beginning between two messages."""

    __slots__ = ("_cutter", "_fragments", "_library", "_opcode", "_parser")

    def __init__(self, message_max_bytes: int) -> None:
        # To the library, a control frame between fragments counts as a part of the message.
        self._library = Protocol(SERVER, max_size=message_max_bytes + CONTROL_MAX_BYTES, logger=logger)
        self._take_parser()
        self._cutter = Cutter()
        self._opcode: int | None = None  # of the message whose fragments are being gathered
        self._fragments = bytearray()

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed, nor broken the rules."""
        return self._library.state is State.OPEN

    @property
    def is_idle(self) -> bool:
        """Whether the connection is between two messages again."""
        return self._opcode is None and self._cutter.is_between and self.is_open

    @property
    def is_between(self) -> bool:
        """Whether no frame has begun and not ended."""
        return self._cutter.is_between

    def end(self, data: bytes, start: int) -> int:
        """The end of the frame, or of its part, at `start`: exactly what `receive` expects next."""
        return self._cutter.end(data, start)

    def receive(self, frame: bytes) -> tuple[int, bytes] | None:
        """Decode one frame, or a part of one. Returns the opcode and payload of a message it completes."""
        self._library.parser = self._parser
        self._library.receive_data(frame)
        self._take_parser()
        if (violation := self._library.parser_exc) is not None:
            let_go(violation)  # breaks a reference cycle: the library keeps the exception
        for event in self._library.events_received():
            assert isinstance(event, Frame), "there is no handshake here"
            if event.opcode in DATA:
                return self._gather(event)
        return None

    def to_send(self) -> list[bytes]:
        """The frames to send since the last call, such as a pong or a close, in this order."""
        # The library marks the end with an empty item; `is_open` says the same.
        return [data for data in self._library.data_to_send() if data]

    def _gather(self, frame: Frame) -> tuple[int, bytes] | None:
        """Returns a message: an unfragmented one, or one that its last fragment completes (RFC 6455, 5.4)."""
        if self._opcode is None:
            if frame.fin:
                return frame.opcode, bytes(frame.data)
            self._opcode = frame.opcode
        self._fragments += frame.data  # joined at once: a list of tiny fragments takes more memory
        if not frame.fin:
            return None
        message = self._opcode, bytes(self._fragments)
        self._opcode, self._fragments = None, bytearray()
        return message

    @property
    def client_code(self) -> int | None:
        """The client's close code; None if it has not closed."""
        closed = self._library.close_rcvd
        return None if closed is None else closed.code

    def close(self, code: int, reason: str) -> None:
        """Begin to close."""
        self._library.send_close(code, reason)

    def fail(self, code: int, reason: str) -> None:
        """Close because the client broke a rule."""
        self._library.fail(code, reason)
        self._take_parser()

    def _take_parser(self) -> None:
        """Break a reference cycle: the library's object keeps a generator that refers to the object."""
        self._parser: Generator[None, None, None] = vars(self._library).pop("parser")
