"""How the failure of one connection is reported: one warning that says what failed and where.

It leaves out the exception's text, which may quote the client.
"""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb

from web.server.config import logger


def report(error: BaseException) -> None:
    """Warns that a connection has failed because of `error`, or of the first in it, if it is a group."""
    frames = extract_tb(error.__traceback__)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
        frames += extract_tb(error.__traceback__)  # none, if it was put into the group without being raised
    where = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    logger.warning("a connection failed and was closed: %s at %s", type(error).__name__, where)
