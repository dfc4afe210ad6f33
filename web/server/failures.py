"""Reports a failure that concerns one client: one warning that says what failed and where.

The warning contains neither the exception's text, which may quote the client, nor the traceback's lines.
"""

from __future__ import annotations

import logging
from pathlib import Path
from traceback import extract_tb

from web.server.config import logger

FRAMES_TOLD = 4
"""The number of innermost frames to name: enough that some are in this code, not in a library."""


def report(
    error: BaseException, what: str = "a connection failed and was closed", level: int = logging.WARNING
) -> None:
    """Logs that `what` failed because of `error`, or of its first exception, if it is a group."""
    frames = extract_tb(error.__traceback__)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
        frames += extract_tb(error.__traceback__)  # empty if it was never raised
    told = frames[: -FRAMES_TOLD - 1 : -1]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in told)
    logger.log(level, "%s: %s at %s", what, type(error).__name__, where or "an unknown place")
