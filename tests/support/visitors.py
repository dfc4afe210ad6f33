"""People at real Chromium tabs: what they press, what they see, and what their browser still runs.

A `Visitor` is one person at one tab, watched by `tests/browser/watch.js` from before the page starts.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

WATCH = Path(__file__).parent.parent / "browser" / "watch.js"
LIMIT_MS = 30_000
"""What does not happen within this does not happen: these tests are about order and not about speed."""
POLL_MS = 50

INSECURE_HOST = "hall.test"
"""Leads to this machine, and is neither https nor localhost: a page from there gets no devices."""

FAKE_CAMERA = "--use-file-for-fake-video-capture"
"""With the path of a film: what the camera that is not real shows."""

FLAGS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
)
NEEDS_CHROMIUM = "These tests need Chromium. Install it: apt-get install chromium"

QUIET = {"tracks": 0, "connections": 0, "playing": 0, "shown": 0, "intervals": 0}
"""What runs in a tab in which nobody looks for a partner."""

GO_HOME = """() => {
    const { state, scene } = document.body.dataset;
    const buttons = { searching: "cancel", ended: "cancel", connecting: "end", connected: "end" };
    if (scene !== "stopped" && buttons[state]) document.getElementById(buttons[state]).click();
    return scene === "stopped" || state === "idle";
}"""


def chromium_path() -> str | None:
    """Where this machine has Chromium."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def running_playwright() -> Iterator[Callable[..., Browser]]:
    """What launches Chromium (with these flags, too) with a camera and a microphone that are not real."""
    with sync_playwright() as playwright:

        def launch(*flags: str) -> Browser:
            return playwright.chromium.launch(executable_path=chromium_path(), args=[*FLAGS, *flags])

        yield launch


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """One Chromium."""
    with running_playwright() as launch:
        browser = launch()
        yield browser
        browser.close()


class Visitor:
    """One person at one tab. `heard` is what the console and the page's errors said: it must stay empty."""

    def __init__(self, address: str, context: BrowserContext, name: str, page: Page | None = None) -> None:
        self.name = name
        self.address = address
        self.context = context
        self.heard: list[str] = []
        if page is None:
            context.add_init_script(path=WATCH)
            page = context.new_page()
        self.page = page
        self.page.set_default_timeout(LIMIT_MS)
        self.page.on("console", lambda message: self.heard.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.heard.append(f"uncaught: {error}"))

    def open(self, path: str = "/") -> Visitor:
        self.page.goto(self.address + path)
        return self

    def find(self) -> Visitor:
        """Give a name, and press the one big button."""
        self.page.get_by_label("Your name").fill(self.name)
        return self.press("Find Partner")

    def press(self, label: str) -> Visitor:
        self.button(label).click()
        return self

    def button(self, label: str) -> Locator:
        return self.page.get_by_role("button", name=label, exact=True)

    def sees(self, text: str | re.Pattern[str]) -> Visitor:
        """Wait until this can be read on the page, in exactly one place."""
        expect(self.page.get_by_text(text).locator("visible=true")).to_be_visible(timeout=LIMIT_MS)
        return self

    def until(self, state: str) -> Visitor:
        """Wait until the server has told this state, and it is the present one."""
        expect(self.page.locator("body")).to_have_attribute("data-state", state, timeout=LIMIT_MS)
        return self

    def until_true(self, condition: str) -> Visitor:
        """Wait until this holds in the tab. (Playwright's own way needs `eval`, which the page forbids.)"""
        for _ in range(LIMIT_MS // POLL_MS):
            if self.page.evaluate(condition):
                return self
            self.page.wait_for_timeout(POLL_MS)
        raise AssertionError(f"{self.name} waited in vain for {condition}; the states were {self.states}")

    def asks(self, expression: str) -> Any:
        """What is `watch.<expression>` in the tab?"""
        return self.page.evaluate(f"watch.{expression}")

    def tell(self, **orders: Any) -> Visitor:
        """Have the watcher make trouble, now and after the next load: see watch.js."""
        for name, value in orders.items():
            self.page.evaluate("([name, value]) => { watch[name] = value }", [name, value])
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

    def until_media_flows(self) -> Visitor:
        """Wait until sound has arrived from the partner, and pictures were decoded, and then more of both."""
        have = self.asks("received()")
        more = f"now.audio > {have['audio']} + 20 && now.video > {have['video']} + 5"
        return self.until_true(f"watch.received().then(now => {more})")

    def go_home(self) -> Visitor:
        """From wherever they are, back to the entrance; whose tab was replaced stays where they are."""
        return self.until_true(f"({GO_HOME})()")

    def is_quiet(self) -> bool:
        """Wait until nothing runs any more (a cue may sound for a second). False if something goes on."""
        try:
            self.until_true("Object.values(watch.quiet()).every(count => count === 0)")
        except AssertionError:
            return False
        return True


def meet(*visitors: Visitor) -> None:
    """Two people come in and press Find Partner, until they see each other."""
    for visitor in visitors:
        visitor.open().find()
    for visitor in visitors:
        visitor.until("connected")
