"""The page itself: words, motion, blocked sound, small screens, and the tables it shares with the server."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from studymatch.rules.close_codes import CLOSE_MEANINGS, CloseCode
from studymatch.rules.lifecycle import State
from studymatch.rules.protocol import (
    CHAT_MAX_CHARS,
    VERSION,
)
from tests.browser.conftest import EACH, ComeIn, Visit
from web.build import this_build


def test_the_page_knows_the_states_and_codes_of_the_server(visit: Visit) -> None:
    ada = visit("Ada").open()
    tables = ada.page.evaluate(
        "path => import(path).then(p =>"
        " [p.STATES, p.CLOSE_CODES, [...p.AFTER_CLOSE], p.VERSION, p.CHAT_MAX_CHARS])",
        this_build().path_of("js/protocol.js"),
    )
    states, codes, after, version, chat_max = tables
    assert states == [state.value for state in State]
    assert codes == {code.name: code.value for code in CloseCode}
    assert after == [[code.value, then.value] for code, (_, then) in CLOSE_MEANINGS.items()]
    assert (version, chat_max) == (VERSION, CHAT_MAX_CHARS)


def test_a_name_is_asked_for_without_anything_moving(visit: Visit) -> None:
    ada = visit("Ada").open()
    before = ada.button("Find Partner").bounding_box()
    ada.press("Find Partner").sees("Please enter your name.")
    assert ada.button("Find Partner").bounding_box() == before
    assert ada.page.evaluate("document.activeElement.id") == "name"
    assert ada.asks("sockets.length") == 0
    ada.find().until("searching")


@EACH
def test_enter_in_the_name_field_is_enough(come_in: ComeIn) -> None:
    come_in("Ada").open().fill("#name", "Ada").key("Enter").until("searching")


@EACH
def test_another_name_is_another_guest(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada").open().find().until("searching"), come_in("Bob")
    ada.press("Cancel").until("idle")
    ada.name = "Grace"
    ada.find().until("searching")
    bob.open().find().until("connected").sees("Grace")


def test_whoever_prefers_less_motion_sees_everything_stand_still(visit: Visit) -> None:
    ada = visit("Ada", reduced_motion="reduce").open().find().until("searching").sees("Finding a Partner…")
    assert ada.page.evaluate("document.getAnimations().length") == 0
    expect(ada.page.locator(".ring").first).to_have_css("opacity", "0.9")


def test_sound_that_is_blocked_is_no_error_and_can_be_turned_on(visit: Visit) -> None:
    ada, bob = visit("Ada").open().tell(mute=True), visit("Bob")
    ada.find().until("searching")
    ada.tell(mute=False).page.mouse.click(5, 400)
    ada.until_true("[...watch.played].some(element => element.tagName === 'AUDIO' && !element.paused)")
    ada.tell(mute=True)
    bob.open().find().until("connected")
    expect(ada.button("Turn on sound")).to_be_visible()
    ada.tell(mute=False).press("Turn on sound")
    expect(ada.button("Turn on sound")).to_be_hidden()
    assert ada.page.locator("video.partner").evaluate("video => !video.paused && !video.muted")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 375, 768])
def test_small_screens_show_all_of_it(visit: Visit, width: int, scheme: str) -> None:
    ada = visit("Ada", viewport={"width": width, "height": 620}, color_scheme=scheme)
    bob = visit("Wilhelmina-Alexandrina of the Long Names")
    ada.open()
    fits = (
        "[document.documentElement, ...document.querySelectorAll('.scene')]"
        ".every(part => part.scrollWidth <= part.clientWidth)"
    )
    assert ada.page.evaluate(fits)
    ada.find().until("searching")
    assert ada.page.evaluate(fits)
    bob.open().find()
    ada.until("connected")
    assert ada.page.evaluate(fits)
    assert ada.page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "a call does not scroll"
    for label in ("Mute", "Camera off", "Chat", "Skip", "End"):
        box = ada.button(label).bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["y"] + box["height"] <= 620
        assert min(box["width"], box["height"]) >= 44, "large enough for a finger"


@EACH
def test_the_title_tells_who_is_in_another_tab_how_it_goes(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada").open(), come_in("Bob")
    ada.until_is("document.title", "studymatch")
    ada.find().until_is("document.title", "Finding a Partner… · studymatch")
    bob.open().find()
    ada.until_is("document.title", "Bob · studymatch")


def test_what_changes_is_announced_once_and_in_order(visit: Visit) -> None:
    ada, bob = visit("Ada").open(), visit("Bob")
    announcer = ada.page.locator("[aria-live=polite]#announcer")
    ada.find()
    expect(announcer).to_have_text("Looking for somebody to study with.")
    bob.open().find()
    expect(announcer).to_have_text("You are face to face.")
    bob.press("End")
    expect(announcer).to_have_text("Looking for somebody to study with.")


def test_everything_can_be_done_with_the_keyboard(visit: Visit) -> None:
    ada, bob = visit("Ada").open(), visit("Bob").open()

    def press(*keys: str) -> None:
        ada.until_true("![...document.querySelectorAll('[data-acts]')].some(group => group.inert)")
        for key in keys:
            ada.page.keyboard.press(key)

    press("Tab", "A", "d", "a", "Tab", "Tab", "Tab", "Enter")  # past the two switches to Find Partner
    ada.until("searching")
    press("Tab", "Enter")  # from the heading to Cancel
    ada.until("idle")
    press("Tab", "Tab", "Tab", "Tab", "Enter")
    ada.until("searching")
    bob.find()
    for visitor in (ada, bob):
        visitor.until("connected")
    press("Tab", "Tab", "Tab", "Tab", "Tab", "Enter")  # from the partner's name to End
    ada.until("idle")
