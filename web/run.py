"""Starts database, ledger, hall, app and server in order, and stops them in reverse order.

The composition root. The hall runs beside the server and not inside the app, so a hall that fails ends the
process: a server that accepts people and cannot match them would be worse than none.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import click
import trio

from actors import Journal, Mailbox, Rate
from actors.journal import configure, standard_error
from studymatch import handover
from studymatch.hall import open_hall
from studymatch.handover import Handover
from studymatch.ids import new_id
from studymatch.postgres.database import DatabaseUnavailableError
from studymatch.postgres.folders import data_folder, own_data_folder
from studymatch.postgres.private import embedded_postgres
from studymatch.recording.ledger import Ledger
from studymatch.recording.store import Store
from studymatch.residence import move_in
from studymatch.rules.close_codes import CloseCode
from studymatch.settings import Settings, unknown_variables
from web.app import create_app
from web.build import this_build
from web.conversation import SILENCE_IN_HEARTBEATS
from web.identity import Identities
from web.reception import Reception
from web.refusals import RefusedToStartError, refusing
from web.server import ServerLimits, TrustedProxies, open_files, open_listeners, read_network
from web.server import serve as serve_app
from web.server.allocator import return_large_pieces
from web.server.gc_pacing import collect_often
from web.signals import obey_signals
from web.signing import signing_secrets

CONNECTIONS_MIN = 100
"""A limit of open files with room for fewer connections is a mistake in how the server was started."""

SWITCH_INTERVAL_S = 0.0002
"""How long a worker thread may keep the GIL while the event loop waits for it, in seconds. A batch of records
takes about ten milliseconds of work in a thread, which can take the GIL at any system call of the loop. With
Python's default of 5 ms the loop would pause so long each time. With two thousand people on a busy machine,
the 99th percentile of a relay is a third of the one with the default."""

MIGRATION_LIMIT_S = 10.0
"""How long a start waits for the database. Creating the tables takes a tenth of a second; a longer migration
goes on in the background while people are matched."""

WIRE_MARGIN = 3
"""The server's budget of WebSocket frames of every kind, as a multiple of the budget for frames of the
protocol. It leaves room for frames that the gate refuses, which may be as many again as the burst."""

BACKLOG_FILE = "unwritten.jsonl"
HANDOVER_FILE = "handover.json"


async def serve(settings: Settings) -> None:
    """Serve until a signal stops the process (`web.signals`). A second signal stops it by force.

    Raises:
        RefusedToStartError: a port in use, a database that can never be used, and the like.
    """
    _configure_journal(settings)
    for name, meant in unknown_variables(os.environ).items():
        Journal("server").warning("unknown variable", name=name, perhaps_meant=meant)
    stop, ready = trio.Event(), trio.Event()
    with refusing():
        async with trio.open_nursery() as nursery:
            await nursery.start(obey_signals, stop, nursery.cancel_scope, ready)
            with own_data_folder(settings.data_dir, Journal("server").warning) as data_dir:
                await _serve(settings, data_dir, stop, ready)
            nursery.cancel_scope.cancel()


async def migrate(settings: Settings, *, check: bool = False) -> list[str]:
    """Bring the tables up to date; with `check`, only look. Returns the migrations applied, or to be applied.

    Raises:
        RefusedToStartError: the database cannot be reached, or cannot be used.
        KeyboardInterrupt: a signal came before.
    """
    _configure_journal(settings)
    names: list[str] | None = None
    with refusing():
        async with trio.open_nursery() as nursery:
            await nursery.start(obey_signals, trio.Event(), nursery.cancel_scope, trio.Event())
            async with _database(settings) as store:
                names = await (store.pending() if check else store.migrate())
            nursery.cancel_scope.cancel()
    if names is None:
        raise KeyboardInterrupt
    return names


async def _serve(settings: Settings, data_dir: Path, stop: trio.Event, ready: trio.Event) -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    return_large_pieces()
    limits = _limits(settings)
    identities = Identities(signing_secrets(settings, data_dir), settings.token_life_s)
    listeners = open_listeners(settings.host, settings.port, limits=limits)
    async with AsyncExitStack() as stack:
        for listener in listeners:
            stack.enter_context(listener)
        store = await stack.enter_async_context(_database(settings, data_dir))
        is_ready = await _migrated(store)
        former = handover.take(data_dir / HANDOVER_FILE, time.time(), Journal("server").warning)
        name = f"{socket.gethostname()}:{listeners[0].getsockname()[1]}"
        life = former.node.id if former else new_id()
        node = move_in(data_dir, life, name, Journal("server").warning)
        ledger = Ledger(
            Mailbox(),
            store,
            node,
            data_dir / BACKLOG_FILE,
            Journal("ledger"),
            prepare=None if is_ready else store.migrate,
        )
        async with open_hall(settings, ledger) as hall:
            if former is not None:
                hall.restore(former.people, time.time() - former.left_at, former.debts)
            reception = Reception(hall, identities.recognise, settings, build=this_build().digest)
            app = create_app(reception, identities)
            async with trio.open_nursery() as nursery:
                end = trio.Event()
                start = partial(
                    serve_app, app, listeners, limits=limits, proxies=_proxies(settings), stop=end
                )
                addresses = await nursery.start(start)
                hall.crew.hire(collect_often, Journal("collector"))
                ready.set()
                click.echo(f"studymatch is ready at {addresses[0]}")
                await stop.wait()
                left = Handover(node, time.time(), hall.hand_over(), hall.debts())
                _save_handover(left, data_dir / HANDOVER_FILE)
                # One limit for reception and server, so that a client that does not read delays the stop
                # once.
                nursery.cancel_scope.deadline = trio.current_time() + settings.stop_limit_s
                await reception.deserted()
                end.set()


async def _migrated(store: Store) -> bool:
    """Bring the tables up to date. False: the database does not answer, so the ledger does it later.

    Raises:
        DatabaseSettingError: the database cannot be used with these settings, so the server does not start.
    """
    try:
        with trio.fail_after(MIGRATION_LIMIT_S):
            applied = await store.migrate()
    except (DatabaseUnavailableError, trio.TooSlowError) as error:
        why = str(error) or f"It gave no answer within {MIGRATION_LIMIT_S:g} s."
        what = "people are matched, and sessions are recorded when it is there"
        Journal("server").warning("starting without the database", why=why, meaning=what)
        return False
    if applied:
        Journal("server").info("migrated", applied=applied)
    return True


def _proxies(settings: Settings) -> TrustedProxies:
    """The proxies in front of this server. Without one, log that clients on loopback have no budget."""
    if not settings.trusted_proxy:
        Journal("server").info(
            "no trusted proxy",
            meaning="clients on loopback have no limits per address; is a proxy there, set --trusted-proxy",
        )
    return TrustedProxies(map(read_network, settings.trusted_proxy))


def _limits(settings: Settings) -> ServerLimits:
    """The limits of connections, from the settings.

    The conversation answers excess frames of the protocol with an error first. So the server's own budget is
    larger, and limits what never becomes a frame of the protocol, such as pings and fragments. The server's
    limit of silence is twice those of the conversation, which has a close code for each.
    """
    return ServerLimits(
        read_limit_s=2 * max(SILENCE_IN_HEARTBEATS * settings.heartbeat_s, settings.hello_limit_s),
        connections_max=_connections_max(),
        frames=Rate(WIRE_MARGIN * settings.frames_per_s, WIRE_MARGIN * settings.frames_burst),
        flood_code=CloseCode.TOO_MANY,
        unsent_max_bytes=2 * settings.outbox_max_bytes,
        address_connections_max=settings.address_connections_max,
        address_connections=Rate(settings.address_connections_per_s, settings.address_connections_burst),
        address_requests=Rate(settings.address_requests_per_s, settings.address_requests_burst),
        requests=Rate(settings.requests_per_s, settings.requests_burst),
    )


def _connections_max() -> int | None:
    """The most connections of this process. Each uses one file descriptor; beyond it new ones get HTTP
    503."""
    limit = open_files.allow()
    if limit is None:
        return None
    if limit - open_files.RESERVED < CONNECTIONS_MIN:
        raise RefusedToStartError(
            f"this process may open only {limit} files and sockets; it needs {open_files.RESERVED}, and one "
            "for each person. Raise the limit: ulimit -n 65536 (systemd: LimitNOFILE=65536)"
        )
    Journal("server").info("room", people=limit - open_files.RESERVED, open_files=limit)
    return limit - open_files.RESERVED


def _save_handover(what: Handover, path: Path) -> None:
    """Save the handover. If that fails, log it and stop anyway: people start anew after the restart."""
    try:
        handover.save(what, path)
    except OSError as error:
        Journal("server").warning("nothing handed over", why=str(error), people=len(what.people))


def _configure_journal(settings: Settings) -> None:
    on_terminal = settings.log_format == "auto" and standard_error().isatty()
    human = settings.log_format == "console" or on_terminal
    configure(settings.log_level, human=human)


@asynccontextmanager
async def _database(settings: Settings, data_dir: Path | None = None) -> AsyncIterator[Store]:
    """The database that the settings name, or a private one. Without `data_dir`, the data folder is
    determined only for a private one.
    """
    if settings.database_url is not None:
        async with Store(settings.database_url) as store:
            yield store
    else:
        folder = data_dir or data_folder(settings.data_dir)
        async with embedded_postgres(folder / "postgres") as conninfo, Store(conninfo) as store:
            yield store
