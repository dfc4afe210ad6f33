"""Makes the C library's allocator return large blocks of memory to the system when they are freed.

By default glibc raises its limit for separate mappings, M_MMAP_THRESHOLD, up to 32 MB whenever a large block
is freed. Later blocks of that size share the heap, where one small block behind them keeps all of them from
being returned. Session descriptions are such blocks: an hour after a flood of them the process would still
hold tens of megabytes of unused memory.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress

M_MMAP_THRESHOLD = -3
"""As in malloc.h."""

LARGE_BYTES = 32 * 1024
"""Blocks of this many bytes and more get a mapping of their own, which costs some microseconds. Few frames
are as large."""


def return_large_pieces() -> None:
    """Set the limit if the C library is glibc; other libraries have no such limit."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
