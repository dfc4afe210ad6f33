"""The servers that the drill attacks: most attacks need one behind a proxy, a few another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

from tests.drill.swarms import PLACES
from tests.support.server import Server, data_folder, running_server
from web.server.open_files import RESERVED

GRACE_S = 3
"""The grace of each server: it forgets people who vanished before the drill checks the memory."""


@dataclass(frozen=True, slots=True)
class Ground:
    """One kind of server. `open_files` is its limit of file descriptors; None: the system's."""

    options: tuple[str, ...] = ()
    open_files: int | None = None
    people_max: int = 1_000_000

    @contextmanager
    def server(self) -> Iterator[Server]:
        """Run such a server, with a private database."""
        through = [] if self.open_files is None else ["prlimit", f"--nofile={self.open_files}"]
        options = ("--grace-s", str(GRACE_S), "--reload-grace-s", str(GRACE_S), *self.options)
        with data_folder() as folder, running_server(folder, *options, through=through) as server:
            yield server


BEHIND_PROXY = Ground(("--trusted-proxy", "127.0.0.1"))
"""A server that trusts the addresses from the drill, so each of them has its budgets."""
DIRECT = Ground()
"""A server whose clients all connect from loopback, which has no budget: only total budgets apply."""
SMALL = Ground(BEHIND_PROXY.options, open_files=RESERVED + PLACES, people_max=20)
"""A server that accepts few connections."""

GROUNDS = {"many_direct": DIRECT, "places": SMALL}
"""The servers of attacks that do not use `BEHIND_PROXY`."""


def by_ground(names: Iterable[str]) -> list[tuple[Ground, list[str]]]:
    """The attacks in order, grouped if consecutive ones use the same server."""
    grouped = groupby(names, lambda name: GROUNDS.get(name, BEHIND_PROXY))
    return [(ground, list(attacks)) for ground, attacks in grouped]
