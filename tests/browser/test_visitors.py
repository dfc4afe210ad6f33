"""What visitors do, in every browser, from press to press: seeing, hearing, writing, skipping, ending."""

from __future__ import annotations

import re

from studymatch.rules.lifecycle import State
from tests.browser.conftest import EACH, ComeIn
from tests.support.visitors import QUIET, meet

PARTNER = "video.partner"
CAUSE = "watch.frames.findLast(({ type }) => type === 'state').cause"
OPACITY = f"getComputedStyle(document.querySelector('{PARTNER}')).opacity"
CHAT = "look.texts('[role=log] p')"
FOCUS = "document.activeElement.textContent.trim()"


def test_two_people_see_and_hear_each_other(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    for visitor, partner in ((ada, bob), (bob, ada)):
        visitor.until_media_flows()
        before = visitor.tab.evaluate(f"look.pictures('{PARTNER}')")
        visitor.until_true(f"look.pictures('{PARTNER}').then(count => count > {before} + 5)")
        visitor.until_is(OPACITY, "1").sees(partner.name).sees(re.compile(r"^0:\d\d$"))
        visitor.sees_buttons("Mute", "Camera off", "Chat", "Skip", "End")
    own, partners = (ada.tab.evaluate(f"look.width('{name}')") for name in (".self", ".stage"))
    assert own * 3 < partners, "oneself is small, the partner is large"
    mirror = "getComputedStyle(document.querySelector('.self video')).transform"
    assert ada.tab.evaluate(mirror).startswith("matrix(-1,")
    sessions = {visitor.snapshots[-1]["session"] for visitor in (ada, bob)}
    assert len(sessions) == 1


@EACH
def test_the_page_goes_through_every_state_of_the_lifecycle(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.press("End").until("idle")
    bob.until("searching").press("Cancel").until("idle")
    assert ada.states == ["idle", "searching", "connecting", "connected", "idle"], "who ends is out at once"
    assert bob.states == ["idle", "searching", "connecting", "connected", "ended", "searching", "idle"]
    assert set(bob.states) == {state.value for state in State}


@EACH
def test_while_searching_the_hall_is_alive_and_cancel_goes_back(come_in: ComeIn) -> None:
    ada = come_in("Ada").open().find().until("searching")
    ada.sees("Finding a Partner…").sees("0:01")
    running = {"tracks": 2, "copies": 1, "playing": 2, "shown": 1, "intervals": 1}
    assert ada.asks("quiet()") == QUIET | running
    assert ada.asks("copies[0].getConstraints().frameRate.max") == 12, "a picture of oneself costs little"
    sounds = "[...watch.played].filter(e => e.tagName === 'AUDIO').map(e => [e.loop, e.volume])"
    ada.until_is(sounds, [[True, 0.4]])
    moving = "[...document.querySelectorAll('.beacon *')].flatMap(e => e.getAnimations()).length"
    ada.until_is(moving, 1).until_is(FOCUS, "Finding a Partner…")
    ada.press("Cancel").until("idle").until_is(CAUSE, "cancelled")


@EACH
def test_skip_ends_it_for_both_and_the_two_meet_again_when_nobody_else_is_there(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    first = ada.snapshots[-1]["session"]
    ada.press("Skip")
    for visitor, message in ((ada, "You skipped Bob."), (bob, "Ada went on to the next person.")):
        visitor.sees(message)
        visitor.until_true("watch.states.lastIndexOf('searching') > watch.states.indexOf('ended')")
        [ended] = [frame for frame in visitor.snapshots if frame["state"] == "ended"]
        assert 0 < ended["search_again_ms"] <= 500
        assert ended["cue"] == "hangup"
        assert visitor.asks("quiet()")["connections"] == 0
    for visitor in (ada, bob):
        visitor.until("connected").until_media_flows()
        assert visitor.asks("calls().length") == 2
        assert visitor.snapshots[-1]["session"] != first
        assert visitor.asks("asked") == ["audio+video"], "the devices stay open from call to call"


@EACH
def test_a_skip_before_the_call_is_up(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada").open(), come_in("Bob").open().tell(withholds=True)
    for visitor in (ada, bob):
        visitor.find()
    for visitor in (ada, bob):
        visitor.until("connecting").sees("Waiting for partner…").sees(
            re.compile("^Connecting you with ")
        ).sees_buttons("End")
    ada.press("Skip")
    for visitor in (ada, bob):
        visitor.until("searching")
        assert visitor.states == ["idle", "searching", "connecting", "ended", "searching"]


@EACH
def test_who_ends_is_idle_at_once_and_who_is_left_searches(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    bob.press("End").until("idle")
    assert bob.is_quiet()
    ada.sees("Bob ended the session.").until("searching")
    bob.sees_buttons("Find Partner").until_is("document.getElementById('name').value", "Bob")


@EACH
def test_who_cannot_set_up_the_call_is_told_and_may_try_again(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada").open().tell(discord=True), come_in("Bob").open()
    ada.find()
    bob.find().until("searching")
    ada.until("ended").sees("Session over").sees(
        re.compile("Your browser could not set up the call with Bob")
    )
    assert ada.is_quiet()
    ada.until_is(FOCUS, "Session over")
    bob.sees("Ada's browser could not set up the call.").until("searching")
    ada.tell(discord=False).press("Find Partner")
    for visitor in (ada, bob):
        visitor.until("connected")


@EACH
def test_closing_the_tab_is_a_goodbye(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    bob.tab.open("about:blank")
    ada.sees("Bob ended the session.")
    bob.open().until("idle")


def test_mute_and_camera_off_are_seen_by_the_partner(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    muted = "look.texts('[role=img][aria-label=Muted]').length"
    bob.until_is(muted, 0)
    ada.press("Mute").sees_buttons("Unmute")
    bob.until_is(muted, 1)
    ada.press("Camera off")
    bob.sees("Ada's camera and microphone are off")
    assert ada.asks("quiet()")["tracks"] == 1, "the camera is off, and not only hidden"
    ada.press("Unmute")
    bob.sees("Ada's camera is off").until_is(muted, 0)
    ada.press("Camera on")
    bob.until_is(OPACITY, "1").until_media_flows()
    assert ada.asks("calls().length") == 1


@EACH
def test_the_two_can_write_to_each_other(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.press("Chat").types("Shall we begin? <b>Now</b>").key("Enter")
    bob.until_is("look.texts('#unread')", ["1"]).click("#chat-open")
    bob.until_is(CHAT, ["Ada: Shall we begin? <b>Now</b>"])
    bob.types("Yes.").press("Send")
    ada.until_is(CHAT, ["You: Shall we begin? <b>Now</b>", "Bob: Yes."])
    bob.key("Escape").until_is("look.texts('[role=log]')", []).until_is(
        "document.activeElement.id", "chat-open"
    )


@EACH
def test_nobody_finds_what_another_partner_wrote(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.press("Chat").types("for Bob only").key("Enter").until_is("look.texts('[role=log] p').length", 1)
    bob.press("Skip").until("searching")
    ada.until("connected").press("Chat").until_is("look.texts('[role=log]').length", 1)
    assert ada.tab.evaluate(CHAT) == []


@EACH
def test_a_page_that_is_loaded_again_is_as_it_was_at_first(come_in: ComeIn) -> None:
    ada = come_in("Ada").open().find().until("searching")
    ada.tab.reload()
    ada.until("idle").until_is("document.getElementById('name').value", "Ada")
    ada.press("Find Partner").until("searching")


def test_a_page_that_is_loaded_again_in_a_call_comes_back_to_it(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    for visitor, partner in ((ada, bob), (bob, ada)):
        session = visitor.snapshots[-1]["session"]
        visitor.tab.reload()
        visitor.until("connected").until_media_flows()
        partner.until_media_flows()
        assert {ada.snapshots[-1]["session"], bob.snapshots[-1]["session"]} == {session}
    ada.press("Chat").types("Here again").key("Enter")
    bob.until_is("watch.frames.filter(frame => frame.type === 'chat').length", 1)


@EACH
def test_names_are_written_as_people_write_them(come_in: ComeIn) -> None:
    ada, bob = come_in("Zoë 👩‍💻"), come_in("علی‌رضا")
    meet(ada, bob)
    ada.sees("علی‌رضا")
    bob.sees("Zoë 👩‍💻")


@EACH
def test_what_has_arrived_is_counted_although_the_connection_closes_meanwhile(come_in: ComeIn) -> None:
    asked = "const asked = watch.received(); connection.close(); return asked;"
    received = f"(() => {{ const connection = new RTCPeerConnection(); {asked} }})()"
    assert come_in("Ada").open().tab.evaluate(received) == {"connection": 1, "audio": 0, "video": 0}
