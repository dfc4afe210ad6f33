"""Before a page is alive it does nothing wrong; if it does not come alive, it says why and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import EACH, ComeIn, until, until_loaded
from tests.support.front import Answer, Front, offline, script, status
from tests.support.server import Server
from tests.support.visitors import Visitor

MISSING = "Part of this page did not load. Check your connection, then reload."
FAILED = "This page could not start. Reload it, and if that does not help, use another browser."
OLD = "This browser is too old for studymatch. Please update it, or use another one."
LATE = "This page takes long to load. Check your connection, or reload."
WITHOUT_BOOT = "This page takes long to load."
LATE_MS = 15_000
AFTER_LOAD_MS = 3_000
"""When boot.js looks whether the page is alive: after so long, and so long after all is loaded."""

BOOT = "document.getElementById('boot')"
IS_ALIVE = f"!document.getElementById('find').disabled && !look.sees({BOOT})"
IS_READ = "document.getElementById('name') !== null && document.readyState !== 'loading'"
NAME = "document.getElementById('name').value"
CLOCK = "export const spell = 1;"
NOT_NOW = "<h1>Not now</h1>"

TROUBLES: dict[str, tuple[str, Answer, str]] = {
    "offline, for the first module": ("main.js", offline, MISSING),
    "offline, for one below it": ("trickle.js", offline, MISSING),
    "a busy server": ("peer.js", status(503, NOT_NOW), MISSING),
    "a server of another build": ("view.js", status(404, NOT_NOW), MISSING),
    "a proxy that answers with a page": ("chat.js", status(200, NOT_NOW), MISSING),
    "a module that throws": (
        "chat.js",
        script("export class Chat {}; throw new Error('as the test wants it')"),
        FAILED,
    ),
    "a module that lacks what others import": ("chat.js", script("export const nothing = 1"), FAILED),
    "words that the browser does not know": ("clock.js", script("export let x = #new;"), OLD),
    "a module that waits for ever": ("clock.js", script(f"{CLOCK} await new Promise(() => {{}})"), LATE),
}

Enter = Callable[[], Visitor]


@pytest.fixture
def enter(come_in: ComeIn, front: Front) -> Iterator[Enter]:
    """Lets people in by the front. Without the trouble, the page comes alive."""
    visitors: list[Visitor] = []

    def let_in() -> Visitor:
        visitors.append(visitor := come_in("Ada", address=front.address))
        visitor.tab.resize(390, 700)
        return visitor

    yield let_in
    front.mend()
    for visitor in visitors:
        if not visitor.tab.evaluate(IS_ALIVE):
            visitor.open().until_true(IS_ALIVE)
        visitor.heard.clear()  # every browser complains of what does not load


def is_told(visitor: Visitor, sentence: str) -> None:
    """It can be read, in sight; the page can be loaded again; and no button pretends to work."""
    visitor.until_is("document.getElementById('boot-why').textContent", sentence)
    visitor.until_true(f"look.spot({BOOT})").until_true(f"look.spot({BOOT}.querySelector('a'))")
    assert visitor.tab.evaluate(f"{BOOT}.querySelector('a').textContent") == "Reload"
    assert visitor.tab.evaluate("document.getElementById('find').disabled")


def is_silent(visitor: Visitor) -> None:
    assert not visitor.tab.evaluate(f"look.sees({BOOT})")


@EACH
@pytest.mark.parametrize("name", TROUBLES)
def test_a_page_that_does_not_come_alive_says_why(enter: Enter, front: Front, name: str) -> None:
    file, answer, sentence = TROUBLES[name]
    front.trouble(f"js/{file}", answer)
    ada = enter().open(stops=AFTER_LOAD_MS)
    ada.asks("goOn()")
    is_told(ada, sentence)
    front.mend()
    ada.click("#boot a")
    until_loaded(ada, IS_ALIVE)


@EACH
def test_a_script_that_hangs_is_told_of_within_bounds(enter: Enter, front: Front) -> None:
    front.hold("js/peer.js")
    ada = enter().begin(stops=LATE_MS)
    ada.until_true("watch.stuck.length")
    is_silent(ada)
    ada.asks("goOn()")
    is_told(ada, LATE)


@EACH
def test_a_browser_without_modules_is_told_at_once(enter: Enter, front: Front) -> None:
    front.trouble("js/main.js", script(""))
    is_told(enter().open(old=True), OLD)


@EACH
def test_without_any_script_the_style_sheet_tells_it(enter: Enter, front: Front) -> None:
    front.trouble("js/*", offline)
    ada = enter().open()
    is_silent(ada)
    ada.tab.evaluate(f"{BOOT}.getAnimations().forEach(wait => wait.finish())")
    is_told(ada, WITHOUT_BOOT)


def test_who_prefers_less_motion_does_not_see_the_note_flash(front: Front, chromium: Browser) -> None:
    front.trouble("js/*", offline)
    context = chromium.new_context(reduced_motion="reduce")
    page = context.new_page()
    page.goto(front.address)
    expect(page.locator("#boot")).to_be_hidden()
    context.close()


@EACH
def test_without_the_script_that_watches_the_page_works(enter: Enter, front: Front) -> None:
    front.trouble("js/boot.js", offline)
    enter().open().until_true(IS_ALIVE)


@EACH
def test_without_a_style_sheet_the_page_says_so_although_it_is_alive(enter: Enter, front: Front) -> None:
    front.trouble("css/call.css", offline)
    ada = enter().open().until_true("!document.getElementById('find').disabled")
    ada.until_is("document.getElementById('boot-why').textContent", MISSING)
    ada.until_true(f"look.sees({BOOT})")


@EACH
def test_what_fails_of_others_is_no_trouble_of_the_page(enter: Enter, front: Front) -> None:
    front.hold("js/peer.js")
    ada = enter().begin().until_true(IS_READ)
    until(ada.tab, lambda: front.requests("js/peer.js") > 0)
    error = {"filename": "extension://x.js", "message": "SyntaxError"}
    ada.tab.evaluate(f"dispatchEvent(new ErrorEvent('error', {json.dumps(error)}))")
    front.let_go("js/peer.js")
    ada.until_true(IS_ALIVE)


def test_without_javascript_it_is_said_and_nothing_else(hall: Server, chromium: Browser) -> None:
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 390, "height": 700})
    page = context.new_page()
    page.goto(hall.address)
    expect(page.locator("noscript p")).to_be_in_viewport()
    expect(page.locator("#boot")).to_be_hidden()
    page.get_by_label("Your name").fill("Ada")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Your name")).to_have_value("Ada")
    assert page.url == hall.address + "/"
    context.close()


@EACH
def test_before_the_page_is_alive_nothing_is_submitted_and_what_is_typed_is_kept(
    enter: Enter, front: Front
) -> None:
    front.hold("js/peer.js")
    ada = enter().begin().until_true(IS_READ)
    address = ada.tab.evaluate("location.href")
    ada.fill("#name", "Ada").key("Enter").tab.click(
        *ada.tab.evaluate("look.middle(document.getElementById('find'))")
    )
    assert ada.tab.evaluate("[...document.querySelectorAll('[type=submit]')].every(one => one.disabled)")
    until(ada.tab, lambda: front.requests("js/peer.js") > 0)
    assert ada.tab.evaluate("location.href") == address
    front.let_go("js/peer.js")
    ada.until_true(IS_ALIVE).until_is(NAME, "Ada")
    ada.press("Find Partner").until("searching")
    assert ada.tab.evaluate("location.href") == address
    ada.press("Cancel").until("idle")
