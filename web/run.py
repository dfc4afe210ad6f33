"""Puts everything together: database, ledger, hall, app and server, started in order, stopped in reverse.

The composition root. The hall runs beside the server and not inside the app, so that a hall that fails
ends the process: a server that still lets people in, with nobody to match them, would be worse than none.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import click
import trio

from actors import Journal, Mailbox, TooManyRestartsError
from actors.journal import configure
from studymatch import handover
from studymatch.database import StoreError
from studymatch.embedded import default_data_dir, embedded_postgres, make_data_dir
from studymatch.hall import open_hall
from studymatch.handover import Handover
from studymatch.ids import new_id
from studymatch.ledger import Ledger
from studymatch.programs import EmbeddedPostgresError
from studymatch.records import Node
from studymatch.settings import Settings
from studymatch.store import Store
from web import open_files
from web.app import create_app
from web.collector import collect_often
from web.conversation import SILENCE_IN_HEARTBEATS
from web.identity import Identities, load_secret
from web.server import ServerLimits, open_listeners
from web.server import serve as serve_app
from web.socket import Reception

FEW = 100
"""Fewer connections than that are no server, but a mistake in how it was started."""

THREADS_HOLD_S = 0.0002
"""How long a worker thread may keep Python's lock while the loop wants it, in seconds. A batch of records
takes some ten milliseconds of it, and any system call of the loop lets it in; with Python's own 5 ms that
would be a pause for everybody each time. Two thousand people on a busy machine: the 99th of a relay is a
third of what it was with that."""

SPILL_FILE = "unwritten.jsonl"
HANDOVER_FILE = "handover.json"


class RefusedToStartError(Exception):
    """Something that was asked for cannot be done. The text says what, and what to do about it."""


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. A second signal ends everything by force.

    Raises:
        RefusedToStartError: a port in use, a database that cannot be reached, and the like.
    """
    _configure_journal(settings)
    stop = trio.Event()
    with _refusing():
        async with trio.open_nursery() as nursery:
            await nursery.start(_obey_signals, stop, nursery.cancel_scope)
            await _serve(settings, stop)
            nursery.cancel_scope.cancel()


async def migrate(settings: Settings) -> None:
    """Bring the tables up to date.

    Raises:
        RefusedToStartError: the database cannot be reached, or cannot be used.
    """
    _configure_journal(settings)
    with _refusing():
        async with _database(settings, _data_dir(settings)) as store:
            await store.migrate()
    click.echo("The tables are up to date.")


async def _serve(settings: Settings, stop: trio.Event) -> None:
    sys.setswitchinterval(THREADS_HOLD_S)
    limits = ServerLimits(
        read_limit_s=2 * SILENCE_IN_HEARTBEATS * settings.heartbeat_s, connections_max=_connections_max()
    )
    data_dir = _data_dir(settings)
    identities = Identities(settings.secret or load_secret(data_dir), settings.token_life_s)
    listeners = open_listeners(settings.host, settings.port, limits=limits)
    async with AsyncExitStack() as until_then:
        for listener in listeners:
            until_then.enter_context(listener)
        store = await until_then.enter_async_context(_database(settings, data_dir))
        await store.migrate()
        former = handover.take(data_dir / HANDOVER_FILE, time.time())
        port = listeners[0].getsockname()[1]
        node = former.node if former else Node(new_id(), f"{socket.gethostname()}:{port}")
        ledger = Ledger(Mailbox(), store, node, data_dir / SPILL_FILE, Journal("ledger"))
        async with open_hall(settings, ledger) as hall:
            if former is not None:
                hall.restore(former.people, time.time() - former.left_at)
            reception = Reception(hall, identities.recognise, settings)
            app = create_app(reception, identities)
            async with trio.open_nursery() as nursery:
                end = trio.Event()
                start = partial(serve_app, app, listeners, limits=limits, stop=end)
                addresses = await nursery.start(start)
                hall.crew.hire(collect_often, Journal("collector"))
                click.echo(f"studymatch is ready at {addresses[0]}")
                await stop.wait()
                _leave_behind(Handover(node, time.time(), hall.hand_over()), data_dir / HANDOVER_FILE)
                # For all of it: whoever does not read must not be waited for twice, here and by the server.
                nursery.cancel_scope.deadline = trio.current_time() + settings.stop_limit_s
                await reception.deserted()
                end.set()


def _connections_max() -> int | None:
    """How many connections this process has room for; whoever comes beyond is told that it is full (503)."""
    limit = open_files.allow()
    if limit is None:
        return None
    if limit - open_files.RESERVED < FEW:
        raise RefusedToStartError(
            f"this process may open only {limit} files and sockets; it needs {open_files.RESERVED}, and one "
            "for each person. Raise the limit: ulimit -n 65536 (systemd: LimitNOFILE=65536)"
        )
    Journal("server").info("room", people=limit - open_files.RESERVED, open_files=limit)
    return limit - open_files.RESERVED


def _leave_behind(what: Handover, path: Path) -> None:
    """Save it; if that fails people start afresh after the restart, which is no reason not to stop."""
    try:
        handover.save(what, path)
    except OSError as error:
        Journal("server").warning("nothing handed over", why=str(error), people=len(what.people))


async def _obey_signals(
    stop: trio.Event,
    everything: trio.CancelScope,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                everything.cancel()
            stop.set()


def _configure_journal(settings: Settings) -> None:
    human = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    configure(settings.log_level, human=human)


def _data_dir(settings: Settings) -> Path:
    return make_data_dir(Path(settings.data_dir).absolute() if settings.data_dir else default_data_dir())


@asynccontextmanager
async def _database(settings: Settings, data_dir: Path) -> AsyncIterator[Store]:
    if settings.database_url is not None:
        async with Store(settings.database_url) as store:
            yield store
    else:
        async with embedded_postgres(data_dir / "postgres") as conninfo, Store(conninfo) as store:
            yield store


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns what is wrong with the surroundings into one sentence."""
    try:
        yield
    except* (StoreError, EmbeddedPostgresError, RefusedToStartError) as group:
        raise RefusedToStartError(str(_first(group))) from None
    except* TooManyRestartsError as group:
        raise RefusedToStartError(f"{_first(group)}; giving up. The lines above say why.") from None
    except* OSError as group:
        error = _first(group)
        where = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        raise RefusedToStartError(f"{where}{getattr(error, 'strerror', None) or error}") from None


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
