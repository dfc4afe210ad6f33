"""How this server closes TCP sockets."""

import struct

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for closing with a reset: the kernel drops the data that the client has not read."""
