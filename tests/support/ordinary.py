"""studymatch whose server does not offer the direct path: ``python -m tests.support.ordinary serve …``.

As on a system without epoll; it stands for every server that carries frames by ASGI messages.
"""

from web import cli
from web.server import accept

if __name__ == "__main__":
    vars(accept)["IS_OFFERED"] = False
    cli.main()
