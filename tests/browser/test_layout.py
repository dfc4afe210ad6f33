"""Where things lie: every scene at every size and in both writing directions, with names and words that hurt.

The scenes are a table; `layout.js` measures, and says in words what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Literal

import pytest

from tests.browser.conftest import EACH, ComeIn, Visit
from tests.support.chromium import ChromiumVisitor
from tests.support.visitors import Visitor, meet

SIZES = [(320, 568), (390, 844), (844, 390), (820, 1180), (1440, 900), (720, 450)]
"""In CSS pixels: phones and a tablet, upright and sideways; a window, and the same window at 200 % zoom."""
OTHER_SIZES = [(568, 320), (667, 375), (360, 640), (1024, 600), (2560, 1440)]
DIRECTIONS: list[tuple[str, Literal["light", "dark"]]] = [("ltr", "light"), ("rtl", "dark")]
NAMES = ["Ada", "W" * 40, "😀" * 40, "漢字" * 20, "שלום " * 7 + "עליך"]
WORDS = f"“{'w' * 60}…” and 3 more: perhaps not sent to \u2068{'W' * 40}\u2069."
WATCH_SHIFTS = """
    window.shifts = [];
    new PerformanceObserver((list) => shifts.push(...list.getEntries().map((entry) => entry.value)))
        .observe({ type: "layout-shift", buffered: true });
"""
CONTROLS = ["#mute", "#camera", "#chat-open", "#skip", "#end"]
LONG_WAIT = (
    "Many people on your network left others before a call came about. The next search begins in 600 seconds."
)
NO_CALL = (
    "Your browser could not set up the call with Bob. "
    "Check your camera, microphone and network, then press Find Partner."
)

Scene = Callable[[Visitor], list[str]]
"""Brings a visitor there, and tells which buttons have to be in sight."""


def hear(visitor: Visitor, **told: object) -> None:
    """Have the page hear the last snapshot again, with these changes."""
    last = "watch.frames.findLast(({ type }) => type === 'state')"
    visitor.tab.evaluate(f"void watch.hear({{ ...{last}, ...{json.dumps(told)} }})")


def entrance(visitor: Visitor) -> list[str]:
    visitor.open().press("Find Partner").sees("Please enter your name.")
    return ["#find", "#name", "#come-heard", "#come-seen"]


def devices(visitor: Visitor) -> list[str]:
    blocked = dict.fromkeys(("audio", "video"), "NotAllowedError")
    visitor.open().tell(failures=blocked).find().sees("Your camera and microphone are blocked")
    return ["#try-again", "#continue-without"]


def searching(visitor: Visitor) -> list[str]:
    visitor.open().find().until("searching")
    return ["#cancel"]


def waiting(visitor: Visitor) -> list[str]:
    left(visitor, search_again_ms=600_000, message=LONG_WAIT)
    return ["#cancel"]


def over(visitor: Visitor) -> list[str]:
    left(visitor, message=f"\u2068{'W' * 40}\u2069's browser could not set up the call.")
    return ["#find-again"]


def blocked(visitor: Visitor) -> list[str]:
    left(visitor, cause="connect_timeout", message=NO_CALL)
    meets(visitor, "another call")
    hear(visitor, state="ended", session="another call", cause="connect_timeout", message=NO_CALL)
    visitor.sees(re.compile("^The last 2 calls could not be set up"))
    below = (
        "document.getElementById('network-advice').offsetTop > document.getElementById('waited').offsetTop"
    )
    assert visitor.tab.evaluate(below)
    return ["#find-again", "#cancel"]


def left(visitor: Visitor, **told: object) -> None:
    """As after a call that somebody left."""
    searching(visitor)
    meets(visitor, "a call")
    hear(visitor, state="ended", session="a call", **told)


def meets(visitor: Visitor, session: str) -> None:
    partner = {"id": "somebody", "name": "Bob", "away": False}
    hear(visitor, state="connecting", session=session, partner=partner, initiator=False)


def stopped(visitor: Visitor) -> list[str]:
    searching(visitor).clear()
    visitor.asks("hangUp(4409)")
    visitor.sees("You are in another tab")
    return ["#use-this-tab"]


SCENES = [entrance, devices, searching, waiting, over, blocked, stopped]


def settings(visitor: ChromiumVisitor, sizes: list[tuple[int, int]] = SIZES) -> Iterator[str]:
    """Every size in both directions, in one scheme each; what the page is like then, in words."""
    for (width, height), (direction, scheme) in product(sizes, DIRECTIONS):
        visitor.tab.resize(width, height)
        visitor.page.emulate_media(color_scheme=scheme)
        visitor.tab.evaluate(f"void (document.documentElement.dir = '{direction}')")
        visitor.until_true("layout.rests()")
        yield f"{width}x{height} {scheme} {direction}"


def faults(visitor: Visitor, buttons: list[str]) -> list[str]:
    found: list[str] = visitor.tab.evaluate(f"layout.faults({json.dumps(buttons)})")
    return found


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_fits_every_screen(visit: Visit, scene: Scene) -> None:
    ada = visit("Ada", reduced_motion="reduce")
    buttons = scene(ada)
    wrong = {setting: faults(ada, buttons) for setting in settings(ada, SIZES + OTHER_SIZES)}
    assert not {setting: what for setting, what in wrong.items() if what}
    if ada.tab.evaluate("document.body.dataset.state") == "ended":
        hear(ada)  # where the server has it


def in_a_call(visit: Visit, *, chat: bool) -> tuple[ChromiumVisitor, list[str]]:
    ada, bob = visit("Ada", reduced_motion="reduce"), visit("Bob")
    meet(ada, bob)
    ada.until_true("document.querySelector('.partner').classList.contains('framed')")
    if not chat:
        return ada, CONTROLS
    ada.press("Chat")
    bob.press("Chat")
    for text in ("w" * 300, "שלום, נתחיל?", "😀" * 40, "漢" * 60):
        ada.fill("#chat-text", text).key("Enter")
        bob.fill("#chat-text", text).key("Enter")
    ada.until_is("look.texts('[role=log] p').length", 8)
    return ada, [*CONTROLS, "#chat-text", "#chat-close"]


@pytest.mark.parametrize("chat", [False, True])
def test_nothing_lies_over_anything_in_a_call(visit: Visit, chat: bool) -> None:
    ada, buttons = in_a_call(visit, chat=chat)
    partner = ada.snapshots[-1]["partner"]
    wrong = {}
    for setting in settings(ada):
        for name, away in product(NAMES, (False, True)):
            hear(ada, partner=partner | {"name": name, "away": away})
            if away:
                ada.tab.evaluate(f"layout.crowd({json.dumps(WORDS)})")
            wrong[f"{setting} {name[:5]} {away}"] = faults(ada, buttons)
    assert not {setting: what for setting, what in wrong.items() if what}
    hear(ada)


@EACH
@pytest.mark.parametrize("scene", [entrance, devices, waiting])
def test_every_browser_lays_it_out_like_this(come_in: ComeIn, scene: Scene) -> None:
    ada = come_in("Ada")
    buttons = scene(ada)
    for width, height in SIZES:
        ada.tab.resize(width, height)
        ada.until_true("layout.rests()")
        assert faults(ada, buttons) == [], f"at {width}x{height}"
    if ada.tab.evaluate("document.body.dataset.state") == "ended":
        hear(ada)


def test_nothing_moves_while_the_page_comes_alive(visit: Visit) -> None:
    ada = visit("Ada")
    ada.page.context.add_init_script(WATCH_SHIFTS)
    for width, height in SIZES:
        ada.tab.resize(width, height)
        ada.open().sees_buttons("Find Partner").until_true("layout.rests()")
        assert ada.tab.evaluate("shifts") == [], f"at {width}x{height}"


@pytest.mark.parametrize("scene", SCENES)
def test_twice_the_size_of_text_only_makes_a_scene_longer(visit: Visit, scene: Scene) -> None:
    ada = visit("Ada", reduced_motion="reduce")
    button, *_ = scene(ada)
    ada.tab.evaluate("void (document.documentElement.style.fontSize = '200%')")
    for width, height in ((390, 844), (1440, 900)):
        ada.tab.resize(width, height)
        ada.tab.evaluate(f"document.querySelector('{button}').scrollIntoView({{ block: 'nearest' }})")
        ada.until_true("layout.rests()")
        assert faults(ada, [button]) == [], f"at {width}x{height}"
    if ada.tab.evaluate("document.body.dataset.state") == "ended":
        hear(ada)


def test_a_call_with_twice_the_size_of_text_has_all_its_controls(visit: Visit) -> None:
    ada, controls = in_a_call(visit, chat=False)
    ada.tab.evaluate("void (document.documentElement.style.fontSize = '200%')")
    for width, height in ((390, 844), (1440, 900)):
        ada.tab.resize(width, height)
        assert faults(ada, controls) == [], f"at {width}x{height}"


def test_nothing_lies_below_the_notch(visit: Visit) -> None:
    ada, controls = in_a_call(visit, chat=True)
    ada.tab.evaluate(
        "void Object.entries({ side: '44px', top: '20px', bottom: '21px' })"
        ".forEach(([side, px]) => document.documentElement.style.setProperty(`--safe-${side}`, px))"
    )
    for _ in settings(ada, [(844, 390), (390, 844)]):
        assert faults(ada, controls) == []
        assert ada.tab.evaluate(INSIDE)


INSIDE = """[...document.querySelectorAll(".stage, .control, #chat")].every(box => {
    const { left, right, top, bottom } = box.getBoundingClientRect();
    return left >= 44 && right <= innerWidth - 44 && top >= 20 && bottom <= innerHeight - 21;
})"""


SEEN = """(() => {
    const [panel, last] = [messages, messages.lastElementChild].map(part => part.getBoundingClientRect());
    const field = document.getElementById("chat-text").getBoundingClientRect();
    const stage = document.querySelector(".stage").getBoundingClientRect();
    const seen = visualViewport.height;
    return last.bottom <= panel.bottom && panel.bottom <= seen && field.bottom <= seen && stage.height >= 72;
})()"""
"""Are the newest message, the field below it and the partner in sight?"""


@pytest.mark.parametrize("covers", [False, True])
def test_the_newest_message_stays_in_sight_above_a_keyboard(visit: Visit, covers: bool) -> None:
    ada, _ = in_a_call(visit, chat=True)
    for width, height, keyboard in [(390, 844, 336), (320, 568, 253), (844, 390, 160)]:
        ada.tab.resize(width, height)
        ada.click("#chat-text").until_true(SEEN)
        if covers:  # as Safari does, where the window stays as it is
            ada.tab.evaluate(
                "void Object.defineProperty(visualViewport, 'height',"
                f" {{ value: innerHeight - {keyboard}, configurable: true }})"
            )
            ada.tab.evaluate("visualViewport.dispatchEvent(new Event('resize'))")
        else:
            ada.tab.resize(width, height - keyboard)
        ada.until_true(SEEN)
        ada.tab.evaluate("delete visualViewport.height && visualViewport.dispatchEvent(new Event('resize'))")


@EACH
def test_who_reads_further_up_is_left_there(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    session = ada.snapshots[-1]["session"]
    ada.press("Chat")
    for number in range(30):
        say(ada, session, f"Line {number}")
    ada.until_true(AT_THE_END)
    assert not ada.tab.evaluate("!!look.button('New messages ↓')")
    ada.tab.evaluate("void (messages.scrollTop = 40)")
    ada.until_true(f"new Promise(requestAnimationFrame).then(() => !{AT_THE_END})")
    say(ada, session, "Another one")
    ada.until_true("!!look.button('New messages ↓')")
    assert ada.tab.evaluate("messages.scrollTop") == 40
    ada.press("New messages ↓").until_true(AT_THE_END)
    assert not ada.tab.evaluate("!!look.button('New messages ↓')")
    assert ada.tab.evaluate("document.activeElement.id") == "messages"
    ada.tab.evaluate("void (messages.scrollTop = 40)")
    ada.fill("#chat-text", "I have read it").key("Enter").until_true(AT_THE_END)


AT_THE_END = "messages.scrollHeight - messages.scrollTop - messages.clientHeight < 2"


def say(visitor: Visitor, session: str, text: str) -> None:
    """Have the page hear a text of the partner."""
    frame = {"type": "chat", "seq": 0, "session": session, "from": "Bob", "text": text}
    visitor.asks(f"hear({json.dumps(frame)})")


@EACH
def test_what_runs_from_right_to_left_does_so_in_any_page(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("שלום")
    meet(ada, bob)
    session, partner = ada.snapshots[-1]["session"], ada.snapshots[-1]["partner"]
    hear(ada, partner=partner | {"away": True})
    ada.sees("שלום has no connection to the server")
    assert ada.tab.evaluate("document.querySelector('#stage-note bdi').textContent") == "שלום"
    ada.press("Chat")
    say(ada, session, "שלום, נתחיל?")
    say(ada, session, "Hello, shall we?")
    for direction in ("ltr", "rtl"):
        ada.tab.evaluate(f"void (document.documentElement.dir = '{direction}')")
        ways = "[...document.querySelectorAll('#messages p')].map(text => getComputedStyle(text).direction)"
        assert ada.tab.evaluate(ways) == ["rtl", "ltr"]
    ada.fill("#chat-text", "עליך")
    assert ada.tab.evaluate("getComputedStyle(document.getElementById('chat-text')).direction") == "rtl"
    hear(ada)
    bob.press("End")
    ada.sees("שלום ended the session.")
    assert ada.tab.evaluate("document.querySelector('#notice bdi').textContent") == "שלום"
