"""Plants a bug: patches the product for one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

Plant = Callable[[], Any]


@contextmanager
def on(target: Any, name: str, bug: Any) -> Iterator[None]:
    """Replace the attribute `name` of `target` with `bug` while the block is open."""
    with patch.object(target, name, bug):
        yield
