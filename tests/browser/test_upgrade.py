"""A page that is older than its server is loaded again when nothing is lost by it, and never for ever."""

from __future__ import annotations

import json

from tests.browser.conftest import EACH, ComeIn, until_loaded
from tests.support.server import Server, data_folder, running_server
from tests.support.visitors import Visitor, meet

LATER = "A new version is here; this page reloads after your session."
WELCOME = "watch.frames.findLast(({ type }) => type === 'welcome')"
BUILD = "document.documentElement.dataset.build"
IS_ALIVE = "document.documentElement?.hasAttribute('data-alive')"
IS_LOADED_AGAIN = f"!window.marked && {IS_ALIVE}"


def tell_newer(visitor: Visitor) -> None:
    visitor.tab.evaluate("window.marked = true")
    visitor.tab.evaluate(f"watch.hear({{ ...{WELCOME}, resumed: true, build: 'newer' }})")


@EACH
def test_a_page_at_rest_is_loaded_again_once_and_comes_in_again(come_in: ComeIn) -> None:
    ada = come_in("Ada").open().find().until("searching").press("Cancel").until("idle")
    tell_newer(ada)
    until_loaded(ada, IS_LOADED_AGAIN)
    ada.until_true("watch.frames.some(({ type }) => type === 'state')")
    tell_newer(ada)  # as from one of two servers behind one address
    ada.tab.pause(2_000)
    assert ada.tab.evaluate("window.marked"), "once is enough"
    assert ada.tab.evaluate("document.getElementById('name').value") == "Ada"


@EACH
def test_a_call_and_what_is_typed_are_not_lost(come_in: ComeIn) -> None:
    ada, bob = come_in("Ada"), come_in("Bob")
    meet(ada, bob)
    tell_newer(ada)
    ada.sees(LATER).press("End")
    until_loaded(ada, IS_LOADED_AGAIN)
    bob.press("Cancel").until("idle").fill("#name", "Robert")
    tell_newer(bob)
    bob.sees(LATER).tab.pause(2_000)
    assert bob.tab.evaluate("window.marked && document.getElementById('name').value") == "Robert"


@EACH
def test_a_real_upgrade_brings_the_new_page(come_in: ComeIn, hall: Server) -> None:
    with data_folder() as folder:
        with running_server(folder) as old:
            ada = come_in("Ada", address=old.address)
            ada.open().find().until("searching").press("Cancel").until("idle")
            build = ada.tab.evaluate(BUILD)
            old.stop()
        with running_server(folder, "--port", old.address.rpartition(":")[2], module="tests.support.newer"):
            until_loaded(ada, f"{IS_ALIVE} && {BUILD} !== {json.dumps(build)}")
            ada.address = hall.address  # which goes on
            ada.open().heard.clear()  # every browser complains of a server that is not there
