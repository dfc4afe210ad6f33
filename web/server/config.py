"""What Hypercorn is told about a server of ours, and the logger of this package."""

import logging

from hypercorn.config import Config

from web.server.limits import ServerLimits

logger = logging.getLogger("web.server")


class ServerConfig(Config):
    """Hypercorn's configuration, which reaches every part of a connection, and the limits with it."""

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self.accesslog = None
        self.errorlog = logger
        self.include_server_header = False
        self.h11_max_incomplete_size = limits.headers_max_bytes
        self.websocket_max_message_size = limits.message_max_bytes
