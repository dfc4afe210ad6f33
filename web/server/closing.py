"""What is the same for every TCP socket that this server closes."""

import struct

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for closing with a reset: what the kernel holds for a client that does not read is dropped."""
