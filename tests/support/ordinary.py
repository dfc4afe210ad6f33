"""studymatch without the direct path: ``python -m tests.support.ordinary serve …``.

It behaves as on a system without epoll, or on another ASGI server.
"""

from web import cli
from web.server import accept

if __name__ == "__main__":
    vars(accept)["IS_OFFERED"] = False
    cli.main()
