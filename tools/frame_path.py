"""Counts the modules that one signal passes on its way from one person's socket to their partner's.

    python -m tools.frame_path              how many modules, in how many stays
    python -m tools.frame_path --path       and every function that is entered, in order

A stay is a run of functions of one module that are entered one after the other. The server, its sockets and
the two people in a call are real, in this process. What is counted is the one step in which the server reads
the frame and writes it to the partner's socket.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from types import CodeType, FrameType
from typing import Any
from unittest.mock import patch

import click
import trio

from tests.support.lobby import a_lobby
from web.server.direct import DirectSocket

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = tuple(f"{ROOT / folder}/" for folder in ("actors", "studymatch", "web"))


def module_of(code: CodeType) -> str | None:
    """The dotted name of the module of ours in which a function is; None: it is somebody else's."""
    if not code.co_filename.startswith(PRODUCT):
        return None
    return ".".join(Path(code.co_filename).relative_to(ROOT).with_suffix("").parts)


async def way_of_a_signal() -> list[tuple[str, str]]:
    """The functions that are entered for one signal in a call, in order: module and name of each.

    Raises:
        RuntimeError: the partner did not get the signal in the step in which it was read.
    """
    entered: list[tuple[str, str]] = []
    is_counted = False
    ready = DirectSocket.ready

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and (module := module_of(frame.f_code)) is not None:
            entered.append((module, frame.f_code.co_qualname))

    def counted_ready(self: DirectSocket, events: int, now: float) -> None:
        if is_counted and not entered:
            sys.setprofile(note)
        try:
            ready(self, events, now)
        finally:
            sys.setprofile(None)

    with patch.object(DirectSocket, "ready", counted_ready):
        async with a_lobby() as lobby:
            ada, ben = await lobby.call()
            is_counted = True
            await ada.about("signal", data={"candidate": "…"})
            await ben.until("signal")
            for person in (ada, ben):
                await person.stream.aclose()
    if ("web.server.outgoing", "Outgoing.send") not in entered:
        raise RuntimeError("the signal was not passed on in the step in which it was read")
    return entered


def stays(entered: list[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """Runs of functions of one module: its name, and the functions in order."""
    return [
        (module, [name for _, name in run]) for module, run in groupby(entered, key=lambda entry: entry[0])
    ]


@click.command()
@click.option("--path", "is_shown", is_flag=True, help="Show every function that is entered, in order.")
def main(*, is_shown: bool) -> None:
    """Count the modules that a signal passes from one socket to the other."""
    entered = trio.run(way_of_a_signal)
    found = stays(entered)
    if is_shown:
        for module, names in found:
            click.echo(f"{module}: {', '.join(names)}")
    modules = {module for module, _ in found}
    click.echo(f"{len(modules)} modules, {len(found)} stays, {len(entered)} functions")


if __name__ == "__main__":
    main()
