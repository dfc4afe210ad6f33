"""Handles the signals that end the process: the first stops it gracefully, the second by force.

A closing terminal (SIGHUP) and Ctrl-\\ (SIGQUIT) have the same effect as Ctrl-C and `kill`. Otherwise the
pages would not be told of the end, and a private PostgreSQL would go on running.
"""

from __future__ import annotations

import signal

import trio

GENTLE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


async def obey_signals(
    stop: trio.Event,
    everything: trio.CancelScope,
    ready: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Set `stop` at the first signal, and cancel `everything` at the next, or before `ready` is set.

    SIGHUP never counts as the next one: when a terminal closes, the system sends one and the shell another.
    If it was ignored at the start, as under nohup, it stays ignored.
    """
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with trio.open_signal_receiver(
        *(s for s in GENTLE if not (is_ignored and s is signal.SIGHUP))
    ) as signals:
        task_status.started()
        async for number in signals:
            asks_again = stop.is_set() and number != signal.SIGHUP
            if asks_again or not ready.is_set():
                everything.cancel()
            stop.set()
