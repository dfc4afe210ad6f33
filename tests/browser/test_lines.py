"""A bad network: the line drops in every state, things get lost on the way, and the story goes on."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.support.chromium import ChromiumVisitor
from tests.support.server import Server
from tests.support.visitors import INSECURE_HOST, Visitor, meet


def resumed(visitor: Visitor) -> list[bool]:
    """Of every welcome: did it bring the person back to where they were?"""
    answers: list[bool] = visitor.asks("frames.filter(f => f.type === 'welcome').map(f => f.resumed)")
    return answers


def test_a_search_goes_on_after_the_line_dropped(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching").sees("0:01")
    ada.asks("drop()")
    ada.until_true("watch.sockets.length === 2 && watch.frames.at(-1).type !== 'welcome'")
    ada.sees("0:02")
    assert resumed(ada) == [False, True]
    assert ada.states == ["idle", "searching"]
    assert ada.snapshots[-1]["since_ms"] > 1000, "the waiting time is kept"


@pytest.mark.parametrize("state", ["connecting", "connected"])
def test_a_line_that_drops_in_the_middle_of_a_session_is_resumed(visit: Visit, state: str) -> None:
    ada, bob = visit("Ada").open(), visit("Bob").open()
    ada.tell(dropsOn=state).find()
    bob.find()
    for visitor in (ada, bob):
        visitor.until("connected").until_media_flows()
        assert visitor.states == ["idle", "searching", "connecting", "connected"]
    assert resumed(ada) == [False, True]


@pytest.mark.parametrize("first", ["Ada", "Bob"])
@pytest.mark.parametrize("signal", ["media", "description", "candidates"])
def test_a_signal_that_is_lost_with_the_line_costs_no_call(visit: Visit, signal: str, first: str) -> None:
    ada, bob = visit("Ada").open(), visit("Bob").open()
    ada.tell(loses=signal)
    one, other = (ada, bob) if first == "Ada" else (bob, ada)
    one.find().until("searching")
    other.find()
    for visitor in (ada, bob):
        visitor.until("connected").until_media_flows()
        assert visitor.states == ["idle", "searching", "connecting", "connected"]
    assert resumed(ada) == [False, True]


def test_a_report_that_is_lost_with_the_line_is_made_again(visit: Visit) -> None:
    ada, bob = visit("Ada").open(), visit("Bob").open().tell(withholds=True)
    ada.find()
    bob.find().until("connecting").until_media_flows()
    ada.until("connecting")
    bob.tell(withholds=False).asks("drop()")
    for visitor in (ada, bob):
        visitor.until("connected")
    assert resumed(bob) == [False, True]


def test_both_lines_drop_in_the_middle_of_signaling(visit: Visit) -> None:
    ada, bob = visit("Ada").open().tell(loses="description"), visit("Bob").open().tell(loses="description")
    ada.find()
    bob.find()
    for visitor in (ada, bob):
        visitor.until("connected").until_media_flows()


def test_while_one_reconnects_the_call_goes_on_and_the_other_is_told(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.tell(held=True).asks("drop()")
    ada.sees("Reconnecting…")
    bob.sees("Ada has no connection to the server just now. The call goes on.")
    for visitor in (ada, bob):
        visitor.until_media_flows()
    ada.tell(held=False).page.evaluate("dispatchEvent(new Event('online'))")
    for visitor in (ada, bob):
        expect(visitor.page.get_by_text("Reconnecting…")).to_be_hidden()
    expect(bob.page.get_by_text("has no connection")).to_be_hidden()
    assert ada.states == bob.states == ["idle", "searching", "connecting", "connected"]


def test_what_is_pressed_while_the_line_is_down_is_done_when_it_is_back(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.tell(held=True).asks("drop()")
    ada.sees("Reconnecting…").press("End")
    ada.tell(held=False).until("idle")
    bob.sees("Ada ended the session.")


def test_a_search_that_the_server_has_forgotten_begins_again(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching")
    # A key that opens nothing is what remains after a server was killed.
    ada.tell(forgets=True).asks("drop()")
    ada.sees("The server was restarted, and your place was lost with it. Your search begins again.")
    ada.until_true("watch.frames.filter(frame => frame.state === 'searching').length === 2")
    assert resumed(ada) == [False, False]
    ada.until("searching")
    assert ada.asks("asked") == ["audio+video"], "the devices stayed open"


def test_a_call_that_the_server_has_forgotten_is_over_and_says_why(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.tell(forgets=True).asks("drop()")
    ada.sees("The server was restarted, and your place was lost with it. Press Find Partner to go on.")
    ada.until("idle")
    assert ada.is_quiet()
    bob.until("searching")


def test_a_reloaded_page_is_a_fresh_start_under_the_same_name(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching")
    ada.page.reload()
    ada.until("idle").sees(re.compile(r"\d (person|people) here"))
    expect(ada.page.get_by_label("Your name")).to_have_value("Ada")
    assert resumed(ada) == [False]


def test_a_token_that_is_no_longer_good_is_replaced_in_silence(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching").press("Cancel").until("idle")
    ada.page.evaluate(
        "sessionStorage.setItem('studymatch.guest',"
        " JSON.stringify({ ...JSON.parse(sessionStorage.getItem('studymatch.guest')), token: 'expired' }))"
    )
    ada.page.reload()
    ada.until_true("watch.frames.some(frame => frame.type === 'welcome')")
    ada.find().until("searching")
    assert ada.asks("sockets.length") == 2


def test_a_duplicated_tab_is_another_person_with_the_same_name(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching")
    with ada.page.expect_popup() as popup:
        ada.page.evaluate(
            "void window.open(location.href)"
        )  # copies the session's storage, as duplicating does
    twin = ChromiumVisitor(ada.address, ada.context, "Ada", popup.value)
    expect(twin.page.get_by_label("Your name")).to_have_value("Ada")
    twin.press("Find Partner")
    for visitor in (ada, twin):
        visitor.until("connected")
    assert resumed(ada) == [False]
    twin.go_home()
    assert twin.is_quiet()
    assert twin.heard == []


def test_the_newest_tab_of_a_person_wins_and_the_other_says_so(visit: Visit, hall: Server) -> None:
    """Where there are no locks (a page that is not secure), both tabs are one person."""
    ada = visit("Ada", address=hall.address.replace("127.0.0.1", INSECURE_HOST)).open().find()
    ada.press("Continue without camera and microphone").until("searching")
    with ada.page.expect_popup() as popup:
        ada.page.evaluate("void window.open(location.href)")
    ada.sees("You are in another tab")
    assert ada.is_quiet()
    twin = ChromiumVisitor(ada.address, ada.context, "Ada", popup.value)
    twin.sees(re.compile(r"\d (person|people) here"))
    ada.press("Use this tab").until("idle")
    twin.sees("You are in another tab")
