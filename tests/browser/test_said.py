"""What is written or pressed while the line breaks is heard once, or it says that it was not."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.support.chromium import ChromiumVisitor
from tests.support.visitors import meet


def write(visitor: ChromiumVisitor, *texts: str) -> None:
    """Say this in the chat."""
    if not visitor.page.locator("#chat").is_visible():
        visitor.page.locator("#chat-open").click()
    for text in texts:
        visitor.page.get_by_label("Message", exact=True).fill(text)
        visitor.page.keyboard.press("Enter")


def texts(visitor: ChromiumVisitor) -> list[str]:
    """Every text that has come from the partner."""
    came: list[str] = visitor.asks("frames.filter(frame => frame.type === 'chat').map(frame => frame.text)")
    return came


def test_what_is_written_while_the_line_is_down_arrives_once_and_says_how_it_stands(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.tell(held=True).asks("drop()")
    write(ada, "Are you there?", "Hello?")
    own = ada.page.get_by_role("log").locator("p")
    expect(own).to_have_text(["You: Are you there?Sending…", "You: Hello?Sending…"])
    ada.tell(held=False)
    expect(own).to_have_text(["You: Are you there?Sent", "You: Hello?Sent"])
    write(ada, "Good.")
    bob.until_true("watch.frames.filter(frame => frame.type === 'chat').length === 3")
    assert texts(bob) == ["Are you there?", "Hello?", "Good."]
    expect(own.last).to_have_text("You: Good.")


def test_what_is_lost_inside_the_line_arrives_once(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    write(ada, "one")
    ada.tell(loses="chat")
    write(ada, "two")
    write(ada, "three")
    bob.until_true("watch.frames.filter(frame => frame.type === 'chat').length === 3")
    ada.asks("drop()")
    ada.until_true("watch.sockets.length === 3 && watch.frames.at(-1).type !== 'welcome'")
    write(ada, "four")
    bob.until_true("watch.frames.filter(frame => frame.type === 'chat').length >= 4")
    assert texts(bob) == ["one", "two", "three", "four"]


@pytest.mark.parametrize(("label", "frame", "state"), [("Skip", "skip", "searching"), ("End", "end", "idle")])
def test_what_is_pressed_when_the_line_breaks_is_done(
    visit: Visit, label: str, frame: str, state: str
) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    bob.press("Camera off")
    first = ada.snapshots[-1]["session"]
    ada.tell(loses=frame).press(label)
    if label == "Skip":
        ada.sees("Skip will be done as soon as the connection is back.")
    bob.until_true("watch.states.includes('ended')")
    ada.until_true(f"watch.states.slice(4).includes('{state}')")
    assert ada.snapshots[-1]["session"] != first


def test_a_text_for_somebody_who_has_left_says_that_it_was_not_sent(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.tell(held=True).asks("drop()")
    write(ada, "Wait for me!")
    bob.press("End").until("idle")
    ada.tell(held=False)
    notice = ada.page.locator("#notice")
    expect(notice).to_contain_text("“Wait for me!”: not sent to Bob.")
    assert notice.get_attribute("role") == "status", "it is read out, too"
    assert texts(bob) == []


def test_a_text_of_somebody_who_comes_back_too_late_says_that_it_was_not_sent(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.tell(held=True, forgets=True).asks("drop()")
    write(ada, "first", "second " + "x" * 100)
    ada.tell(held=False).until("idle")
    sentence = f"“second {'x' * 53}…” and 1 more: not sent to Bob."
    expect(ada.page.locator("#notice")).to_contain_text(sentence)
    assert texts(bob) == []


def test_more_than_can_be_kept_says_at_once_that_it_was_not_sent(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.tell(held=True).asks("drop()")
    write(ada, "0")
    ada.page.evaluate(
        """() => {
            for (let time = 1; time <= 200; time++) {
                document.getElementById("chat-text").value = `${time}`;
                document.getElementById("chat-form").requestSubmit();
            }
        }"""
    )
    own = ada.page.get_by_role("log").locator("p")
    expect(own.last).to_have_text("You: 200Not sent")
    expect(own.last).to_be_in_viewport(ratio=0.99)
    kept = ada.page.get_by_text("Sending…").count()
    assert 190 <= kept <= 200, "of 200, less what was said before and is not known to be heard"
    expect(own.nth(kept - 1)).to_have_text(f"You: {kept - 1}Sending…")
    ada.tell(held=False)
    bob.until_true(f"watch.frames.filter(frame => frame.type === 'chat').length === {kept}")
    expect(own.nth(kept - 1)).to_have_text(f"You: {kept - 1}Sent")
    assert texts(bob) == [str(number) for number in range(kept)]
    assert ada.asks("sockets.length") == bob.asks("sockets.length") + 1, "nobody was hung up on"


def test_a_search_that_is_pressed_while_the_line_is_down_begins_later(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching").press("Cancel").until("idle")
    ada.tell(held=True, forgets=True).asks("drop()")
    ada.sees("Reconnecting…").press("Find Partner")
    ada.sees("The server cannot be reached just now. Trying again…")
    assert ada.asks("quiet()")["tracks"] == 0, "nobody can be found, so the camera stays off"
    ada.tell(held=False).until("searching")
    assert ada.asks("quiet()")["tracks"] == 2


def test_a_search_that_is_lost_with_the_line_and_its_person_begins_all_the_same(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching").press("Cancel").until("idle")
    ada.tell(loses="search", forgets=True).press("Find Partner").until("searching")
    assert ada.asks("sockets.length") == 2


def test_a_partner_who_writes_without_end_fills_no_memory(visit: Visit) -> None:
    ada, bob = visit("Ada"), visit("Bob")
    meet(ada, bob)
    ada.page.evaluate(
        """() => {
            const { session } = watch.frames.findLast(({ type }) => type === "state");
            const chat = { type: "chat", session, from: "b" };
            for (let time = 0; time < 1000; time++) watch.hear({ ...chat, text: `${time}` });
        }"""
    )
    expect(ada.page.locator("#unread")).to_have_text("99+")
    ada.page.locator("#chat-open").click()
    theirs = ada.page.get_by_role("log").locator("p")
    expect(theirs).to_have_count(300)
    expect(theirs.last).to_have_text("Bob: 999")
