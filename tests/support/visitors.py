"""People at real tabs, of any browser: what they press, what they see, and what their browser still runs.

A `Visitor` is one person at one `Tab`, watched by `tests/browser/watch.js` from before the page starts;
`tests/browser/look.js` finds for them what they look for. The tabs are in `tests.support.chromium` and
`tests.support.firefox`. A test of what visitors do takes the fixture `come_in` of the browser tests, and runs
with each pair of browsers:

    def test_two_people_chat(come_in: ComeIn) -> None:
        ada, bob = come_in("Ada"), come_in("Bob")
        meet(ada, bob)
        ada.press("Chat").types("Hello").key("Enter")
        bob.click("#chat-open").until_is("look.texts('[role=log] p')", ["Ada: Hello"])

With `@EACH` it runs once in each browser instead. `tab.evaluate` asks the page what else there is to ask.
What only playwright can do is left to tests that take the fixture `visit` and run in Chromium only.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

BROWSER_TESTS = Path(__file__).parent.parent / "browser"
SCRIPTS = tuple(BROWSER_TESTS / name for name in ("watch.js", "look.js", "layout.js"))
"""What runs in each tab before the page does."""

LIMIT_MS = 30_000
"""What does not happen within this does not happen: these tests are about order and not about speed."""
POLL_MS = 50

INSECURE_HOST = "hall.test"
"""Leads to this machine, and is neither https nor localhost: a page from there gets no devices."""

QUIET = {"tracks": 0, "copies": 0, "connections": 0, "playing": 0, "shown": 0, "intervals": 0}
"""What runs in a tab in which nobody looks for a partner."""

GO_HOME = """() => {
    const { state, scene } = document.body.dataset;
    const buttons = { searching: "cancel", ended: "cancel", connecting: "end", connected: "end" };
    if (scene !== "stopped" && buttons[state]) document.getElementById(buttons[state]).click();
    return scene === "stopped" || state === "idle";
}"""

V = TypeVar("V", bound="Visitor")


class Tab(Protocol):
    """One tab of a browser, which nothing hides. `heard` is what its console and the page's errors said."""

    heard: list[str]

    def open(self, url: str) -> None:
        """Go there, until all of it is loaded."""

    def begin(self, url: str) -> None:
        """Go there, until the page has begun: what it needs may still be on its way."""

    def reload(self) -> None: ...

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript, or of what it promises, as JSON has it."""

    def click(self, x: int, y: int) -> None: ...

    def type(self, text: str) -> None:
        """Press and let go the key of each character, in what has the focus."""

    def press(self, key: str) -> None:
        """Press and let go a key, like `Enter`; `Shift+Tab` holds the first one meanwhile."""

    def hold(self, key: str) -> None:
        """Press a key and keep it down; each time that it is called again, it repeats."""

    def let_go(self, key: str) -> None: ...

    def pause(self, milliseconds: int) -> None: ...

    def resize(self, width: int, height: int) -> None:
        """Have the page this large, in CSS pixels."""

    def close(self) -> None:
        """Close it. All that the page has stored goes with it."""


class Visitor:
    """One person at one tab."""

    def __init__(self, address: str, tab: Tab, name: str) -> None:
        self.name = name
        self.address = address
        self.tab = tab

    @property
    def heard(self) -> list[str]:
        """What the console and the page's errors said: it must stay empty."""
        return self.tab.heard

    # What they do

    def open(self: V, path: str = "/", **orders: Any) -> V:
        """Come to the page. With orders, the watcher makes trouble from before the page starts."""
        self.tab.open(self.address + path + fragment(orders))
        return self

    def begin(self: V, **orders: Any) -> V:
        """The same, although something may not load."""
        self.tab.begin(self.address + "/" + fragment(orders))
        return self

    def reload(self: V, **orders: Any) -> V:
        """Load the page again. With orders, as with `open`."""
        self.tab.evaluate(f"history.replaceState(null, '', {json.dumps('/' + fragment(orders))})")
        self.tab.reload()
        return self

    def find(self: V) -> V:
        """Give a name, and press the one big button."""
        return self.fill("#name", self.name).press("Find Partner")

    def press(self: V, label: str) -> V:
        """Click the button of this name, when it can be seen, is enabled and stands still."""
        return self._click(f"look.button({json.dumps(label)})")

    def click(self: V, selector: str) -> V:
        """The same, with any element."""
        return self._click(f"document.querySelector({json.dumps(selector)})")

    def _click(self: V, element: str) -> V:
        self.tab.click(*self._wait_for(f"look.spot({element})"))
        return self

    def fill(self: V, selector: str, text: str) -> V:
        """Write this in a field, in place of what is there."""
        self.click(selector)
        self.tab.evaluate(f"document.querySelector({json.dumps(selector)}).select()")
        return self.types(text) if text else self.key("Backspace")

    def types(self: V, text: str) -> V:
        self.tab.type(text)
        return self

    def key(self: V, key: str) -> V:
        self.tab.press(key)
        return self

    def hold(self: V, key: str, times: int = 5) -> V:
        """Keep a key down for so long that it comes `times` times."""
        for _ in range(times):
            self.tab.hold(key)
        return self

    def let_go(self: V, key: str) -> V:
        self.tab.let_go(key)
        return self

    def go_home(self: V) -> V:
        """From wherever they are, back to the entrance; whose tab was replaced stays where they are."""
        return self.until_true(f"({GO_HOME})()")

    # What they wait for, and see

    def sees(self: V, text: str | re.Pattern[str]) -> V:
        """Wait until this can be read in exactly one place; the case of a plain text is ignored."""
        source, flags = (re.escape(text), "i") if isinstance(text, str) else (text.pattern, "")
        return self.until_is(f"look.places({json.dumps(source)}, {json.dumps(flags)})", 1)

    def sees_buttons(self: V, *labels: str) -> V:
        """Wait until each of these can be pressed."""
        for label in labels:
            self.until_true(f"look.spot(look.button({json.dumps(label)}))")
        return self

    def until(self: V, state: str) -> V:
        """Wait until the server has told this state, and it is the present one."""
        return self.until_is("document.body.dataset.state", state)

    def until_true(self: V, condition: str) -> V:
        """Wait until this holds in the tab."""
        self._wait_for(condition)
        return self

    def until_is(self: V, expression: str, value: Any) -> V:
        """Wait until this has that value in the tab."""
        seen = None
        for _ in range(LIMIT_MS // POLL_MS):
            if (seen := self.tab.evaluate(expression)) == value:
                return self
            self.tab.pause(POLL_MS)
        raise AssertionError(f"{self.name} waited in vain for {expression} to be {value!r}; it is {seen!r}")

    def until_media_flows(self: V) -> V:
        """Wait until sound has arrived from the partner, and pictures were decoded, and then more of both."""
        have = json.dumps(self.asks("received()"))
        more = f"""watch.received().then(now => {{
            const had = {have};
            if (now.connection !== had.connection) had.audio = had.video = 0;
            return now.audio > had.audio + 20 && now.video > had.video + 5;
        }})"""
        return self.until_true(more)

    def is_quiet(self) -> bool:
        """Wait until nothing runs any more (a cue may sound for a second). False if something goes on."""
        try:
            self.until_is("watch.quiet()", QUIET)
        except AssertionError:
            return False
        return True

    def _wait_for(self, expression: str) -> Any:
        for _ in range(LIMIT_MS // POLL_MS):
            if found := self.tab.evaluate(expression):
                return found
            self.tab.pause(POLL_MS)
        raise AssertionError(f"{self.name} waited in vain for {expression}; the states were {self.states}")

    # What the watcher knows, and does

    def asks(self, expression: str) -> Any:
        """What is `watch.<expression>` in the tab?"""
        return self.tab.evaluate(f"watch.{expression}")

    def tell(self: V, **orders: Any) -> V:
        """Have the watcher make trouble, until the next load: see watch.js."""
        self.tab.evaluate(f"void Object.assign(watch, {json.dumps(orders)})")
        return self

    @property
    def states(self) -> list[str]:
        """Every state that the page has shown since it was loaded."""
        states: list[str] = self.asks("states")
        return states

    @property
    def snapshots(self) -> list[dict[str, Any]]:
        """Every snapshot that has come since the page was loaded."""
        frames: list[dict[str, Any]] = self.asks("frames.filter(frame => frame.type === 'state')")
        return frames


def fragment(orders: dict[str, Any]) -> str:
    """What tells the watcher these orders when it starts."""
    return "#" + quote(json.dumps(orders)) if orders else ""


def meet(*visitors: Visitor) -> None:
    """Two people come in and press Find Partner, until they see each other."""
    for visitor in visitors:
        visitor.open().find()
    for visitor in visitors:
        visitor.until("connected")
