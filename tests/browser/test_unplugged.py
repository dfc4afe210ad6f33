"""Devices that go away in a call and come back, and a picture that the browser pauses."""

from __future__ import annotations

from tests.browser.conftest import EACH, ComeIn
from tests.support.visitors import meet

PLUG = "navigator.mediaDevices.dispatchEvent(new Event('devicechange'))"
UNPLUG = "watch.tracks.findLast(track => track.kind === 'video').dispatchEvent(new Event('ended'))"
PARTNER = "document.querySelector('video.partner')"


@EACH
def test_a_camera_that_is_unplugged_comes_back_when_it_is_plugged_in(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.tell(failures={"video": "NotFoundError"}).tab.evaluate(UNPLUG)
    ada.sees("Your camera was unplugged, or another program took it.").sees_buttons("Camera on")
    bob.sees("Ada's camera is off")
    ada.tell(failures={}).tab.evaluate(PLUG)
    ada.sees("Your camera is back.").sees_buttons("Camera off")
    bob.until_media_flows()
    assert ada.asks("quiet()")["connections"] == 1


@EACH
def test_a_picture_that_the_browser_paused_goes_on(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    ada.until_media_flows().tab.evaluate(f"{PARTNER}.pause()")
    ada.until_is(f"{PARTNER}.paused", False).until_true("look.pictures('video.partner')")
