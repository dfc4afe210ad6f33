"""Exceptions that have been dealt with, and what they keep in memory.

An exception refers to its traceback, that to the frames it came through, and a frame to its variables. Where
one of these is the exception again (`self` where an exception raises itself, a variable that keeps it for
later), all that the frames and their callers know is kept until the collector looks at everything.
"""

from __future__ import annotations

from traceback import clear_frames


def let_go(error: BaseException) -> None:
    """Break such circles, in `error` and in whatever led to it. Nobody can read their tracebacks afterwards.

    Frames that still run keep their variables.
    """
    seen: set[int] = set()
    errors: list[BaseException | None] = [error]
    while errors:
        one = errors.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        trace, one.__traceback__ = one.__traceback__, None
        errors += [one.__context__, one.__cause__]
        if isinstance(one, BaseExceptionGroup):
            errors += one.exceptions
        clear_frames(trace)
