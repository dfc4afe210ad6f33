"""The files of the page, read and compressed once, and served from memory; code without its comments.

A requested name is looked up in a dictionary, so no name from a client reaches the file system.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePath

from quart import Response
from werkzeug.datastructures import Headers
from werkzeug.exceptions import NotFound, PreconditionFailed
from werkzeug.http import parse_etags, parse_range_header, quote_etag
from werkzeug.sansio.http import is_resource_modified

from web.content_coding import IDENTITY, choose, in_all_codings
from web.server.answers import answer_for

KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wav": "audio/wav",
    ".woff2": "font/woff2",
}
"""The media types by suffix. The table of the operating system differs between machines."""

COMMENTED = {KINDS[".css"], KINDS[".js"]}
COMMENT = re.compile(rb"^[ \t]*/\*(?:(?!\*/).)*\*/[ \t]*\n", re.DOTALL | re.MULTILINE)
"""A block comment on lines of its own. Such comments are a third of a module, and browsers do not need
them."""

FOR_EVER = "public, max-age=31536000, immutable"
"""For a file whose path contains the digest of its content: a browser never requests it again."""


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of a file in one coding; `etag` differs from coding to coding."""

    content: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class File:
    """One file: its media type, and its bytes by coding, always including `IDENTITY`."""

    kind: str
    bodies: Mapping[str, Body]


def make_file(name: str, content: bytes, *, slow: bool = True) -> File:
    """The file called `name`: text compressed (`slow`: see `in_all_codings`), code without comments."""
    kind = KINDS.get(PurePath(name).suffix, "application/octet-stream")
    if kind in COMMENTED:
        content = without_comments(content)
    is_text = kind.startswith("text/") or kind == KINDS[".svg"]
    coded = in_all_codings(content, slow=slow) if is_text else {IDENTITY: content}
    bodies = {coding: Body(body, sha256(body).hexdigest()[:20]) for coding, body in coded.items()}
    return File(kind, bodies)


def without_comments(code: bytes) -> bytes:
    """A script or a style sheet without the block comments on lines of their own."""
    return COMMENT.sub(b"", code)


def begin_answer(file: File, headers: Headers) -> tuple[Response, Body]:
    """A response with all of `file` in the best coding for a request with these headers, and its body."""
    coding = choose(headers.get("Accept-Encoding", ""), file.bodies)
    body = file.bodies[coding]
    answer = Response(body.content, mimetype=None, content_type=file.kind)
    if len(file.bodies) > 1:
        answer.headers["Vary"] = "Accept-Encoding"
    if coding != IDENTITY:
        answer.headers["Content-Encoding"] = coding
    return answer, body


class StaticFiles:
    """Files by their paths below one folder, like `js/main.js`."""

    def __init__(self, contents: Mapping[str, bytes]) -> None:
        self._files = {name: make_file(name, content) for name, content in contents.items()}

    def answer(self, name: str, method: str, headers: Headers) -> Response:
        """The response to a request for the file `name` with these headers (RFC 9110, 13 and 14).

        Raises:
            NotFound: there is no such file.
            PreconditionFailed: If-Match names another version.
        """
        file = self._files.get(name)
        if file is None:
            raise NotFound
        answer, body = begin_answer(file, headers)
        answer.set_etag(body.etag)
        answer.headers["Cache-Control"] = FOR_EVER
        is_coded = "Content-Encoding" in answer.headers
        if not is_coded:
            answer.headers["Accept-Ranges"] = "bytes"
        if (wanted := headers.get("If-Match")) and not parse_etags(wanted).contains(body.etag):
            raise PreconditionFailed
        if not _is_modified(body, headers):
            answer.status_code = 304
            answer.set_data(b"")
            return answer
        if is_coded or method != "GET" or "Range" not in headers:
            return answer
        return _part(answer, body, headers)


def read_folder(folder: Path) -> dict[str, bytes]:
    """The bytes of all files below `folder`, by their paths in it, in a fixed order."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: found[name].read_bytes() for name in sorted(found)}


def _is_modified(body: Body, headers: Headers) -> bool:
    return is_resource_modified(http_if_none_match=headers.get("If-None-Match"), etag=quote_etag(body.etag))


def _part(answer: Response, body: Body, headers: Headers) -> Response:
    """The response with the requested range; with all of the file if there are several ranges or an invalid
    one, or if If-Range names another version."""
    size = len(body.content)
    if_range = headers.get("If-Range")
    if if_range is not None and if_range != quote_etag(body.etag):
        return answer
    span = _span(headers["Range"], size)
    if span is None:
        return answer
    begin, end = span
    if begin >= end:
        more = [("Content-Range", f"bytes */{size}")]
        status, told, text = answer_for(416, as_json=False, more=more)
        return Response(text, status, Headers(told))
    answer.set_data(body.content[begin:end])
    answer.status_code = 206
    answer.headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
    return answer


def _span(text: str, size: int) -> tuple[int, int] | None:
    """The begin and end of the range in a header, of `size` bytes; empty if beyond them. None: see
    `_part`."""
    asked = parse_range_header(text)
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    begin, end = asked.ranges[0]
    if begin is None or begin < 0:
        return max(0, size + (begin or 0)), size
    return begin, size if end is None else min(end, size)
