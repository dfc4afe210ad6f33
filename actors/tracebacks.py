"""Break the reference cycles of exceptions that have been handled.

An exception refers to its traceback, the traceback to frames, and a frame to its variables. If one of these
variables is the exception itself (`self` in a method that raises it, a variable that stores it), there is a
cycle: everything that the frames and their callers refer to stays in memory until a full garbage collection.
"""

from __future__ import annotations

from traceback import clear_frames


def let_go(error: BaseException) -> None:
    """Break such cycles in `error`, its context, its cause and the members of a group.

    Their tracebacks are removed, and the frames are cleared; frames that still run keep their variables.
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
