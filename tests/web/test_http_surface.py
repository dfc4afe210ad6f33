"""Everything that can be asked over HTTP, sensibly or not: no answer is a 500, and each has its headers."""

from __future__ import annotations

import socket
import string
from collections.abc import Iterator
from contextlib import suppress
from functools import reduce
from typing import Any

import pytest
import schemathesis
from hypothesis import example, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support.raw_client import UPGRADE
from tests.support.server import Server
from web.app import create_app
from web.build import this_build
from web.identity import Identities
from web.openapi import DESCRIPTION
from web.server.answers import SECURITY_HEADERS

SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
HOST = b"Host: test\r\n"
CLOSE = b"Connection: close\r\n"
NEXT = b"GET /healthz HTTP/1.1\r\nHost: next\r\nConnection: close\r\n\r\n"
EXPECTED = {200, 201, 206, 304, 400, 403, 404, 405, 408, 412, 413, 416, 429, 431, 501, 503, 505}
Told = tuple[int, dict[bytes, bytes], bytes]


def routes() -> set[tuple[str, str]]:
    """Path and method of everything that the app serves, WebSockets included."""
    app = create_app(None, Identities(("a secret that is long enough, at least",), 1))  # type: ignore[arg-type]
    names = {this_build().digest: "{build}", "<path:filename>": "{filename}"}
    return {
        (reduce(lambda path, name: path.replace(name, names[name]), names, rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or {"GET"}) - {"HEAD", "OPTIONS"}
    }


def test_what_is_described_is_what_there_is() -> None:
    described = {(path, method) for path, item in DESCRIPTION["paths"].items() for method in item}
    assert described == routes()


def test_the_description_is_served(server: Server) -> None:
    status, headers, _ = server.get("/openapi.json")
    assert (status, headers["content-type"]) == (200, "application/json")


@SCHEMA.parametrize()
@settings(max_examples=60)
def test_what_is_described_is_what_is_answered(case: schemathesis.Case[Any], server: Server) -> None:
    """Whatever fits the description, and what does not."""
    answer = case.call(base_url=server.address)
    checks = [
        not_a_server_error,
        status_code_conformance,
        content_type_conformance,
        response_schema_conformance,
    ]
    case.validate_response(answer, checks=checks)
    assert {name.lower() for name in SECURITY_HEADERS} <= {name.lower() for name in answer.headers}


def answers(
    server: Server, data: bytes, limit_s: float = 10.0
) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """All that comes back when `data` is sent, and nothing after it: status, headers and body of each."""
    host, _, port = server.address.removeprefix("http://").partition(":")
    received = bytearray()
    with (
        socket.create_connection((host, int(port)), timeout=limit_s) as sock,
        suppress(ConnectionError, TimeoutError),
    ):
        sock.sendall(data)
        while more := sock.recv(65_536):
            received += more
    return list(split(bytes(received), is_head=data.startswith(b"HEAD ")))


def split(data: bytes, *, is_head: bool) -> Iterator[Told]:
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
        status = int(first.split(b" ")[1])
        is_empty = is_head and not data.startswith(b"<")  # what cannot be read is no HEAD
        size = 0 if is_empty or status in (100, 101, 304) else int(headers.get(b"content-length", b"0"))
        body, data = data[:size], b"" if status == 101 else data[size:]
        yield status, headers, body


def check(server: Server, data: bytes, limit_s: float = 10.0) -> int | None:
    """Send it; the status of the first answer, which is none of a server that failed, and has its headers."""
    told = answers(server, data, limit_s)
    for status, headers, _ in told:
        assert status in (100, 101) or status in EXPECTED, (status, data)
        if status >= 200:
            assert {name.lower().encode() for name in SECURITY_HEADERS} <= headers.keys(), (status, data)
    return told[0][0] if told else None


def get(
    path: bytes = b"/",
    headers: bytes = b"",
    method: bytes = b"GET",
    version: bytes = b"1.1",
    end: bytes = CLOSE,
) -> bytes:
    return b"%s %s HTTP/%s\r\n%s%s%s\r\n" % (method, path, version, HOST, headers, end)


def guest(body: bytes, headers: bytes = b"") -> bytes:
    return get(b"/api/guest", b"Content-Length: %d\r\n%s" % (len(body), headers), b"POST") + body


FOLDER = this_build().path_of("").encode()
SCRIPT = FOLDER + b"js/main.js"
ODD: dict[str, tuple[bytes, int]] = {
    "the last bytes": (get(SCRIPT, b"Range: bytes=-5\r\n"), 206),
    "more than all bytes": (get(SCRIPT, b"Range: bytes=-99999999\r\n"), 206),
    "no last bytes": (get(SCRIPT, b"Range: bytes=-0\r\n"), 200),
    "a range backwards": (get(SCRIPT, b"Range: bytes=5-2\r\n"), 200),
    "a range beyond": (get(SCRIPT, b"Range: bytes=99999999-\r\n"), 416),
    "a range of many digits": (get(SCRIPT, b"Range: bytes=%s-\r\n" % (b"9" * 5000)), 200),
    "several ranges": (get(SCRIPT, b"Range: bytes=0-1,3-4\r\n"), 200),
    "another unit": (get(SCRIPT, b"Range: lines=0-1\r\n"), 200),
    "a range of another version": (get(SCRIPT, b'Range: bytes=0-1\r\nIf-Range: "x"\r\n'), 200),
    "a range that is nonsense": (get(SCRIPT, b"Range: bytes=\xff-\r\n"), 200),
    "what has not changed": (get(SCRIPT, b"If-None-Match: *\r\n"), 304),
    "what another has": (get(SCRIPT, b'If-Match: "x"\r\n'), 412),
    "no date": (get(SCRIPT, b"If-Modified-Since: yesterday\r\n"), 200),
    "a date beyond time": (get(SCRIPT, b"If-Modified-Since: Mon, 01 Jan 99999 00:00:00 GMT\r\n"), 200),
    "a name of 300 letters": (get(FOLDER + b"a" * 300), 404),
    "a name of 9000 letters": (get(FOLDER + b"a" * 9000), 404),
    "a name with a line": (get(FOLDER + b"a%0ab"), 404),
    "the parent": (get(FOLDER + b"../app.py"), 404),
    "the parent, quoted": (get(FOLDER + b"%2e%2e/app.py"), 404),
    "a backslash": (get(FOLDER + b"..%5capp.py"), 404),
    "no UTF-8": (get(FOLDER + b"%ff%fe"), 404),
    "a surrogate": (get(FOLDER + b"%ed%a0%80"), 404),
    "a NUL": (get(FOLDER + b"%00"), 400),
    "a folder": (get(FOLDER + b""), 404),
    "a folder without its slash": (get(FOLDER + b"js"), 404),
    "a file of another build": (get(b"/s/0123456789abcdef/js/main.js"), 404),
    "a file of no build": (get(b"/static/js/main.js"), 404),
    "an absolute path": (get(FOLDER + b"/etc/passwd"), 404),
    "two slashes": (get(b"//evil.example/"), 404),
    "a slash too many": (get(b"/healthz/"), 404),
    "an odd percent": (get(b"/%zz%"), 404),
    "a method of our own": (get(method=b"BREW"), 405),
    "a method in lower case": (get(method=b"delete"), 405),
    "trace": (get(method=b"TRACE"), 405),
    "options": (get(b"/api/guest", method=b"OPTIONS"), 200),
    "head": (get(method=b"HEAD"), 200),
    "head of nothing": (get(b"/nowhere", method=b"HEAD"), 404),
    "head that is too large": (get(b"/", b"Content-Length: 99999999\r\n", b"HEAD"), 413),
    "an old version": (get(version=b"1.0"), 200),
    "a body that is not UTF-8": (guest(b"\xff\xfe"), 400),
    "a name that is not UTF-8": (guest(b'{"name": "\xff"}'), 400),
    "a lone surrogate": (guest(b'{"name": "\\ud800"}'), 400),
    "nested arrays": (guest(b"[" * 2000), 400),
    "nested arrays that end": (guest(b"[" * 2000 + b"]" * 2000), 400),
    "nested objects": (guest(b'{"name":' * 500), 400),
    "not a number": (guest(b'{"name": NaN}'), 400),
    "a large number": (guest(b'{"name": %s}' % (b"9" * 4000)), 400),
    "an array": (guest(b"[]"), 400),
    "nothing": (guest(b""), 400),
    "a name twice": (guest(b'{"name": "Ada", "name": "Ben"}'), 201),
    "another charset": (
        guest('{"name": "Ada"}'.encode("utf-16"), b"Content-Type: a; charset=utf-16\r\n"),
        400,
    ),
    "a charset that is none": (
        guest(b'{"name": "Ada"}', b"Content-Type: application/json; charset=\xff\r\n"),
        201,
    ),
    "an odd cookie": (get(headers=b"Cookie: \xff=;;;=,\r\n"), 200),
    "an odd host": (b"GET / HTTP/1.1\r\nHost: [::1:x\xff\r\nConnection: close\r\n\r\n", 200),
    "what is accepted": (get(b"/nowhere", b"Accept: application/json\r\n"), 404),
    "half an address": (UPGRADE % (b"/ws", b"Origin: http://[::1\r\n"), 403),
    "an origin that is no text": (UPGRADE % (b"/ws", b"Origin: \xff\r\n"), 403),
    "a handshake with nowhere": (UPGRADE % (b"/nowhere", b""), 404),
    "a handshake without a key": (UPGRADE.replace(b"Sec-WebSocket-Key", b"X") % (b"/ws", b""), 400),
    "a request for the WebSocket": (get(b"/ws"), 400),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_answered(server: Server, name: str) -> None:
    data, status = ODD[name]
    assert check(server, data) == status


def test_a_refusal_is_a_page_for_people_and_json_for_programs(server: Server) -> None:
    for data, kind in (
        (get(b"/nowhere"), b"text/html; charset=utf-8"),
        (get(b"/nowhere", b"Accept: application/json\r\n"), b"application/json"),
        (get(b"/api/nowhere"), b"application/json"),
        (get(b"/api/guest"), b"application/json"),
        (get(b"/api/guest", b"Content-Length: 99999999\r\n", b"POST"), b"application/json"),
        (b"hello\r\n\r\n", b"text/html; charset=utf-8"),
    ):
        [(status, headers, body)] = answers(server, data)
        assert headers[b"content-type"] == kind, (status, data)
        assert b"<script" not in body
        assert len(body) > 20


def test_what_may_be_asked_is_said_with_405(server: Server) -> None:
    [(status, headers, _)] = answers(server, get(b"/api/guest"))
    assert (status, headers[b"allow"]) == (405, b"OPTIONS, POST")


AMBIGUOUS = {
    "a length and a coding": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding and a length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "one length twice": b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": b"Content-Length: 0, 0\r\n\r\n",
    "a length with a sign": b"Content-Length: +0\r\n\r\n",
    "a length in hexadecimal": b"Content-Length: 0x0\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding that is none": b"Transfer-Encoding: identity\r\n\r\n",
    "a coding behind a tab": b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"Content-Length : 5\r\n\r\n",
    "a folded line": b"X: a\r\n Content-Length: 5\r\n\r\n",
    "a line that begins with a space": b" Content-Length: 5\r\n\r\n",
    "a bare LF": b"X: a\nContent-Length: 5\r\n\r\n",
    "a bare CR": b"X: a\rContent-Length: 5\r\n\r\n",
    "an end of LFs": b"X: a\n\n",
    "a NUL": b"X: a\0\r\n\r\n",
    "a line without a colon": b"X\r\n\r\n",
    "a chunk without a size": b"Transfer-Encoding: chunked\r\n\r\n\r\n\r\n",
    "a chunk with a sign": b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
    "a chunk that is longer than it says": b"Transfer-Encoding: chunked\r\n\r\n1\r\nxx\r\n0\r\n\r\n",
    "a chunk that ends with LF": b"Transfer-Encoding: chunked\r\n\r\n1\nx\r\n0\r\n\r\n",
    "a trailer with a bare LF": b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: a\nY: b\r\n\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_has_two_readings_ends_the_connection(server: Server, name: str) -> None:
    """What follows is never taken for a request."""
    request = b"POST /api/guest HTTP/1.1\r\n" + HOST + AMBIGUOUS[name]
    [(status, headers, _)] = answers(server, request + NEXT * 3)
    assert status in (400, 501)
    assert headers[b"connection"] == b"close"


def test_an_old_request_with_a_coding_ends_the_connection(server: Server) -> None:
    data = b"POST /api/guest HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert [status for status, _, _ in answers(server, data + NEXT)] == [400]


def test_requests_that_are_clear_follow_each_other(server: Server) -> None:
    data = (
        get(b"/nowhere", end=b"")
        + guest(b"{}").replace(CLOSE, b"")
        + get(SCRIPT, b"Range: bytes=0-3\r\n", end=b"")
        + NEXT
    )
    assert [status for status, _, _ in answers(server, data)] == [404, 400, 206, 200]


def test_chunks_are_bounded_by_what_frames_them_too(server: Server) -> None:
    """Tiny chunks with large extensions are a large body."""
    chunk = b"1;" + b"x" * 4000 + b"\r\nx\r\n"
    data = get(b"/api/guest", b"Transfer-Encoding: chunked\r\n", b"POST") + chunk * 200
    assert [status for status, _, _ in answers(server, data)] in ([413], [])


TEXTS = st.binary(max_size=40)
NAMES = st.sampled_from(
    b"Host Range If-Range If-Match If-None-Match If-Modified-Since Cookie Accept Accept-Encoding "
    b"Accept-Language Content-Type Content-Length Transfer-Encoding Expect Upgrade Connection Origin "
    b"X-Forwarded-For Authorization Sec-WebSocket-Key".split()
)
VALUES = st.one_of(
    TEXTS.filter(lambda text: not {10, 13} & set(text)),
    st.sampled_from(b"bytes=-1 bytes=0- * chunked 0 100-continue websocket Upgrade".split()),
    st.sampled_from(b'http://[::1 application/json;q=x [ a=b;c W/" " ::1 1.2.3.4:x'.split()),
)
PATHS = st.one_of(
    st.sampled_from([*b"/ /api/guest /healthz /readyz /openapi.json /ws * http://".split(), SCRIPT]),
    st.binary(max_size=20).map(lambda text: b"/" + b"".join(b"%%%02x" % byte for byte in text)),
    st.text(string.printable, max_size=20).map(lambda text: FOLDER + text.encode()),
)
METHODS = st.sampled_from([b"GET", b"HEAD", b"POST", b"OPTIONS", b"PUT", b"CONNECT", b"TRACE", b"get", b"X"])
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5)


@settings(max_examples=250)
@given(METHODS, PATHS, HEADERS, TEXTS)
@example(b"GET", SCRIPT, [(b"Range", b"bytes=-5")], b"")
def test_whatever_is_asked_no_answer_is_a_failure(
    server: Server, method: bytes, path: bytes, headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    lines = b"".join(b"%s: %s\r\n" % header for header in headers)
    check(server, get(path, lines, method) + body, limit_s=0.5)


def test_nothing_failed_in_all_of_this(server: Server) -> None:
    """Which is said in the log, in one line."""
    assert [line for line in server.lines() if "failed" in line["event"]] == []
