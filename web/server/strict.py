"""A strict request parser: h11's without its leniency, and without the references that its errors hold.

If a proxy and a server parse the same bytes differently, one of them can be made to take a part of a request
for another request (request smuggling). So an ambiguous request is refused, and its connection closed.
"""

from __future__ import annotations

import re
from typing import Any

import h11
from h11._receivebuffer import ReceiveBuffer, blank_line_regex

from actors import let_go

_LENGTH = re.compile(rb"\ncontent-length[ \t]*:([^\r\n]*)", re.IGNORECASE)
_FOLDED = re.compile(rb"\n[ \t]")


class StrictBuffer(ReceiveBuffer):
    """Lines must end with CR LF, may not be folded, and give a length once (RFC 9112, 2.2, 5.2, 6.3)."""

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """The lines of a head, or of the trailers of a chunked body, if all of them have arrived."""
        end = blank_line_regex.search(self._data, self._multiple_lines_search)
        if end is not None:
            head = self._data[: end.end()]
            line_ends = head.count(b"\r\n")
            if head.count(b"\n") != line_ends or head.count(b"\r") != line_ends:
                raise h11.LocalProtocolError("a line that does not end with CR LF")
            if _FOLDED.search(head):
                raise h11.LocalProtocolError("a folded line")
            lengths = _LENGTH.findall(head)
            if len(lengths) > 1 or any(b"," in length for length in lengths):
                raise h11.LocalProtocolError("more than one length")
        lines: list[bytearray] | None = super().maybe_extract_lines()
        return lines


class StrictConnection(h11.Connection):
    """The parser of one connection."""

    def __init__(self, **limits: Any) -> None:
        super().__init__(h11.SERVER, **limits)
        self._receive_buffer = StrictBuffer()

    def next_event(self) -> Any:
        """The next event. Raises h11.RemoteProtocolError, without the exceptions that h11 chains to it."""
        try:
            return super().next_event()
        except h11.RemoteProtocolError as error:
            let_go(error)
            raise h11.RemoteProtocolError(str(error), error.error_status_hint) from None
