"""A real call between two tabs, from press to press: seeing, hearing, writing, skipping, ending."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from studymatch.lifecycle import State
from tests.browser.conftest import Visit
from tests.support.server import Server
from tests.support.visitors import LIMIT_MS, QUIET, meet


def test_two_people_see_and_hear_each_other(visit: Visit, hall: Server) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    for visitor, partner in ((ada, bob), (bob, ada)):
        visitor.until_media_flows()
        video = visitor.page.locator("video.partner")
        before = video.evaluate("video => video.getVideoPlaybackQuality().totalVideoFrames")
        visitor.until_true(
            "document.querySelector('video.partner').getVideoPlaybackQuality().totalVideoFrames"
            f" > {before} + 5"
        )
        expect(video).to_have_css("opacity", "1")
        visitor.sees(partner.name).sees(re.compile(r"^0:\d\d$"))
        for label in ("Mute", "Camera off", "Chat", "Skip", "End"):
            expect(visitor.button(label)).to_be_visible()
    own, partners = (ada.page.locator(name).bounding_box() for name in (".self", ".stage"))
    assert own
    assert partners
    assert own["width"] * 3 < partners["width"], "oneself is small, the partner is large"
    assert "matrix(-1," in ada.page.locator(".self video").evaluate(
        "video => getComputedStyle(video).transform"
    )
    sessions = {visitor.snapshots[-1]["session"] for visitor in (ada, bob)}
    assert len(sessions) == 1


def test_the_page_goes_through_every_state_of_the_lifecycle(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.press("End").until("idle")
    bob.until("searching").press("Cancel").until("idle")
    assert ada.states == ["idle", "searching", "connecting", "connected", "ended", "idle"]
    assert bob.states == ["idle", "searching", "connecting", "connected", "ended", "searching", "idle"]
    assert set(ada.states) == {state.value for state in State}


def test_while_searching_the_hall_is_alive_and_cancel_goes_back(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching")
    ada.sees("Finding a Partner…").sees("0:01")
    assert ada.asks("quiet()") == QUIET | {"tracks": 2, "playing": 2, "shown": 1, "intervals": 1}
    ring = ada.page.evaluate(
        "[...watch.played].filter(e => e.tagName === 'AUDIO').map(e => [e.loop, e.volume])"
    )
    assert ring == [[True, 0.4]]
    spinner = ada.page.locator(".spinner .arc, .ring").evaluate_all(
        "elements => elements.map(element => element.getAnimations().length)"
    )
    assert spinner == [1, 1, 1, 1]
    assert ada.page.evaluate("document.activeElement.textContent.trim()") == "Cancel"
    ada.press("Cancel").until("idle")
    assert ada.snapshots[-1]["cause"] == "cancelled"


def test_skip_ends_it_for_both_and_the_two_meet_again_when_nobody_else_is_there(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    first = ada.snapshots[-1]["session"]
    ada.press("Skip")
    for visitor, message in ((ada, "You skipped Bob."), (bob, "Ada went on to the next person.")):
        visitor.sees(message)
        visitor.until_true("watch.states.lastIndexOf('searching') > watch.states.indexOf('ended')")
        [ended] = [frame for frame in visitor.snapshots if frame["state"] == "ended"]
        assert 0 < ended["search_again_in"] <= 500
        assert ended["cue"] == "hangup"
        assert visitor.asks("quiet()")["connections"] == 0
    for visitor in (ada, bob):
        visitor.until("connected").until_media_flows()
        assert visitor.asks("connections.length") == 2
        assert visitor.snapshots[-1]["session"] != first
        assert visitor.asks("asked") == ["audio+video"], "the devices stay open from call to call"


def test_a_skip_before_the_call_is_up(visit: Visit) -> None:
    ada, bob = visit("Ada").open(), visit("Bob").open().tell(withholds=True)
    for visitor in (ada, bob):
        visitor.find()
    for visitor in (ada, bob):
        visitor.until("connecting").sees("Waiting for partner…")
        expect(visitor.button("End")).to_be_visible()
    ada.press("Skip")
    for visitor in (ada, bob):
        visitor.until("searching")
        assert visitor.states == ["idle", "searching", "connecting", "ended", "searching"]


def test_who_ends_is_idle_at_once_and_who_is_left_searches(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    bob.press("End").until("idle")
    assert bob.is_quiet()
    ada.sees("Bob ended the session.").until("searching")
    expect(bob.button("Find Partner")).to_be_visible()
    expect(bob.page.get_by_label("Your name")).to_have_value("Bob")


def test_who_cannot_set_up_the_call_is_told_and_may_try_again(visit: Visit) -> None:
    ada, bob = visit("Ada").open().tell(discord=True), visit("Bob").open()
    ada.find()
    bob.find().until("searching")
    ada.until("ended").sees("Session over").sees(
        re.compile("Your browser could not set up the call with Bob")
    )
    assert ada.is_quiet()
    assert ada.page.evaluate("document.activeElement.textContent") == "Session over"
    bob.sees("Ada's browser could not set up the call.").until("searching")
    ada.tell(discord=False).press("Find Partner")
    for visitor in (ada, bob):
        visitor.until("connected")


def test_closing_the_tab_is_a_goodbye(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    bob.page.goto("about:blank")
    ada.sees("Bob ended the session.")
    bob.open().until("idle")


def test_mute_and_camera_off_are_seen_by_the_partner(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    muted = bob.page.get_by_role("img", name="Muted")
    expect(muted).to_be_hidden()
    ada.press("Mute")
    expect(muted).to_be_visible(timeout=LIMIT_MS)
    expect(ada.button("Unmute")).to_be_visible()
    ada.press("Camera off")
    bob.sees("Ada's camera and microphone are off")
    assert ada.asks("quiet()")["tracks"] == 1, "the camera is off, and not only hidden"
    ada.press("Unmute")
    bob.sees("Ada's camera is off")
    expect(muted).to_be_hidden()
    ada.press("Camera on")
    expect(bob.page.locator("video.partner")).to_have_css("opacity", "1", timeout=LIMIT_MS)
    bob.until_media_flows()
    assert ada.asks("connections.length") == 1


def test_the_two_can_write_to_each_other(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.press("Chat")
    ada.page.keyboard.type("Shall we begin? <b>Now</b>")
    ada.page.keyboard.press("Enter")
    expect(bob.page.locator("#unread")).to_have_text("1", timeout=LIMIT_MS)
    bob.page.locator("#chat-open").click()
    expect(bob.page.get_by_role("log").locator("p")).to_have_text(["Ada: Shall we begin? <b>Now</b>"])
    bob.page.keyboard.type("Yes.")
    bob.press("Send")
    expect(ada.page.get_by_role("log").locator("p")).to_have_text(
        ["You: Shall we begin? <b>Now</b>", "Bob: Yes."], timeout=LIMIT_MS
    )
    bob.page.keyboard.press("Escape")
    expect(bob.page.get_by_role("log")).to_be_hidden()
    assert bob.page.evaluate("document.activeElement.id") == "chat-open"


def test_nobody_finds_what_another_partner_wrote(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.press("Chat").page.keyboard.type("for Bob only")
    ada.page.keyboard.press("Enter")
    bob.press("Skip").until("searching")
    ada.until("connected").press("Chat")
    expect(ada.page.get_by_role("log").locator("p")).to_have_count(0)
