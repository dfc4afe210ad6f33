"""studymatch served by Quart-trio on Hypercorn as they come: ``python -m benchmarks.unaltered serve …``.

Everything else is the product; only what serves the app is Hypercorn's own `serve`, in place of `web.server`.
To be compared with, and never to be exposed: see the README on what one client can do to it.
"""

from __future__ import annotations

import os
import socket

import hypercorn.trio
import trio
from hypercorn.config import Config
from quart_trio import QuartTrio

from web import cli, run
from web.server import ServerLimits, TrustedProxies


async def serve(
    app: QuartTrio,
    listeners: list[socket.socket],
    *,
    limits: ServerLimits,
    proxies: TrustedProxies,
    stop: trio.Event,
    task_status: trio.TaskStatus[list[str]],
) -> None:
    """What `web.server.serve` does, by Hypercorn alone; of `limits` it knows some, of `proxies` nothing."""
    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}" for listener in listeners]
    config.accesslog = config.errorlog = None
    config.websocket_max_message_size = limits.message_max_bytes
    await hypercorn.trio.serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)


if __name__ == "__main__":
    vars(run)["serve_app"] = serve
    cli.main()
