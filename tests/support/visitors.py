"""People with real tabs of any browser: what they press, what they see, and what their page still runs.

A `Visitor` is one person with one `Tab`. `tests/browser/watch.js` observes the tab from before the page
starts, and `tests/browser/look.js` finds elements. The tabs are in `tests.support.chromium` and
`tests.support.firefox`. A test takes the fixture `come_in` of the browser tests, and runs with each pair of
browsers:

    def test_two_people_chat(come_in: ComeIn) -> None:
        ada, bob = come_in("Ada"), come_in("Bob")
        meet(ada, bob)
        ada.press("Chat").types("Hello").key("Enter")
        bob.click("#chat-open").until_is("look.texts('[role=log] p')", ["Ada: Hello"])

With `@EACH` it runs once in each browser instead. `tab.evaluate` runs any other JavaScript in the page. Tests
that need playwright take the fixture `visit`, and run in Chromium only.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

BROWSER_TESTS = Path(__file__).parent.parent / "browser"
SCRIPTS = tuple(BROWSER_TESTS / name for name in ("watch.js", "look.js", "layout.js"))
"""The scripts that run in each tab before the page's."""

LIMIT_MS = 30_000
"""The time limit of everything; it is long, because these tests check order and not speed."""
POLL_MS = 50

INSECURE_HOST = "hall.test"
"""A host name of this machine that is neither https nor localhost: a page from it gets no devices."""

QUIET = {"tracks": 0, "copies": 0, "connections": 0, "playing": 0, "shown": 0, "intervals": 0}
"""What an idle page runs."""

GO_HOME = """() => {
    const { state, scene } = document.body.dataset;
    const buttons = { searching: "cancel", ended: "cancel", connecting: "end", connected: "end" };
    if (scene !== "stopped" && buttons[state]) document.getElementById(buttons[state]).click();
    return scene === "stopped" || state === "idle";
}"""

V = TypeVar("V", bound="Visitor")


class Tab(Protocol):
    """One visible tab of a browser. `heard` are the console messages and the page's errors."""

    heard: list[str]

    def open(self, url: str) -> None:
        """Go to `url`, and wait until everything is loaded."""

    def begin(self, url: str) -> None:
        """Go to `url`, and wait until the page has begun to load."""

    def reload(self) -> None: ...

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise, as JSON."""

    def click(self, x: int, y: int) -> None: ...

    def type(self, text: str) -> None:
        """Press and release the key of each character, in the focused element."""

    def press(self, key: str) -> None:
        """Press and release a key, like `Enter`; `Shift+Tab` holds the first one meanwhile."""

    def hold(self, key: str) -> None:
        """Press a key and hold it down; each further call repeats it."""

    def let_go(self, key: str) -> None: ...

    def pause(self, milliseconds: int) -> None: ...

    def resize(self, width: int, height: int) -> None:
        """Set the page's size in CSS pixels."""

    def close(self) -> None:
        """Close the tab, and delete the page's storage."""


class Visitor:
    """One person with one tab."""

    def __init__(self, address: str, tab: Tab, name: str) -> None:
        self.name = name
        self.address = address
        self.tab = tab

    @property
    def heard(self) -> list[str]:
        """The console messages and the page's errors, which must stay empty."""
        return self.tab.heard

    # What they do

    def open(self: V, path: str = "/", **orders: Any) -> V:
        """Open the page. With orders, the watcher injects faults from before the page starts."""
        self.tab.open(self.address + path + fragment(orders))
        return self

    def begin(self: V, **orders: Any) -> V:
        """Open the page when some of its files may not load."""
        self.tab.begin(self.address + "/" + fragment(orders))
        return self

    def reload(self: V, **orders: Any) -> V:
        """Load the page again. With orders, as with `open`."""
        self.tab.evaluate(f"history.replaceState(null, '', {json.dumps('/' + fragment(orders))})")
        self.tab.reload()
        return self

    def find(self: V) -> V:
        """Enter a name, and press Find Partner."""
        return self.fill("#name", self.name).press("Find Partner")

    def press(self: V, label: str) -> V:
        """Click the button with this label, when it is visible, enabled and does not move."""
        return self._click(f"look.button({json.dumps(label)})")

    def click(self: V, selector: str) -> V:
        """Click any element in the same way."""
        return self._click(f"document.querySelector({json.dumps(selector)})")

    def _click(self: V, element: str) -> V:
        self.tab.click(*self._wait_for(f"look.spot({element})"))
        return self

    def fill(self: V, selector: str, text: str) -> V:
        """Replace the text of a field."""
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
        """Hold a key down until it has been sent `times` times."""
        for _ in range(times):
            self.tab.hold(key)
        return self

    def let_go(self: V, key: str) -> V:
        self.tab.let_go(key)
        return self

    def go_home(self: V) -> V:
        """Go back to the start page from any state; a tab that was replaced stays as it is."""
        return self.until_true(f"({GO_HOME})()")

    # What they wait for, and see

    def sees(self: V, text: str | re.Pattern[str]) -> V:
        """Wait until this text is visible in exactly one place; the case of a plain text is ignored."""
        source, flags = (re.escape(text), "i") if isinstance(text, str) else (text.pattern, "")
        return self.until_is(f"look.places({json.dumps(source)}, {json.dumps(flags)})", 1)

    def sees_buttons(self: V, *labels: str) -> V:
        """Wait until each of these buttons can be pressed."""
        for label in labels:
            self.until_true(f"look.spot(look.button({json.dumps(label)}))")
        return self

    def until(self: V, state: str) -> V:
        """Wait until the page is in this state of the server."""
        return self.until_is("document.body.dataset.state", state)

    def until_true(self: V, condition: str) -> V:
        """Wait until this expression is true in the tab."""
        self._wait_for(condition)
        return self

    def until_is(self: V, expression: str, value: Any) -> V:
        """Wait until this expression has that value in the tab."""
        seen = None
        for _ in range(LIMIT_MS // POLL_MS):
            if (seen := self.tab.evaluate(expression)) == value:
                return self
            self.tab.pause(POLL_MS)
        raise AssertionError(f"{self.name} waited in vain for {expression} to be {value!r}; it is {seen!r}")

    def until_media_flows(self: V) -> V:
        """Wait until the page receives sound and decodes video of the partner, and goes on to do so."""
        have = json.dumps(self.asks("received()"))
        more = f"""watch.received().then(now => {{
            const had = {have};
            if (now.connection !== had.connection) had.audio = had.video = 0;
            return now.audio > had.audio + 20 && now.video > had.video + 5;
        }})"""
        return self.until_true(more)

    def is_quiet(self) -> bool:
        """Wait until nothing runs any more (a cue may sound for a second); False if something goes on."""
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

    # The watcher

    def asks(self, expression: str) -> Any:
        """The value of `watch.<expression>` in the tab."""
        return self.tab.evaluate(f"watch.{expression}")

    def tell(self: V, **orders: Any) -> V:
        """Let the watcher inject faults until the next load: see watch.js."""
        self.tab.evaluate(f"void Object.assign(watch, {json.dumps(orders)})")
        return self

    @property
    def states(self) -> list[str]:
        """Every state that the page has shown since it was loaded."""
        states: list[str] = self.asks("states")
        return states

    @property
    def snapshots(self) -> list[dict[str, Any]]:
        """Every state frame since the page was loaded."""
        frames: list[dict[str, Any]] = self.asks("frames.filter(frame => frame.type === 'state')")
        return frames


def fragment(orders: dict[str, Any]) -> str:
    """The URL fragment that gives the watcher these orders when it starts."""
    return "#" + quote(json.dumps(orders)) if orders else ""


def meet(*visitors: Visitor) -> None:
    """Let people open the page and press Find Partner, and wait until they see each other."""
    for visitor in visitors:
        visitor.open().find()
    for visitor in visitors:
        visitor.until("connected")
