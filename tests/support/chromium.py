"""Chromium, driven by playwright, with a fake camera and microphone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Locator, Page, sync_playwright

from tests.support.visitors import INSECURE_HOST, LIMIT_MS, SCRIPTS, Visitor

NEEDS_CHROMIUM = "These tests need Chromium. Install it: apt-get install chromium-headless-shell"

FAKE_CAMERA = "--use-file-for-fake-video-capture"
"""The flag for the film that the fake camera shows; its path has to follow."""

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


def chromium_path() -> str | None:
    """The path of Chromium: of the headless shell if it is installed, because it draws no windows."""
    names = "chromium-headless-shell", "chromium", "chromium-browser"
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def running_playwright() -> Iterator[Callable[..., Browser]]:
    """A function that launches Chromium with a fake camera and microphone, and with the given flags."""
    with sync_playwright() as playwright:

        def launch(*flags: str) -> Browser:
            return playwright.chromium.launch(executable_path=chromium_path(), args=[*FLAGS, *flags])

        yield launch


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Run one Chromium while the block is open."""
    with running_playwright() as launch:
        browser = launch()
        yield browser
        browser.close()


class ChromiumTab:
    """A `Tab` of Chromium. Closing it closes its context with all pages."""

    def __init__(self, context: BrowserContext, page: Page | None = None) -> None:
        self.context = context
        self.heard: list[str] = []
        if page is None:
            for script in SCRIPTS:
                context.add_init_script(path=script)
            page = context.new_page()
        self.page = page
        page.set_default_timeout(LIMIT_MS)
        page.on("console", lambda message: self.heard.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.heard.append(f"uncaught: {error}"))

    def open(self, url: str) -> None:
        self.page.goto(url)

    def begin(self, url: str) -> None:
        self.page.goto(url, wait_until="commit")

    def reload(self) -> None:
        self.page.reload()

    def evaluate(self, expression: str) -> Any:
        return self.page.evaluate(expression)

    def click(self, x: int, y: int) -> None:
        self.page.mouse.click(x, y)

    def type(self, text: str) -> None:
        self.page.keyboard.type(text)

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def hold(self, key: str) -> None:
        self.page.keyboard.down(key)

    def let_go(self, key: str) -> None:
        self.page.keyboard.up(key)

    def pause(self, milliseconds: int) -> None:
        self.page.wait_for_timeout(milliseconds)  # in a plain sleep playwright handles no events

    def resize(self, width: int, height: int) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

    def close(self) -> None:
        self.context.close()


class ChromiumVisitor(Visitor):
    """A visitor with a tab of Chromium, whose playwright objects tests can use."""

    def __init__(self, address: str, context: BrowserContext, name: str, page: Page | None = None) -> None:
        tab = ChromiumTab(context, page)
        super().__init__(address, tab, name)
        self.context = context
        self.page = tab.page

    def button(self, label: str) -> Locator:
        return self.page.get_by_role("button", name=label, exact=True)
