"""What a visit costs: few bytes the first time, one small request the next, and no file waits for another."""

from __future__ import annotations

from tests.browser.conftest import EACH, ComeIn, until
from tests.support.front import Front
from tests.support.visitors import Visitor

FIRST_VISIT_MAX_BYTES = 120_000
NEXT_VISIT_MAX_BYTES = 8_000
FIRST_SCRIPT = "js/main.js"
"""The one that imports the others."""

IS_ALIVE = "document.documentElement.hasAttribute('data-alive')"
SCRIPTS = (
    "[...document.querySelectorAll('link[rel=modulepreload], script[src]')].map(one => one.href || one.src)"
)


def settled(visitor: Visitor, front: Front) -> Visitor:
    """The page is alive, and has asked for all that it asks for by itself."""
    visitor.until_true(IS_ALIVE)
    asked = -1
    while asked != len(front.asked):
        asked = len(front.asked)
        visitor.tab.pause(500)
    return visitor


@EACH
def test_a_first_visit_is_light_and_no_module_waits_for_another(come_in: ComeIn, front: Front) -> None:
    front.hold(FIRST_SCRIPT)
    ada = come_in("Ada", address=front.address).begin().until_true("document.readyState === 'interactive'")
    scripts = {url.removeprefix(front.address) for url in ada.tab.evaluate(SCRIPTS)}
    assert len(scripts) > 10
    until(ada.tab, lambda: scripts <= set(front.asked))  # all of them, before the first one has come
    front.let_go(FIRST_SCRIPT)
    settled(ada, front)
    assert len(front.asked) == len(set(front.asked)), "each once"
    assert {path for path in front.asked if path.endswith(".js")} == scripts, "no script asks for another"
    assert front.sent_bytes < FIRST_VISIT_MAX_BYTES


@EACH
def test_the_next_visit_is_one_small_request(come_in: ComeIn, front: Front) -> None:
    ada = settled(come_in("Ada", address=front.address).open(), front)
    first, first_bytes = len(front.asked), front.sent_bytes
    ada.tab.open("about:blank")
    settled(ada.open(), front)
    assert front.asked[first:] == ["/"]
    assert front.sent_bytes - first_bytes < NEXT_VISIT_MAX_BYTES
