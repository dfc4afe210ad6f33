"""studymatch on unmodified Quart-trio and Hypercorn: ``python -m benchmarks.unaltered serve …``.

It is the product with Hypercorn's own `serve` in place of `web.server`, for comparison only. Do not expose it
to a network: the README says what one client can do to it.
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
    """Serve like `web.server.serve`, but with Hypercorn alone; applies one of `limits` and no `proxies`."""
    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}" for listener in listeners]
    config.accesslog = config.errorlog = None
    config.websocket_max_message_size = limits.message_max_bytes
    await hypercorn.trio.serve(app, config, shutdown_trigger=stop.wait, task_status=task_status)


if __name__ == "__main__":
    vars(run)["serve_app"] = serve
    cli.main()
