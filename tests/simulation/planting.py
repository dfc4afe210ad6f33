"""How a bug is planted: a patch of the product that is on for one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

Plant = Callable[[], Any]


@contextmanager
def on(target: Any, name: str, bug: Any) -> Iterator[None]:
    """`bug` instead of what `target` has by that `name`."""
    with patch.object(target, name, bug):
        yield
