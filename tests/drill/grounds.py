"""The servers that the drill attacks: most attacks come through a proxy, a few need another server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

from tests.drill.swarms import PLACES
from tests.support.server import Server, data_folder, running_server
from web.server.open_files import RESERVED

GRACE_S = 3
"""Of each server: people who vanish are forgotten after it, and memory is looked at later."""


@dataclass(frozen=True, slots=True)
class Ground:
    """One kind of server. `open_files` is its limit of them; None: what the system allows."""

    options: tuple[str, ...] = ()
    open_files: int | None = None
    people_max: int = 1_000_000

    @contextmanager
    def server(self) -> Iterator[Server]:
        """Such a server, with a private database."""
        through = [] if self.open_files is None else ["prlimit", f"--nofile={self.open_files}"]
        options = ("--grace-s", str(GRACE_S), "--reload-grace-s", str(GRACE_S), *self.options)
        with data_folder() as folder, running_server(folder, *options, through=through) as server:
            yield server


BEHIND_PROXY = Ground(("--trusted-proxy", "127.0.0.1"))
"""It believes the addresses that the drill gives, so each of them has its budgets."""
DIRECT = Ground()
"""Everybody comes over loopback, where no address has a budget: what holds is what counts in all."""
SMALL = Ground(BEHIND_PROXY.options, open_files=RESERVED + PLACES, people_max=20)
"""It has few places."""

GROUNDS = {"many_direct": DIRECT, "places": SMALL}
"""Of the attacks that are not made on `BEHIND_PROXY`."""


def by_ground(names: Iterable[str]) -> list[tuple[Ground, list[str]]]:
    """These attacks in their order, those together that follow each other on the same server."""
    grouped = groupby(names, lambda name: GROUNDS.get(name, BEHIND_PROXY))
    return [(ground, list(attacks)) for ground, attacks in grouped]
