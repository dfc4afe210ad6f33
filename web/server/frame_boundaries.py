"""Finds where frames end by their headers alone, without unmasking or checking anything (RFC 6455, 5.2).

So the data of one read can be counted and passed on frame by frame. The end of a malformed frame may be
wrong; the decoder refuses such a frame before that matters. This module is pure.
"""

from __future__ import annotations

TWO_BYTES, EIGHT_BYTES = 126, 127
"""The size fields after which two or eight bytes with the real size follow."""

HEAD_MAX = 10
"""The most bytes of a header up to the end of its size."""

MASK_BYTES = 4


class Cutter:
    """Follows the frames of one client, however they are cut into packets."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = b""  # the beginning of a header whose size field is incomplete
        self._left = 0

    @property
    def is_between(self) -> bool:
        """Whether no frame has begun and not ended."""
        return not (self._left or self._head)

    def end(self, data: bytes, start: int) -> int:
        """The end of the frame, or part of one, that begins or continues at `start`. Call once for each."""
        if not self._left:
            head = self._head + data[start : start + HEAD_MAX - len(self._head)]
            size = frame_size(head)
            if size is None:
                self._head = head
                return len(data)
            self._left = size - len(self._head)
            self._head = b""
        end = min(start + self._left, len(data))
        self._left -= end - start
        return end


def frame_size(head: bytes) -> int | None:
    """The total size in bytes of the masked frame that begins with `head`; None if `head` is too short."""
    if len(head) < 2:
        return None
    size, known = head[1] & 0x7F, 2
    if size >= TWO_BYTES:
        known = 4 if size == TWO_BYTES else HEAD_MAX
        if len(head) < known:
            return None
        size = int.from_bytes(head[2:known], "big")
    return known + MASK_BYTES + size
