"""How a failure that concerns one client is reported: one warning that says what failed and where.

It leaves out the exception's text, which may quote the client, and the lines of the traceback.
"""

from __future__ import annotations

import logging
from pathlib import Path
from traceback import extract_tb

from web.server.config import logger

FRAMES_TOLD = 4
"""The number of innermost frames that are named, so that some are in this code if the last is a library's."""


def report(
    error: BaseException, what: str = "a connection failed and was closed", level: int = logging.WARNING
) -> None:
    """Logs that `what` failed because of `error`, or of its first exception, if it is a group."""
    frames = extract_tb(error.__traceback__)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
        frames += extract_tb(error.__traceback__)  # none, if it was put into the group without being raised
    told = frames[: -FRAMES_TOLD - 1 : -1]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in told)
    logger.log(level, "%s: %s at %s", what, type(error).__name__, where or "an unknown place")
