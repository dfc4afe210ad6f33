"""What the tests of this floor share: the database, and a whole hall on a clock that jumps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from trio.testing import MockClock

from studymatch.recording.store import Store
from tests.support.database import QUICK, bare_conninfo, conninfo, data_dir, postgres_server, used_dir
from tests.support.people import Building, a_hall
from tests.support.rows import Story

__all__ = ["bare_conninfo", "building", "clock", "conninfo", "data_dir", "postgres_server", "used_dir"]


@pytest.fixture
def clock() -> MockClock:
    """Time passes only when everybody waits for it. A test has to name it: that is how it gets to trio."""
    return MockClock(autojump_threshold=0)


@pytest.fixture
async def building() -> AsyncIterator[Building]:
    async with a_hall() as building:
        yield building


@pytest.fixture
async def store(conninfo: str) -> AsyncIterator[Store]:
    async with Store(conninfo, limits=QUICK) as store:
        yield store


@pytest.fixture
def story() -> Story:
    return Story()
