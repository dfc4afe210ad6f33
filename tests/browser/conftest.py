"""What the browser tests share: one real server, one browser of each kind, and people who leave no trace.

Everything here is real: `studymatch serve` as a process on its embedded PostgreSQL, and tabs of Chromium and
Firefox that call each other over WebRTC. Only the cameras are the browsers' own test pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, expect

from studymatch.rules.lifecycle import EDGES, State
from tests.support.bidi import Bidi, BidiError
from tests.support.chromium import (
    NEEDS_CHROMIUM,
    ChromiumTab,
    ChromiumVisitor,
    chromium_path,
    running_chromium,
)
from tests.support.firefox import NEEDS_FIREFOX, FirefoxTab, firefox_path, running_firefox
from tests.support.front import Front, running_front
from tests.support.server import Server, data_folder, running_server
from tests.support.visitors import LIMIT_MS, POLL_MS, QUIET, Tab, Visitor

expect.set_options(timeout=LIMIT_MS)

HERE = Path(__file__).parent

Visit = Callable[..., ChromiumVisitor]
ComeIn = Callable[..., Visitor]

PAIRS = [("chromium", "chromium"), ("firefox", "firefox"), ("firefox", "chromium")]
EACH = pytest.mark.parametrize("come_in", [("chromium",), ("firefox",)], indirect=True, ids="-".join)
"""Once in each browser: for a test of one visitor, or of what does not depend on the browser of the other."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Two groups, each in one worker with a server of its own: more would starve each other of video.

    First, because xdist reads the groups in the same hook: before this one if pytest was given this folder.
    """
    for item in items:
        if HERE in item.path.parents and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.xdist_group("firefox" if needs_firefox(item) else "browser"))


def needs_firefox(test: pytest.Function) -> bool:
    call: Any = getattr(test, "callspec", None)
    browsers = call.params.get("come_in", ()) if call else ()
    return "firefox" in (*browsers, *test.fixturenames)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if chromium_path() is None:
        pytest.skip(NEEDS_CHROMIUM)
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def firefox() -> Iterator[Bidi]:
    if firefox_path() is None:
        pytest.skip(NEEDS_FIREFOX)
    with running_firefox() as browser:
        yield browser


@pytest.fixture(scope="session")
def hall() -> Iterator[Server]:
    """The server, for all of these tests: each leaves it empty."""
    with data_folder() as folder, running_server(folder, "--apart-s", "1") as server:
        yield server


@pytest.fixture
def front(hall: Server) -> Iterator[Front]:
    """A proxy in front of the hall, for trouble on the way."""
    with running_front(int(hall.address.rpartition(":")[2])) as front:
        yield front


@pytest.fixture
def visit(chromium: Browser, hall: Server) -> Iterator[Visit]:
    """Lets people in with Chromium, each at a tab of their own; afterwards they go home, and are checked."""
    with checked() as visitors:

        def let_in(name: str, *, address: str = hall.address, **options: Any) -> ChromiumVisitor:
            context = chromium.new_context(**({"viewport": {"width": 900, "height": 640}} | options))
            visitors.append(visitor := ChromiumVisitor(address, context, name))
            return visitor

        yield let_in


@pytest.fixture(params=PAIRS, ids="-".join)
def come_in(request: pytest.FixtureRequest, hall: Server) -> Iterator[ComeIn]:
    """The same with each pair of browsers, of which the people who come in use one and the other in turn."""
    browsers = [request.getfixturevalue(name) for name in request.param]
    with checked() as visitors:

        def let_in(name: str, *, address: str = hall.address) -> Visitor:
            browser = browsers[len(visitors) % len(browsers)]
            visitors.append(visitor := Visitor(address, new_tab(browser), name))
            return visitor

        yield let_in


def new_tab(browser: Browser | Bidi) -> Tab:
    if isinstance(browser, Bidi):
        return FirefoxTab(browser, 900, 640)
    return ChromiumTab(browser.new_context(viewport={"width": 900, "height": 640}))


def until_loaded(visitor: Visitor, condition: str) -> None:
    """Wait until this holds in a tab that is being loaded. A page that leaves cannot be asked: ask again."""
    for _ in range(LIMIT_MS // POLL_MS):
        with suppress(Error, BidiError):
            if visitor.tab.evaluate(condition):
                return
        visitor.tab.pause(POLL_MS)
    raise AssertionError(f"{visitor.name}'s page was not loaded until {condition}")


def until(tab: Tab, condition: Callable[[], bool]) -> None:
    """Wait until this holds outside of the tab, while that goes on."""
    for _ in range(LIMIT_MS // POLL_MS):
        if condition():
            return
        tab.pause(POLL_MS)
    raise AssertionError("waited in vain")


@contextmanager
def checked() -> Iterator[list[Visitor]]:
    """Whoever came in must have had nothing in the console, have gone through legal states only, and leave

    nothing running. Then their tabs are closed.
    """
    visitors: list[Visitor] = []
    try:
        yield visitors
        for visitor in visitors:
            check(visitor)
    finally:
        for visitor in visitors:
            visitor.tab.close()


def check(visitor: Visitor) -> None:
    """What holds for every visitor of every test."""
    visitor.go_home()
    assert visitor.is_quiet(), f"{visitor.name}: {visitor.asks('quiet()')} still run; expected {QUIET}"
    assert visitor.heard == [], f"{visitor.name}'s browser complained"
    if visitor.asks("sockets.length") > 1:
        return  # what was told while the line was down, the next snapshot makes up for
    told = [snapshot["state"] for snapshot in visitor.snapshots]
    moves = [move for move in pairwise(told) if move[0] != move[1]]
    illegal = [move for move in moves if (State(move[0]), State(move[1])) not in EDGES]
    assert not illegal, f"{visitor.name} was told {illegal}"
