"""Compresses text, and chooses the content coding for a client (RFC 9110, 8.4 and 12.5.3). Pure.

It owns the list of codings and their order.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable

import brotli  # type: ignore[import-untyped]  # it ships no types
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

IDENTITY = "identity"
"""The text as it is. A client that accepts no coding at all gets this one, too."""

CODINGS: dict[str, Callable[[bytes, bool], bytes]] = {
    "br": lambda text, slow: brotli.compress(text, mode=brotli.MODE_TEXT, quality=11 if slow else 4),
    "gzip": lambda text, slow: gzip.compress(text, compresslevel=9 if slow else 6, mtime=0),
}
"""The best first: a client gets the first of those to which it gives the same quality."""


def in_all_codings(text: bytes, *, slow: bool = True) -> dict[str, bytes]:
    """`text` in each coding in which it is shorter, and as it is.

    `slow`: the best compression, for text that is compressed once; otherwise a weaker one, in a tenth of the
    time.
    """
    coded = {coding: compress(text, slow) for coding, compress in CODINGS.items()}
    return {coding: body for coding, body in coded.items() if len(body) < len(text)} | {IDENTITY: text}


def choose(accept_encoding: str, offered: Iterable[str]) -> str:
    """The coding out of `offered` for a client that sent this Accept-Encoding; "": it sent none."""
    accepted = parse_accept_header(accept_encoding, Accept)
    best = max((coding for coding in offered if coding != IDENTITY), key=accepted.quality, default=IDENTITY)
    likes = accepted.quality(best)
    return best if likes > 0 and likes >= accepted.quality(IDENTITY) else IDENTITY
