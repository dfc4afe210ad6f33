"""Standard output and standard error of this process, written without blocking it.

Within the block of `detached`, `sys.stdout` and `sys.stderr` are outlets (`actors.outlet`): printing, warning
and logging, in any thread, can neither delay nor end the process.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO, cast

from actors.outlet import Outlet

FINISH_LIMIT_S = 2.0
"""How long writing the last lines may take. A working stream needs milliseconds."""


@contextmanager
def detached() -> Iterator[None]:
    """Replace the standard streams by outlets; at the end write the last lines, within a time limit."""
    _fill_gaps()
    before = sys.stdout, sys.stderr
    output, error = Outlet(sys.stdout), Outlet(sys.stderr)
    sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, error)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        end = time.monotonic() + FINISH_LIMIT_S
        for outlet in (output, error):
            outlet.finish(max(0.0, end - time.monotonic()))


def _fill_gaps() -> None:
    """Open the descriptors 0 to 2 that this process was started without.

    Otherwise the next opened file would get such a number, and a library that writes to standard error would
    write to a database's socket, for example.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
