"""Compresses text, and says in which coding a client gets it (RFC 9110, 8.4 and 12.5.3). Pure.

Owns the codings there are, and their order.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable

import brotli  # type: ignore[import-untyped]  # it ships no types
from werkzeug.datastructures import Accept
from werkzeug.http import parse_accept_header

IDENTITY = "identity"
"""The text as it is. A client that takes no coding at all gets this one, too."""

CODINGS: dict[str, Callable[[bytes, bool], bytes]] = {
    "br": lambda text, slow: brotli.compress(text, mode=brotli.MODE_TEXT, quality=11 if slow else 4),
    "gzip": lambda text, slow: gzip.compress(text, compresslevel=9 if slow else 6, mtime=0),
}
"""The best first: among those that a client likes equally well, it gets this one."""


def in_all_codings(text: bytes, *, slow: bool = True) -> dict[str, bytes]:
    """`text` in each coding in which it is shorter, and as it is.

    `slow`: as short as it gets, for what is compressed once; otherwise longer, in a tenth of the time.
    """
    coded = {coding: compress(text, slow) for coding, compress in CODINGS.items()}
    return {coding: body for coding, body in coded.items() if len(body) < len(text)} | {IDENTITY: text}


def choose(accept_encoding: str, offered: Iterable[str]) -> str:
    """Which coding of those `offered` somebody is sent who has this Accept-Encoding; "" is none."""
    accepted = parse_accept_header(accept_encoding, Accept)
    best = max((coding for coding in offered if coding != IDENTITY), key=accepted.quality, default=IDENTITY)
    likes = accepted.quality(best)
    return best if likes > 0 and likes >= accepted.quality(IDENTITY) else IDENTITY
