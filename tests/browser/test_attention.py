"""What calls for attention: a ring that can be switched off, and messages that nobody has read yet."""

from __future__ import annotations

import pytest

from tests.browser.conftest import EACH, ComeIn
from tests.support.visitors import Visitor, meet

AUDIO = "[...watch.played].filter(element => element.tagName === 'AUDIO')"
RINGING = f"{AUDIO}.some(element => element.loop && !element.paused)"
MESSAGES = f"{AUDIO}.filter(element => element.src.endsWith('message.wav')).length"
ANNOUNCED = "document.getElementById('announcer').textContent"
SOME = r"[1-9]\d*"
UNREAD = "look.texts('#unread')"


def turn(visitor: Visitor, visibility: str) -> None:
    """Have the tab tell the page that it is `hidden` or `visible`."""
    visitor.tab.evaluate(
        "Object.defineProperty(document, 'visibilityState',"
        f" {{ value: '{visibility}', configurable: true }}),"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def counts(online: str, searching: str) -> str:
    """That the page shows such a count of people."""
    return f"/^{online} (person|people) here, {searching} searching$/.test(look.texts('#presence')[0])"


@EACH
def test_who_comes_for_the_first_time_sees_how_many_are_here(come_in: ComeIn) -> None:
    bob, ada = come_in("Bob").open().find().until("searching"), come_in("Ada")
    ada.tab.pause(1_100)  # the count in the page is a second old at most
    ada.open().until_true(counts(SOME, SOME))
    assert ada.asks("sockets.length") == 0
    bob.press("Cancel").until("idle")
    ada.until_true(f"document.dispatchEvent(new Event('visibilitychange')) && {counts(SOME, '0')}")


@EACH
def test_the_ring_can_be_switched_off_and_stays_off(come_in: ComeIn) -> None:
    ada = come_in("Ada").open().find().until("searching").until_true(RINGING)
    ada.press("Ring on").sees_buttons("Ring off").until_is(RINGING, False)
    ada.press("Cancel").until("idle").press("Find Partner").until("searching").sees_buttons("Ring off")
    ada.tab.reload()
    ada.until("idle").press("Find Partner").until("searching").sees_buttons("Ring off")
    assert ada.tab.evaluate(f"{AUDIO}.length") == 0, "it is silent from the start"
    ada.press("Ring off").until_true(RINGING)


@EACH
@pytest.mark.parametrize(("panel", "visibility"), [("closed", "visible"), ("open", "hidden")])
def test_a_message_that_is_not_seen_is_heard_and_counted_until_it_is_read(
    come_in: ComeIn, panel: str, visibility: str
) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    if panel == "open":
        bob.click("#chat-open")
    turn(bob, visibility)
    ada.press("Chat").types("Hello").key("Enter").types("Are you there?").key("Enter")
    bob.until_is("document.title", "(2) Ada · studymatch").until_is(UNREAD, ["2"])
    assert bob.tab.evaluate(MESSAGES) == 1
    if panel == "open":
        turn(bob, "visible")
    else:
        bob.click("#chat-open")
    bob.until_is("document.title", "Ada · studymatch").until_is(UNREAD, [])


@EACH
def test_a_message_that_is_seen_makes_no_sound(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    bob.click("#chat-open")
    ada.press("Chat").types("Hello").key("Enter")
    bob.until_is("look.texts('[role=log] p')", ["Ada: Hello"])
    assert bob.tab.evaluate(MESSAGES) == 0
    assert bob.tab.evaluate("document.title") == "Ada · studymatch"
    assert bob.tab.evaluate(ANNOUNCED) == "You are face to face.", "an open panel is read out as it is"


@EACH
def test_what_the_partner_switches_is_announced(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    announced = "announcements.splice(0)"
    bob.until_media_flows().tab.evaluate(
        "window.announcements = [],"
        "new MutationObserver(([{ target }]) => announcements.push(target.textContent))"
        ".observe(document.getElementById('announcer'), { childList: true })"
    )
    for label, sentence in (
        ("Mute", "Ada cannot be heard now."),
        ("Unmute", "Ada can be heard again."),
        ("Mute", "Ada cannot be heard now."),
        ("Camera off", "Ada cannot be seen now."),
        ("Camera on", "Ada can be seen again."),
    ):
        ada.press(label)
        bob.until_is("announcements.length", 1)
        assert bob.tab.evaluate(announced) == [sentence]
    bob.tab.evaluate("watch.drop()")
    bob.until_is(announced, ["Connected again."])
