"""The files of the page: named by their build, kept for ever, compressed once, and no other build's."""

from __future__ import annotations

import http.client
from collections.abc import Mapping

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest

from tests.support.server import Server
from web.build import HERE, Build, this_build
from web.static_files import KINDS, read_folder, without_comments

SCRIPT, FONT = (this_build().path_of(name) for name in ("js/main.js", "fonts/figtree.woff2"))
TEXT = without_comments((HERE / "static/js/main.js").read_bytes())
FOR_EVER = "public, max-age=31536000, immutable"


def ask(
    server: Server, path: str, method: str = "GET", headers: Mapping[str, str] = {}
) -> tuple[http.client.HTTPResponse, bytes]:
    """An answer, and its body as it came."""
    connection = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, headers={"Accept-Encoding": "identity"} | dict(headers))
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("path", [SCRIPT, FONT, this_build().path_of("icon.svg")])
def test_a_file_of_this_build_is_kept_for_ever(server: Server, path: str) -> None:
    answer, _ = ask(server, path)
    assert (answer.status, answer.headers["Cache-Control"]) == (200, FOR_EVER)


@pytest.mark.parametrize(
    "path",
    [
        "/s/0123456789abcdef/js/main.js",
        "/s/0123456789abcdef/fonts/figtree.woff2",
        "/s/js/main.js",
        "/s/",
        this_build().path_of("js/nowhere.js"),
        "/static/js/main.js",
        "/static/icon.svg",
    ],
)
def test_no_other_name_leads_to_it_and_nobody_keeps_that(server: Server, path: str) -> None:
    """A page of another build would mix its old scripts with new ones."""
    answer, _ = ask(server, path)
    assert (answer.status, answer.headers["Cache-Control"]) == (404, "no-store")


def test_the_page_names_its_build_and_is_never_kept(server: Server) -> None:
    answer, page = ask(server, "/")
    assert answer.headers["Cache-Control"] == "no-store"
    assert f'data-build="{this_build().digest}"'.encode() in page
    assert page.count(b"/s/") == page.count(this_build().path.encode())
    assert b"/static/" not in page


def test_the_page_preloads_each_module(server: Server) -> None:
    _, page = ask(server, "/")
    modules = {f"js/{path.name}" for path in (HERE / "static/js").glob("*.js")} - {"js/boot.js"}
    assert len(modules) > 10
    for name in modules:
        assert f'<link rel="modulepreload" href="{this_build().path_of(name)}" />'.encode() in page


@pytest.mark.parametrize("path", ["/", SCRIPT, this_build().path_of("css/base.css")])
@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_text_is_compressed_for_who_takes_it(server: Server, path: str, coding: str) -> None:
    plain, text = ask(server, path)
    coded, body = ask(server, path, headers={"Accept-Encoding": coding})
    assert coded.headers["Content-Encoding"] == coding
    assert "Content-Encoding" not in plain.headers
    assert len(body) < len(text) / 2
    assert {plain.headers["Vary"], coded.headers["Vary"]} == {"Accept-Encoding"}


def test_what_is_compressed_is_the_file(server: Server) -> None:
    _, body = ask(server, SCRIPT, headers={"Accept-Encoding": "br"})
    assert brotli.decompress(body) == TEXT


def test_a_font_is_compressed_already(server: Server) -> None:
    answer, body = ask(server, FONT, headers={"Accept-Encoding": "br, gzip"})
    assert body.startswith(b"wOF2")
    assert "Content-Encoding" not in answer.headers
    assert "Vary" not in answer.headers


def test_each_coding_has_a_tag_of_its_own_that_its_browser_need_not_fetch_again(server: Server) -> None:
    tags = set()
    for coding in ("br", "gzip", "identity"):
        answer, _ = ask(server, SCRIPT, headers={"Accept-Encoding": coding})
        tag = answer.headers["ETag"]
        tags.add(tag)
        again, body = ask(server, SCRIPT, headers={"Accept-Encoding": coding, "If-None-Match": tag})
        assert (again.status, body) == (304, b"")
        assert (again.headers["Cache-Control"], again.headers["ETag"]) == (FOR_EVER, tag)
        assert again.headers["Vary"] == "Accept-Encoding"
    assert len(tags) == 3


@pytest.mark.parametrize("coding", ["br", "identity"])
@pytest.mark.parametrize("path", ["/", SCRIPT])
def test_head_says_what_get_would_say(server: Server, path: str, coding: str) -> None:
    (get, body), (head, nothing) = (
        ask(server, path, method, {"Accept-Encoding": coding}) for method in ("GET", "HEAD")
    )
    assert head.headers.keys() == get.headers.keys()
    same = [name for name in get.headers if name.lower() != "date"]  # a second may pass in between
    assert [head.headers[name] for name in same] == [get.headers[name] for name in same]
    assert (int(head.headers["Content-Length"]), nothing) == (len(body), b"")


def test_a_part_is_a_part_of_the_text_as_it_is(server: Server) -> None:
    part, body = ask(server, SCRIPT, headers={"Range": "bytes=2-5"})
    assert (part.status, body) == (206, TEXT[2:6])
    assert part.headers["Accept-Ranges"] == "bytes"
    whole, body = ask(server, SCRIPT, headers={"Range": "bytes=2-5", "Accept-Encoding": "br"})
    assert (whole.status, brotli.decompress(body)) == (200, TEXT)
    assert "Accept-Ranges" not in whole.headers


@pytest.mark.parametrize(
    ("code", "served"),
    [
        (b"/** What it is. */\nlet a;\n", b"let a;\n"),
        (b"let a;\n  /**\n   * Of two lines\n   */\n  let b;\n", b"let a;\n  let b;\n"),
        (b"/** @type {A} */ (a);\n/* b */\n", b"/** @type {A} */ (a);\n"),
        (b"a /* b */;\nc('/* d */');\n", b"a /* b */;\nc('/* d */');\n"),
        (b"// a\nb; // c\n", b"// a\nb; // c\n"),
    ],
)
def test_a_comment_that_has_its_lines_to_itself_is_not_served(code: bytes, served: bytes) -> None:
    assert without_comments(code) == served


def test_every_file_has_a_media_type() -> None:
    """A browser does not guess: without it a script does not run."""
    names = read_folder(HERE / "static")
    assert [name for name in names if not any(name.endswith(suffix) for suffix in KINDS)] == []


PAGE = {"index.html": b"the page"}
FILES = {"js/main.js": b"1", "icon.svg": b"2"}


@pytest.mark.parametrize(
    ("files", "page"),
    [
        (FILES | {"js/main.js": b"2"}, PAGE),
        (FILES | {"js/more.js": b""}, PAGE),
        ({"js/main.mjs": b"1", "icon.svg": b"2"}, PAGE),
        ({"js/main.js": b"1"}, PAGE),
        (FILES, {"index.html": b"another page"}),
        (FILES | PAGE, {}),
    ],
)
def test_whatever_changes_is_another_build(files: dict[str, bytes], page: dict[str, bytes]) -> None:
    assert Build(files, page).digest != Build(FILES, PAGE).digest


def test_the_same_files_are_the_same_build_on_every_machine() -> None:
    backwards = dict(reversed(FILES.items()))
    assert Build(backwards, PAGE).digest == Build(FILES, PAGE).digest == "d9a6577923e11f78"
