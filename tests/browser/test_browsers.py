"""The browsers themselves: what a page complains of is heard, and a Firefox leaves nothing behind."""

from __future__ import annotations

import os
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from tests.browser.conftest import EACH, ComeIn
from tests.support.bidi import Bidi, BidiError
from tests.support.firefox import running_firefox
from tests.support.processes import living, parent_of


@EACH
def test_what_a_page_complains_of_is_heard(come_in: ComeIn) -> None:
    ada = come_in("Ada").open()
    ada.tab.evaluate("console.warn('A warning')")
    ada.tab.evaluate("void setTimeout(() => { throw new Error('An error') })")
    ada.until_true("new Promise(resolve => setTimeout(() => resolve(true), 50))")
    assert [text for text in ("A warning", "An error") if text not in "\n".join(ada.heard)] == []
    ada.heard.clear()


@EACH
def test_a_visitor_presses_only_what_can_be_pressed(come_in: ComeIn) -> None:
    ada = come_in("Ada").open()
    ada.tab.evaluate("void document.getElementById('find').setAttribute('disabled', '')")
    assert ada.tab.evaluate("look.spot(look.button('Find Partner'))") is None
    ada.tab.evaluate("void document.getElementById('find').removeAttribute('disabled')")
    ada.sees_buttons("Find Partner")
    ada.tab.evaluate("void document.body.appendChild(document.createElement('dialog')).showModal()")
    assert ada.tab.evaluate("look.spot(look.button('Find Partner'))") is None


@EACH
def test_keys_are_real_ones(come_in: ComeIn) -> None:
    ada = come_in("Ada").open().fill("#name", "Grace").fill("#name", "Ada L.").key("Tab").key("Shift+Tab")
    ada.until_is("[document.activeElement.id, document.activeElement.value]", ["name", "Ada L."])


def at_home_in(folder: Path) -> set[int]:
    """Every process that lives and has its home folder in there."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"HOME={folder}/".encode() in (entry / "environ").read_bytes():
                found.add(int(entry.name))
    return living(found)


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_firefox_leaves_nothing_behind(
    firefox: Bidi, is_killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with running_firefox() as another:
        [process] = (pid for pid in at_home_in(tmp_path) if parent_of(pid) == os.getpid())
        if is_killed:
            os.kill(process, signal.SIGKILL)
        with pytest.raises(BidiError, match="has gone" if is_killed else "no such frame"):
            another.ask("browsingContext.close", context="of nobody")
    assert at_home_in(tmp_path) == set()
    assert list(tmp_path.iterdir()) == []
