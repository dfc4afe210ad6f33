"""Every waiting has an end and a way out, no key acts by surprise, and the page says only what is true."""

from __future__ import annotations

import re
import signal

from tests.browser.conftest import EACH, ComeIn
from tests.support.server import Server, data_folder, running_server
from tests.support.visitors import QUIET, Visitor, meet

FOCUS = "[document.activeElement.tagName, look.says(document.activeElement)]"
TOLD = "watch.frames.filter(({ type }) => type === 'state').map(({ state }) => state)"
NAME_ERROR = "document.getElementById('name-error').textContent"
UNREACHABLE = "The study hall cannot be reached. Check your connection and try again."
NO_CALLS = "This browser cannot make video calls"
RESTARTED = "The server was restarted, and your place was lost with it. Your search begins again."
HOLD_MS = 400
"""For so long nothing can be pressed after the scene has changed."""
PONG_LIMIT_MS = 6_000
"""A line on which nothing is heard for so long, although it was asked for, is given up."""
MEND_MS = 20_000
"""After so long the page says why a call does not come back."""


def said(visitor: Visitor, *kinds: str) -> list[str]:
    """Which of these frames the page has sent, in order."""
    types: list[str] = visitor.asks("said.map(frame => frame.type)")
    return [kind for kind in types if kind in kinds]


def click_at_once(visitor: Visitor, label: str) -> None:
    """Click where this button is, whether or not it can be pressed yet."""
    visitor.tab.click(*visitor.tab.evaluate(f"look.middle(look.button('{label}'))"))


# Find Partner never stays dead


@EACH
def test_a_browser_that_blocks_storage_or_locks_finds_partners(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada").open(blocked=True, locks="reject"), come_in("Bob").open(locks="hang")
    ada.find().until("searching").press("Cancel").until("idle").press("Find Partner").until("searching")
    bob.find().until("connected")
    ada.until("connected")


@EACH
def test_a_guest_who_does_not_come_can_be_given_up_and_comes_too_late(come_in: ComeIn) -> None:
    ada = come_in("Ada").open().tell(hangs="guest").find()
    ada.sees("One moment…").press("Cancel").sees("This turns on your camera and microphone.")
    ada.until_is("document.activeElement.id", "welcome-title")
    assert ada.asks("asked") == []
    ada.tell(hangs=None).press("Find Partner").until("searching")
    ada.asks("goOn()")
    ada.sees("0:01").until("searching")
    assert ada.asks("sockets.length") == 1, "the late guest is nobody"


@EACH
def test_devices_that_do_not_open_can_be_given_up_and_open_too_late(come_in: ComeIn) -> None:
    ada = come_in("Ada").open().tell(hangs="devices").find()
    ada.sees("Allow your camera and microphone when the browser asks.").press("Cancel")
    ada.sees("This turns on your camera and microphone.")
    ada.tell(hangs=None).press("Find Partner").until("searching")
    ada.asks("goOn()")
    assert ada.asks("tracks.map(track => track.readyState).sort()") == ["ended", "ended", "live", "live"]


@EACH
def test_a_search_that_is_lost_with_the_line_is_made_again(come_in: ComeIn) -> None:
    ada = come_in("Ada").open().tell(loses="search").find().until("searching")
    assert ada.asks("sockets.length") == 2


@EACH
def test_a_search_that_never_arrives_can_be_given_up_at_once(come_in: ComeIn) -> None:
    ada = come_in("Ada").open().tell(swallows="search").find()
    ada.until_is("watch.said.at(-1)?.type", "search").press("Cancel")
    assert ada.is_quiet()
    ada.tell(swallows=None).press("Find Partner").until("searching")
    assert ada.asks("sockets.length") == 1


@EACH
def test_a_cancel_before_the_server_tells_of_the_search_leads_to_nobody(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    ada.open().find().until("searching").press("Cancel").until("idle")
    ada.tell(stops=PONG_LIMIT_MS).asks("deafen()")
    bob.open().find().until("searching")
    ada.press("Find Partner")
    bob.until("connecting")
    ada.press("Cancel").asks("hearAll()")
    bob.sees("Ada ended the session.").until("searching")
    ada.until_is(f"{TOLD}.slice(-3)", ["connecting", "ended", "idle"])
    assert ada.states == ["idle", "searching", "idle"], "the match was never drawn"
    assert ada.is_quiet()


@EACH
def test_while_the_server_is_down_and_after_it_was_killed(come_in: ComeIn, hall: Server) -> None:
    ada, bob, eve = come_in("Ada"), come_in("Bob"), come_in("Eve")
    with data_folder() as folder:
        with running_server(folder) as server:
            for visitor in (ada, bob, eve):
                visitor.address = server.address
                visitor.open()
            bob.find().until("searching").press("Cancel").until("idle")
            ada.find().until("searching")
            server.stop(signal.SIGKILL)
        ada.sees("Reconnecting…")

        bob.press("Find Partner").sees("The server cannot be reached just now. Trying again…")
        bob.press("Cancel").sees("This turns on your camera and microphone.")
        eve.find().sees(UNREACHABLE)
        assert not eve.tab.evaluate(NAME_ERROR), "the name is not at fault"
        assert (bob.asks("asked.length"), eve.asks("asked.length")) == (1, 0), "no device for nothing"

        port = server.address.rpartition(":")[2]
        with running_server(folder, "--port", port):
            ada.sees(RESTARTED).until("searching")
            eve.press("Find Partner").until("connected")
            ada.until("connected")
            for visitor in (ada, bob, eve):
                visitor.go_home().address = hall.address
                visitor.open().heard.clear()  # of a server that was down, a browser complains


# No WebRTC


@EACH
def test_without_webrtc_nobody_is_searched_for(come_in: ComeIn) -> None:
    for visitor in (come_in("Ada").open(unable=True), come_in("Bob").open(throws=True)):
        visitor.find().sees(NO_CALLS)
        visitor.until_is(FOCUS, ["H2", NO_CALLS])
        assert visitor.asks("asked") == said(visitor, "search") == []
        visitor.press("Not now").sees_buttons("Find Partner")


@EACH
def test_webrtc_that_fails_in_mid_match_is_said_at_once(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    ada.open().find().until("searching").tell(throws=True)
    bob.open().find().sees("Ada's browser could not set up the call.").until("searching")
    ada.sees(NO_CALLS)
    [failed] = ada.asks("said.filter(frame => frame.type === 'failed')")
    assert failed["code"] == "no_webrtc"
    assert ada.is_quiet()


# Focus


@EACH
def test_who_writes_when_the_partner_goes_presses_nothing_and_keeps_the_draft(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.press("Chat").types("I think")
    bob.press("End")
    ada.until("searching").key("Space").key("Enter").until_is(FOCUS, ["H2", "Finding a Partner…"])
    ada.sees("0:01").until("searching")
    bob.press("Find Partner")
    ada.until("connected").key("Space").key("Enter").until_is(FOCUS, ["H2", "Bob"]).sees_buttons("Mute")
    assert said(ada, "search", "cancel", "skip", "end", "chat") == ["search"]
    assert ada.press("Chat").tab.evaluate("document.getElementById('chat-text').value") == "I think"


@EACH
def test_keys_that_are_held_down_act_once(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    ada.open().fill("#name", "Ada").hold("Enter").until("searching").hold("Enter").let_go("Enter")
    ada.until_is(FOCUS, ["H2", "Finding a Partner…"]).hold("Space")
    bob.open().find().until("connected")
    ada.until("connected").hold("Space").let_go("Space").until_is(FOCUS, ["H2", "Bob"]).sees_buttons("Mute")
    assert said(ada, "search", "cancel", "skip", "end") == ["search"]


@EACH
def test_a_click_in_the_first_moments_of_a_scene_does_nothing(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    ada.open().tell(stops=HOLD_MS).find().until("searching")
    click_at_once(ada, "Cancel")
    bob.open().find().until("connected")
    ada.until("connected")
    for label in ("Skip", "End", "Mute"):
        click_at_once(ada, label)
    assert said(ada, "cancel", "skip", "end") == []
    ada.asks("goOn()")
    ada.press("Mute").sees_buttons("Unmute").press("End").until("idle")
    ada.until_is(FOCUS, ["H2", "Find someone to study with."])
    for label in ("Camera on", "Find Partner"):
        click_at_once(ada, label)
    ada.asks("goOn()")
    ada.sees_buttons("Find Partner", "Camera on")
    assert said(ada, "search") == ["search"]


# Words


@EACH
def test_a_partner_who_only_lost_the_server_is_not_gone(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.tell(held=True).asks("drop()")
    bob.sees("Ada has no connection to the server just now. The call goes on.").until_media_flows()
    ada.sees("Reconnecting…").tell(held=False).tab.evaluate("dispatchEvent(new Event('online'))")
    bob.until_is("look.texts('#stage-note')", [""]).until("connected")


@EACH
def test_a_call_whose_path_is_gone_says_why_and_offers_to_go_on(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.tell(stops=MEND_MS)
    bob.tab.evaluate("void watch.calls().at(-1).close()")
    ada.sees("The call is interrupted. Bringing it back…").asks("goOn()")
    ada.sees(
        "There is no way through the network to Bob any more. You can wait, or go on to the next person."
    )
    bob.press("End").until("idle")
    ada.until("searching")


@EACH
def test_calls_that_fail_in_a_row_are_the_network_and_session_over_has_a_way_back(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada").open().tell(discord=True), come_in("Bob").open()
    ada.find()
    bob.find().until("searching")
    ada.until("ended").sees("Session over").until_is("look.texts('#network-advice')", [""])
    ada.press("Find Partner").until_is(f"{TOLD}.filter(state => state === 'ended').length", 2)
    ada.sees(re.compile(r"^The last 2 calls could not be set up\. Your network may block video calls:"))
    bob.until("searching").until_is("look.texts('#network-advice')", [""])
    ada.press("Back").until("idle").sees_buttons("Find Partner").until_is(
        "document.body.dataset.scene", "welcome"
    )
    assert ada.is_quiet()


# A reload in a call


@EACH
def test_a_reload_while_connecting_comes_back_to_the_call(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada").open(), come_in("Bob").open().tell(withholds=True)
    for visitor in (ada, bob):
        visitor.find()
    session = bob.until("connecting").snapshots[-1]["session"]
    ada.until("connecting").reload().until("connecting")
    bob.tell(withholds=False)
    for visitor in (ada, bob):
        visitor.until("connected").until_media_flows()
        assert visitor.snapshots[-1]["session"] == session


@EACH
def test_both_are_reloaded_at_once_and_come_back_to_each_other(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    session = ada.snapshots[-1]["session"]
    ada.reload(held=True)
    bob.reload()
    ada.tell(held=False).tab.evaluate("dispatchEvent(new Event('online'))")
    for visitor in (ada, bob):
        visitor.until("connected").until_media_flows()
        assert visitor.snapshots[-1]["session"] == session


@EACH
def test_a_reload_to_a_place_that_nobody_knows_says_that_the_call_is_over(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.reload(forgets=True).sees("The call that you were in is over.")
    ada.until("idle").sees_buttons("Find Partner")
    assert ada.asks("quiet()") == QUIET
    bob.until("searching")


@EACH
def test_a_reload_whose_call_is_over_meanwhile_searches_like_anybody(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.reload(held=True)
    bob.press("End").until("idle")
    ada.tell(held=False).tab.evaluate("dispatchEvent(new Event('online'))")
    ada.until("searching")
    bob.press("Find Partner")
    for visitor in (ada, bob):
        visitor.until("connected").until_media_flows()


@EACH
def test_a_reload_with_a_busy_camera_comes_back_with_the_microphone(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.reload(failures={"video": "NotReadableError"}).sees(re.compile("^Your camera is busy")).until(
        "connected"
    )
    ada.sees_buttons("Mute", "Camera on")
    bob.sees("Ada's camera is off")
    ada.tell(failures={}).press("Camera on").sees_buttons("Camera off")
    bob.until_media_flows()


@EACH
def test_a_tab_that_is_duplicated_in_a_call_does_not_take_it(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.tab.evaluate(
        "void (window.twin = open(location.href))"
    )  # copies the session's storage, as duplicating does
    ada.until_is("twin.document.getElementById('name')?.value", "Ada")
    ada.until_true(
        "twin.document.getElementById('find').click(), twin.document.body.dataset.state === 'searching'"
    )
    ada.tab.evaluate("twin.close()")
    assert ada.asks("sockets.length") == 1
    for visitor in (ada, bob):
        visitor.until("connected").until_media_flows()
