"""A server under test with its environment: its data folder, its database, the proxy in front of it.

A `ServerUnderTest` owns the server's process: tests can stop, kill and restart it while a fleet is connected,
which always reaches it at the address of the proxy. `audited` ends a run: everybody has left, every session
has its end in the database, and the auditor has checked all transcripts and rows.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio
from psycopg.conninfo import make_conninfo

from studymatch.postgres.private import ROLE
from tests.faults.auditor import violations
from tests.faults.fleet import HUMAN, Behaviour, Fleet
from tests.faults.postgres import query
from tests.faults.proxy import PlanOf, Proxy, flawless, open_proxy
from tests.promises.evidence import Evidence, Row, Rules
from tests.promises.transcript import Frame, Transcript
from tests.support.server import Server, data_folder, running_server
from tests.support.waiting import eventually

RULES = Rules()
PATIENT_S = 90.0
"""The limit for things that must happen eventually, even on a very busy machine."""

ENDS_LIMIT_S = 45.0
"""After all have left, a session that is still open after this time has no end."""

OPTIONS = {
    "grace-s": RULES.grace_s,
    "reload-grace-s": 2,
    "apart-s": RULES.apart_s,
    "heartbeat-s": RULES.heartbeat_s,
    "connect-limit-s": 4,
    "search-again-s": RULES.search_again_s,
    "presence-every-s": 1,
}

ROWS = """
select id::text, first_person::text as first, second_person::text as second, cause, ended_by::text,
    extract(epoch from matched_at)::float8 as matched_at,
    extract(epoch from connected_at)::float8 as connected_at,
    extract(epoch from ended_at)::float8 as ended_at
from session order by matched_at
"""


class ServerUnderTest:
    """The server on the data folder `folder` and the database `conninfo` (None: its private one there)."""

    def __init__(self, folder: Path, conninfo: str | None, proxy: Proxy, options: dict[str, Any]) -> None:
        if conninfo is None:
            self.conninfo = make_conninfo(host=str(folder / "postgres" / "run"), user=ROLE, dbname=ROLE)
        else:
            self.conninfo = conninfo
            options = options | {"database-url": conninfo}
        self.proxy = proxy
        self.kills: list[float] = []
        self._port = "0"
        self._folder = folder
        self._rules = replace(RULES, grace_s=float(options["grace-s"]))
        self._options = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        self._running: AbstractContextManager[Server] | None = None
        self._server: Server | None = None
        self._former_warnings: list[dict[str, Any]] = []

    @property
    def pid(self) -> int | None:
        """The process id of the running server; None if none runs."""
        return None if self._server is None else self._server.process.pid

    @property
    def server(self) -> Server:
        """The running server."""
        assert self._server is not None, "no server runs"
        return self._server

    def warnings(self) -> list[dict[str, Any]]:
        """The warnings and errors in the journals of all runs of the server."""
        return self._former_warnings + ([] if self._server is None else warnings_of(self._server))

    def new_guest(self) -> Frame:
        """A guest of the running server; blocks. Raises OSError if none runs."""
        if self._server is None:
            raise ConnectionRefusedError
        status, _, body = self._server.get("/api/guest", {"name": "Visitor"})
        if status != 201:
            raise ConnectionRefusedError
        guest: Frame = json.loads(body)
        return guest

    def fleet(self, seed: int, behaviour: Behaviour = HUMAN, *, unmatchable: int = 0) -> Fleet:
        """A fleet that connects to this server."""
        return Fleet(self.proxy.address, self.new_guest, seed, behaviour, unmatchable)

    async def start(self) -> None:
        """Start the server; returns when it is ready and the proxy connects to it.

        Its port stays the same, by which the server recognises the state of the process before.
        """
        self._running = running_server(self._folder, *self._options, "--port", self._port)
        self._server = await trio.to_thread.run_sync(self._running.__enter__)
        host, _, self._port = self._server.address.removeprefix("http://").partition(":")
        self.proxy.target = (host, int(self._port))

    async def stop(self) -> int:
        """Stop the server with SIGTERM, wait for its end, and return its exit code."""
        return await self._end(self.server.process.terminate)

    async def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self.kills.append(time.monotonic())
        await self._end(self.server.process.kill)

    async def _end(self, how: Any) -> int:
        server, running = self.server, self._running
        assert running is not None
        how()
        code = await trio.to_thread.run_sync(server.process.wait, PATIENT_S)
        self.proxy.target = None
        self._former_warnings += warnings_of(server)
        self._server = self._running = None
        await trio.to_thread.run_sync(running.__exit__, None, None, None)
        return code

    def private_postgres(self) -> int:
        """The process id of the PostgreSQL in the data folder."""
        pid_file = self._folder / "postgres" / "pgdata" / "postmaster.pid"
        return int(pid_file.read_text().split()[0])

    async def ready(self) -> None:
        """Wait until the server reports that it is ready."""
        await eventually(lambda: self.server.get("/readyz")[0] == 200, limit_s=PATIENT_S)

    async def close(self) -> None:
        """Stop the server if one runs."""
        if self._server is not None:
            await self.stop()

    # The audit

    def rows(self) -> list[Row]:
        """Every session in the database; blocks."""
        return [Row(**row) for row in query(self.conninfo, ROWS)]

    async def evidence(self, transcripts: list[Transcript]) -> Evidence:
        """The transcripts and rows, once no session is open.

        If a session stays open, the auditor reports it.
        """
        with suppress(trio.TooSlowError):
            await eventually(lambda: all(row.ended_at for row in self.rows()), limit_s=ENDS_LIMIT_S)
        people = {transcript.person for transcript in transcripts}
        rows = [row for row in await trio.to_thread.run_sync(self.rows) if not people.isdisjoint(row.people)]
        wall = time.time() - time.monotonic()
        return Evidence(transcripts, rows, self._rules, kills=list(self.kills), wall=wall)

    async def audited(self, *transcripts: Transcript, may_crash: str | None = None) -> Evidence:
        """The evidence, after the auditor has found no violation in it. Everybody must have left.

        No actor may have crashed, except the one that `may_crash` names.
        """
        evidence = await self.evidence(list(transcripts))
        found = violations(evidence)
        assert not found, "\n".join([*found, self.proxy.story()])
        errors = [line for line in self.warnings() if line["level"] == "error"]
        assert {line.get("actor") for line in errors} <= {may_crash}, errors
        return evidence


def warnings_of(server: Server) -> list[dict[str, Any]]:
    """The warnings and errors in the journal of a server."""
    return [line for line in server.lines() if line["level"] in ("warning", "error")]


@asynccontextmanager
async def a_server_under_test(
    conninfo: str | None, *, plan_of: PlanOf = flawless, **options: Any
) -> AsyncIterator[ServerUnderTest]:
    """Run a server under test while the block is open."""
    settings = OPTIONS | {name.replace("_", "-"): value for name, value in options.items()}
    with data_folder() as folder:
        async with open_proxy(plan_of=plan_of) as proxy:
            tested = ServerUnderTest(folder, conninfo, proxy, settings)
            await tested.start()
            try:
                yield tested
            finally:
                with trio.CancelScope(shield=True):
                    await tested.close()
