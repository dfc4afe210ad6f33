"""Hypercorn's configuration for this server, and the logger of this package."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import trio
from hypercorn.config import Config

from web.server.admission import Admission
from web.server.limits import ServerLimits

if TYPE_CHECKING:
    from web.server.addresses import TrustedProxies

logger = logging.getLogger("web.server")


class ServerConfig(Config):
    """Hypercorn's configuration, to which every part of a connection refers, with our limits and proxies.

    A connection holds one of `turns` while the server reads its first bytes, or handles a request.
    """

    def __init__(self, limits: ServerLimits, proxies: TrustedProxies) -> None:
        self.limits = limits
        self.proxies = proxies
        self.admission = Admission(limits)
        self.turns = trio.Semaphore(limits.at_once)
        self.accesslog = None
        self.errorlog = logger
        self.include_server_header = False
        self.h11_max_incomplete_size = limits.headers_max_bytes
        self.websocket_max_message_size = limits.message_max_bytes
