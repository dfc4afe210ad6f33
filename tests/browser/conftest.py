"""What the browser tests share: one real server, one Chromium, and people who leave no trace.

Everything here is real: `studymatch serve` as a process on its embedded PostgreSQL, and Chromium tabs that
call each other over WebRTC. Only the cameras are Chromium's own test pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from studymatch.lifecycle import EDGES, State
from tests.support.server import Server, data_folder, running_server
from tests.support.visitors import NEEDS_CHROMIUM, QUIET, Visitor, chromium_path, running_chromium

HERE = Path(__file__).parent

Visit = Callable[..., Visitor]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All in one worker: two of them would each start a server, and starve each other of video."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if chromium_path() is None:
        pytest.skip(NEEDS_CHROMIUM)
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def hall() -> Iterator[Server]:
    """The server, for all of these tests: each leaves it empty."""
    with data_folder() as folder, running_server(folder) as server:
        yield server


@pytest.fixture
def visit(chromium: Browser, hall: Server) -> Iterator[Visit]:
    """Lets people in, each at a tab of their own; afterwards they go home.

    Whoever came in must have had nothing in the console, have gone through legal states only, and leave
    nothing running.
    """
    visitors: list[Visitor] = []

    def let_in(name: str, *, address: str = hall.address, **options: Any) -> Visitor:
        context = chromium.new_context(**({"viewport": {"width": 900, "height": 640}} | options))
        visitors.append(Visitor(address, context, name))
        return visitors[-1]

    yield let_in
    try:
        for visitor in visitors:
            check(visitor)
    finally:
        for visitor in visitors:
            visitor.context.close()


def check(visitor: Visitor) -> None:
    """What holds for every visitor of every test."""
    visitor.go_home()
    assert visitor.is_quiet(), f"{visitor.name}: {visitor.asks('quiet()')} still run; expected {QUIET}"
    assert visitor.heard == [], f"{visitor.name}'s browser complained"
    if visitor.asks("sockets.length") > 1:
        return  # what was told while the line was down, the next snapshot makes up for
    moves = zip(visitor.states, visitor.states[1:], strict=False)
    illegal = [move for move in moves if (State(move[0]), State(move[1])) not in EDGES]
    assert not illegal, f"{visitor.name}'s page went {illegal}"
