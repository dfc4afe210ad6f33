"""What moves, what stands out and what is shown, in every scene."""

from __future__ import annotations

import pytest

from tests.browser.conftest import EACH, ComeIn, Visit
from tests.browser.test_layout import SCENES, Scene, hear
from tests.support.visitors import Visitor, meet

LEAST_CONTRAST = 3
"""Of what tells where the focus is, against what is around it (WCAG 2.2, 1.4.11)."""

MOTIONS = """document.getAnimations().filter(motion => motion.effect.getComputedTiming().endTime === Infinity)
    .map(({ effect }) => ({
        by: effect.target instanceof HTMLElement && look.sees(effect.target),
        of: effect.getKeyframes().flatMap(Object.keys)
            .filter(key => !["offset", "computedOffset", "easing", "composite"].includes(key)),
        steps: effect.getKeyframes().every(({ easing }) => easing.startsWith("steps(")),
    }))"""
"""What goes on and on: is it a box that is seen, what does it change, and does it rest between steps?"""


def motions(visitor: Visitor, count: int) -> None:
    """There are so many, and each is of the kind that costs next to nothing."""
    visitor.until_true(f"{MOTIONS}.length === {count}")
    for motion in visitor.tab.evaluate(MOTIONS):
        assert motion["by"], "the compositor moves boxes of HTML, and nothing inside an SVG"
        assert set(motion["of"]) <= {"transform", "opacity"}
        assert motion["steps"], "between steps nothing is drawn"


@EACH
def test_what_moves_is_moved_by_the_compositor_and_only_where_it_is_seen(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    for visitor in (ada, bob):
        visitor.open().tell(withholds=True)
    motions(ada, 0)
    ada.find().until("searching")
    motions(ada, 1)
    bob.find()
    ada.until("connecting")
    motions(ada, 1)
    ada.press("End").until("idle")
    motions(ada, 0)


def test_the_note_about_the_line_is_moved_by_the_compositor(visit: Visit) -> None:
    ada = visit("Ada").open().find().until("searching")
    ada.tell(held=True).asks("drop()")
    ada.sees("Reconnecting…")
    motions(ada, 2)
    ada.tell(held=False)


@EACH
def test_no_video_is_seen_without_a_picture(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    ada.open()
    ada.tab.evaluate(
        """void (function watchVideos() {
            for (const video of document.querySelectorAll("video")) {
                const seen = look.sees(video) && Number(getComputedStyle(video).opacity) > 0;
                if (seen && video.readyState < 2) watch.blank = video.id;
            }
            requestAnimationFrame(watchVideos);
        })()"""
    )
    bob.open()
    for visitor in (ada, bob):
        visitor.find()
    for _ in range(2):
        ada.until("connected").until_true("look.pictures('video.partner')")
        bob.until("connected")
        ada.press("Skip")
        ada.until_true("document.body.dataset.state !== 'connected'")
    ada.until("connected").press("Camera off").press("End").until("idle")
    assert ada.asks("blank ?? ''") == ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("scene", SCENES)
def test_the_ring_around_the_focus_stands_out_everywhere(visit: Visit, scene: Scene, scheme: str) -> None:
    ada = visit("Ada", color_scheme=scheme, reduced_motion="reduce")
    scene(ada)
    rings(ada)
    if ada.tab.evaluate("document.body.dataset.state") == "ended":
        hear(ada)


@EACH
def test_the_ring_stands_out_in_a_call_too(come_in: ComeIn) -> None:
    bob, ada = come_in("Bob"), come_in("Ada")  # the last window is the one that has the focus
    meet(ada, bob)
    ada.press("Chat")
    rings(ada)


def rings(visitor: Visitor) -> None:
    """Each thing that can have the focus is shown to have it."""
    visitor.key("Tab").until_true("layout.rests()")
    weak = [
        ring["of"] for ring in visitor.tab.evaluate("layout.rings()") if ring["contrast"] < LEAST_CONTRAST
    ]
    assert weak == []


@EACH
def test_a_button_that_can_not_be_pressed_looks_like_that(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    for visitor in (ada, bob):
        visitor.open().tell(withholds=True).find()
    ada.until("connecting")
    look = "(({ borderTopStyle, cursor, opacity }) => [borderTopStyle, cursor, Number(opacity) < 1])"
    disabled, enabled = (
        ada.tab.evaluate(f"{look}(getComputedStyle(document.getElementById('{button}')))")
        for button in ("chat-open", "mute")
    )
    assert (disabled, enabled) == (["dashed", "not-allowed", True], ["solid", "pointer", False])


def test_colours_of_the_person_take_nothing_away(visit: Visit) -> None:
    ada, bob = visit("Ada", forced_colors="active"), visit("Bob")
    meet(ada, bob)
    ada.press("Mute")
    for box in (".control.off", ".stage", "#end"):
        width = f"getComputedStyle(document.querySelector('{box}')).borderTopWidth"
        assert ada.tab.evaluate(f"parseFloat({width})") >= 1, f"{box} has an edge without its colour"
