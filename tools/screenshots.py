"""Take pictures of the page, in a real call of two browsers: `python -m tools.screenshots docs/images`.

The wide, light picture of the call is `call.png`, for the README. `--all` takes every state, wide and narrow,
light and dark, to look at after a change of the page.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import click
from playwright.sync_api import Browser, ViewportSize

from tests.support.chromium import FAKE_CAMERA, ChromiumVisitor, running_playwright
from tests.support.server import data_folder, running_server
from tools.cameras import ADA, GRACE, film

WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 375, "height": 700}
SETTLED_MS = 900
"""After this every change has faded in, and the sharp picture has replaced the first, blurred one."""


class Tour:
    """Takes one visitor through every state, with a picture of each; a partner plays along."""

    def __init__(self, visitor: ChromiumVisitor, partner: ChromiumVisitor, folder: Path, prefix: str) -> None:
        self._visitor = visitor.open()
        self._partner = partner
        self._folder = folder
        self._prefix = prefix

    def picture(self, name: str, wait_ms: int = SETTLED_MS) -> None:
        self._visitor.page.wait_for_timeout(wait_ms)
        self._visitor.page.screenshot(path=self._folder / f"{self._prefix}{name}.png")

    def search(self) -> None:
        self._visitor.find().until("searching")
        self._visitor.page.wait_for_timeout(2000)

    def call(self) -> None:
        self._partner.open().tell(withholds=True).find()
        self._visitor.until("connecting")

    def talk(self) -> None:
        """Long enough in the call for the encoder to have found the bandwidth for a sharp picture."""
        self._partner.until_media_flows().tell(withholds=False).asks("drop()")
        self._visitor.until("connected").until_media_flows().page.wait_for_timeout(5000)

    def everything(self) -> None:
        visitor, partner = self._visitor, self._partner
        self.picture("1-idle")
        self.search()
        self.picture("2-searching")
        self.call()
        self.picture("3-connecting")
        self.talk()
        self.picture("4-connected")
        partner.press("Chat").page.keyboard.type("Shall we do 25 minutes of algebra, then a break?")
        partner.page.keyboard.press("Enter")
        visitor.page.locator("#chat-open").click()
        visitor.page.keyboard.type("Yes! Eigenvalues first.")
        visitor.page.keyboard.press("Enter")
        self.picture("5-chat")
        visitor.page.keyboard.press("Escape")
        partner.press("Camera off").press("Mute").tell(held=True).asks("drop()")
        visitor.press("Mute")
        self.picture("6-partner-away")
        partner.tell(held=False).until_true("watch.sockets.at(-1).readyState === 1")
        partner.press("Skip")
        visitor.until_true("watch.states.includes('ended')")
        self.picture("7-ended", wait_ms=250)
        visitor.until("searching").press("Cancel").until("idle").tell(failures={"video": "NotReadableError"})
        visitor.press("Find Partner")
        self.picture("8-camera-busy")
        partner.go_home()


@contextmanager
def two_browsers(folder: Path) -> Iterator[tuple[Browser, Browser]]:
    """A browser for each of the two, each with a camera that shows its person."""
    with running_playwright() as launch, ExitStack() as stack:
        plain = launch()
        films = [
            film(plain, look, folder / f"{name}.mjpeg") for name, look in (("ada", ADA), ("grace", GRACE))
        ]
        plain.close()
        ada, grace = (launch(f"{FAKE_CAMERA}={path}") for path in films)
        stack.callback(ada.close)
        stack.callback(grace.close)
        yield ada, grace


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Every state, wide and narrow, light and dark.")
def main(folder: Path, everything: bool) -> None:
    """Take pictures of the page and write them to FOLDER."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        data_folder() as data,
        running_server(data) as server,
        TemporaryDirectory() as films,
        two_browsers(Path(films)) as (ada, grace),
    ):

        def tour(size: ViewportSize, scheme: Literal["light", "dark"], prefix: str) -> Tour:
            context = grace.new_context(viewport=size, color_scheme=scheme)
            partner = ada.new_context(viewport=WIDE)
            return Tour(
                ChromiumVisitor(server.address, context, "Grace"),
                ChromiumVisitor(server.address, partner, "Ada"),
                folder,
                prefix,
            )

        if not everything:
            only = tour(WIDE, "light", "")
            only.search()
            only.call()
            only.talk()
            only.picture("call")
            return
        for width, size in (("wide", WIDE), ("narrow", NARROW)):
            tour(size, "light", f"{width}-light-").everything()
            tour(size, "dark", f"{width}-dark-").everything()


if __name__ == "__main__":
    main()
