"""Waits and refusals: the person reads why, and until when, and the page asks no sooner."""

from __future__ import annotations

import json
import re

from playwright.sync_api import Route, expect

from tests.browser.conftest import Visit
from tests.support.visitors import Visitor, meet


def was_refused(visitor: Visitor, status: int, times: int) -> None:
    """The browser has complained of nothing but that status, so often."""
    assert len(visitor.heard) == times
    assert all(f"status of {status}" in text for text in visitor.heard)
    visitor.heard.clear()


def test_a_late_next_search_says_when_and_why(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    session = ada.snapshots[-1]["session"]
    why = "You skipped Bob. You have skipped many people in a row, so the next search begins a little later."
    ended = ada.snapshots[-1] | {
        "state": "ended",
        "cause": "skipped",
        "search_again_ms": 12_000,
        "message": why,
        "sound": None,
    }
    ada.page.evaluate("frame => watch.hear(frame)", ended)
    ada.sees(re.compile(r"^Searching again in 0:1[012]$")).sees(why)
    assert ada.page.locator("#notice").inner_text() == "", "it is read once"
    expect(ada.page.locator("#announcer")).to_have_text(
        "The session is over. The next search begins in 12 seconds."
    )
    ada.sees(re.compile(r"^Searching again in 0:0[78]$"))
    expect(ada.button("Cancel")).to_be_visible()
    expect(ada.button("Find Partner")).to_be_hidden()
    ada.press("Cancel").until("idle")
    assert ada.asks("said.at(-1).session") == session


def test_a_search_that_comes_too_early_is_refused_with_a_sentence(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching").press("Cancel").until("idle")
    ada.tell(swallows="search").press("Find Partner")
    ada.until_true("watch.said.some(frame => frame.type === 'search') && watch.quiet().tracks === 2")
    message = "Please wait for 8 seconds more before the next search."
    refusal = {"type": "error", "seq": 9, "code": "wait", "about": "search", "message": message}
    ada.page.evaluate("frame => watch.hear(frame)", refusal)
    ada.sees(message)
    assert ada.is_quiet()
    ada.tell(swallows=None).press("Find Partner").until("searching")


def test_too_many_guests_is_told_in_the_words_of_the_server_and_asked_no_sooner(visit: Visit) -> None:
    ada = visit("Ada").open()
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        body = json.dumps({"code": "too_many", "message": "Too many people come in. Try again in 3 seconds."})
        route.fulfill(status=429, headers={"retry-after": "3", "content-type": "application/json"}, body=body)

    ada.page.route("**/api/guest", refuse)
    ada.find().sees("Too many people come in. Try again in 3 seconds.")
    for _ in range(5):
        ada.press("Find Partner")
    assert len(asked) == 1
    was_refused(ada, 429, 1)
    ada.page.unroute("**/api/guest")
    ada.page.wait_for_timeout(3_000)
    ada.press("Find Partner").until("searching")


def test_a_server_that_asks_a_page_to_come_back_later_is_told_of(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.asks("hangUp(4429)")
    ada.sees(re.compile(r"^Too much came from this page .*asks it to wait\. Reconnecting at \d+:\d\d:\d\d"))
    for _ in range(5):
        ada.page.evaluate("dispatchEvent(new Event('online'))")
    assert ada.asks("sockets.length") == 1
    ada.until_media_flows()


def test_a_page_that_is_refused_twice_says_so_and_makes_no_third_guest(visit: Visit) -> None:
    ada = visit("Ada").open()
    asked: list[str] = []

    def forge(route: Route) -> None:
        asked.append(route.request.url)
        guest = {"token": f"no good {len(asked)}", "user": {"id": "x", "name": "Ada"}}
        route.fulfill(status=201, content_type="application/json", body=json.dumps(guest))

    ada.page.route("**/api/guest", forge)
    ada.find().sees("You cannot come in now").sees(re.compile("^The server does not let this page in"))
    ada.page.wait_for_timeout(2_000)
    assert len(asked) == 2
    assert ada.asks("sockets.length") == 2
    assert ada.is_quiet()
    ada.page.unroute("**/api/guest")
    ada.press("Try again")
    expect(ada.page.locator("#find")).to_be_visible()
    ada.find().until("searching")
    assert ada.asks("sockets.length") == 2, "the refused guest's, and that of one new guest"
