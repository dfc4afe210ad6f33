from __future__ import annotations

import pytest

from actors.testing import Lines


@pytest.fixture
def lines() -> Lines:
    return Lines()
