"""The answers to requests that are refused: a small page without scripts, or JSON for programs.

Defines their sentences, and the security headers of every answer, including those of the app. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from http import HTTPStatus
from typing import NamedTuple

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""The headers of every answer. A page that needs scripts and devices replaces the policies."""

NOT_STORED = ("Cache-Control", "no-store")

WHY = {
    400: ("bad_request", "This request could not be understood."),
    403: ("forbidden", "This is not allowed."),
    404: ("not_found", "There is nothing at this address."),
    405: ("not_allowed", "This address cannot be used in this way."),
    408: ("too_slow", "The request took too long to arrive."),
    412: ("precondition_failed", "The condition of this request is not met."),
    413: ("too_large", "This is more than the server takes at once."),
    414: ("too_long", "This address is too long."),
    416: ("no_such_range", "This part of the file does not exist."),
    429: ("too_fast", "Too many requests at once. Please wait a moment."),
    431: ("too_large", "The headers of this request are too large."),
    500: ("failed", "Something went wrong here. It has been noted."),
    501: ("not_supported", "The server does not know this way of sending a body."),
    503: ("busy", "There is no room at the moment. Please try again in a few seconds."),
    505: ("wrong_version", "The server speaks HTTP/1.1."),
}
"""By status: the code for programs, and the sentence for people."""

PAGE = (
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width">\n'
    "<title>{title}</title>\n<h1>{title}</h1>\n<p>{sentence}</p>\n"
)


class Answer(NamedTuple):
    """A complete answer. Its headers are text, and include the length and type of the body."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers as bytes, as they are sent."""
        return [(name.lower().encode(), value.encode()) for name, value in self.headers]

    def as_bytes(self) -> bytes:
        """The whole answer as bytes, for a client whose request is not parsed."""
        first = f"HTTP/1.1 {self.status} {_phrase(self.status)}\r\n".encode()
        return first + b"".join(b"%s: %s\r\n" % header for header in self.raw_headers) + b"\r\n" + self.body


def answer_for(status: int, *, as_json: bool, more: Iterable[tuple[str, str]] = ()) -> Answer:
    """The answer that refuses a request with `status`, with the additional headers `more`."""
    code, sentence = WHY.get(status, WHY[400] if status < 500 else WHY[500])
    if as_json:
        kind, body = "application/json", json.dumps({"code": code, "message": sentence}).encode()
    else:
        title = escape(f"{status} {_phrase(status)}".rstrip())
        kind, body = "text/html; charset=utf-8", PAGE.format(title=title, sentence=escape(sentence)).encode()
    headers = [
        ("Content-Type", kind),
        ("Content-Length", str(len(body))),
        NOT_STORED,
        *SECURITY_HEADERS.items(),
        *more,
    ]
    return Answer(status, headers, body)


def wants_json(path: str, accept: str) -> bool:
    """Whether a client that requests `path` and accepts these types gets JSON."""
    return path.startswith("/api/") or ("json" in accept and "html" not in accept)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
