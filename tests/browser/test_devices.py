"""Cameras and microphones that do not open: a sentence that helps, and a way to go on without them."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.support.server import Server
from tests.support.visitors import INSECURE_HOST


@pytest.mark.parametrize(
    ("failures", "title", "advice", "choice"),
    [
        ({"video": "NotReadableError"}, "Your camera is busy", "Another program", "Continue without camera"),
        ({"video": "NotFoundError"}, "No camera found", "Plug one in", "Continue without camera"),
        (
            {"audio": "NotFoundError"},
            "No microphone found",
            "Plug one in",
            "Continue without microphone",
        ),
        (
            {"audio": "NotAllowedError", "video": "NotAllowedError"},
            "Your camera and microphone are blocked",
            "Click the icon beside the address",
            "Continue without camera",
        ),
        (
            {"audio": "NotReadableError", "video": "NotReadableError"},
            "Your camera and microphone are busy",
            "Another program",
            "Continue without camera and microphone",
        ),
    ],
)
def test_a_device_that_fails_says_what_to_do(
    visit: Visit, failures: dict[str, str], title: str, advice: str, choice: str
) -> None:
    ada = visit("Ada").open().tell(failures=failures).find()
    ada.sees(title).sees(advice)
    expect(ada.button(choice)).to_be_visible()
    assert ada.page.evaluate("document.activeElement.textContent") == title, "it is read out"
    assert ada.asks("quiet()")["tracks"] == 0
    ada.tell(failures={}).press("Try again").until("searching")
    assert ada.asks("quiet()")["tracks"] == 2


def test_without_a_camera_the_call_goes_on_and_the_partner_sees_it(visit: Visit) -> None:
    ada, bob = visit("Ada").open().tell(failures={"video": "NotReadableError"}), visit("Bob").open()
    ada.find().press("Continue without camera").until("searching")
    bob.find()
    for visitor in (ada, bob):
        visitor.until("connected")
    bob.sees("Ada's camera is off")
    expect(ada.button("Mute")).to_be_visible()
    expect(ada.button("Camera on")).to_be_visible()
    ada.until_media_flows()
    assert bob.asks("received()")["audio"] > 0

    ada.press("Camera on").sees("Your camera is busy")
    ada.tell(failures={}).press("Camera on")
    bob.until_media_flows()
    expect(bob.page.locator("video.partner")).to_have_css("opacity", "1")


def test_with_neither_one_can_still_see_and_hear(visit: Visit) -> None:
    denied = {"audio": "NotAllowedError", "video": "NotAllowedError"}
    ada, bob = visit("Ada").open().tell(failures=denied), visit("Bob").open()
    ada.find().press("Continue without camera").press("Continue without camera and microphone")
    ada.until("searching")
    bob.find()
    for visitor in (ada, bob):
        visitor.until("connected")
    ada.until_media_flows()
    bob.sees("Ada's camera and microphone are off")
    received = bob.asks("received()")
    assert (received["audio"], received["video"]) == (0, 0)


def test_two_who_only_receive_are_connected_all_the_same(visit: Visit) -> None:
    missing = {"audio": "NotFoundError", "video": "NotFoundError"}
    visitors = [visit(name).open().tell(failures=missing) for name in ("Ada", "Bob")]
    for visitor in visitors:
        visitor.find().press("Continue without camera and microphone")
    for visitor in visitors:
        visitor.until("connected")


def test_not_now_goes_back_to_the_entrance(visit: Visit) -> None:
    ada = visit("Ada").open().tell(failures={"video": "NotFoundError"}).find().sees("No camera found")
    ada.press("Not now")
    expect(ada.button("Find Partner")).to_be_visible()
    assert ada.states == ["idle"]


def test_an_insecure_page_says_so_and_lets_one_receive(visit: Visit, hall: Server) -> None:
    ada = visit("Ada", address=hall.address.replace("127.0.0.1", INSECURE_HOST)).open().find()
    ada.sees("Cameras need a secure page").sees("https://")
    ada.press("Continue without camera and microphone").until("searching")
