"""Opens the sockets that a server listens on, with the options every accepted connection inherits."""

import errno
import os
import socket
from contextlib import suppress
from ipaddress import IPv6Address

from web.server.limits import ServerLimits

PORT_TRIES = 10
"""For port 0 on a name with several addresses: how often to look for a port that is free on all of them."""

_SENTENCES = {
    errno.EADDRINUSE: "another program listens on it already",
    errno.EACCES: "this user may not; ports below 1024 are reserved for root",
    errno.EADDRNOTAVAIL: "no interface of this machine has this address",
}


def open_listeners(host: str, port: int, *, limits: ServerLimits) -> list[socket.socket]:
    """Listening TCP sockets, one for each address of `host`, all on one port; clients can connect at once.

    `host` is an address, a name (such as localhost, which has an IPv4 and an IPv6 address), or empty or
    ``::`` for all interfaces, with IPv4 and IPv6; with port 0 the kernel chooses. Raises OSError with the
    system's `errno` and a readable sentence as `strerror`. The name look-up is synchronous: call this at the
    start of a program.
    """
    host = _plain(host)
    try:
        if not 0 <= port <= 65_535:
            raise OSError(errno.EINVAL, "expected a port from 0 to 65535")
        for _ in range(PORT_TRIES - 1):
            try:
                return _open_all(host, port, limits)
            except OSError as error:
                if port != 0 or error.errno != errno.EADDRINUSE:
                    raise
        return _open_all(host, port, limits)
    except UnicodeError:
        raise OSError(errno.EINVAL, f"cannot listen on {host!r}: expected an address or a name") from None
    except OSError as error:
        why = _SENTENCES.get(error.errno or 0, error.strerror)
        raise OSError(error.errno, f"cannot listen on {host or '*'} port {port}: {why}") from error


def _plain(host: str) -> str:
    """`host` without brackets, and empty if it is any spelling of the IPv6 address of all interfaces.

    For most systems and people that means IPv4 as well; where IPv6 is switched off it means IPv4 alone.
    """
    bare = host.removeprefix("[").removesuffix("]")
    with suppress(ValueError):
        if IPv6Address(bare) == IPv6Address("::"):
            return ""
    return bare


def _open_all(host: str, port: int, limits: ServerLimits) -> list[socket.socket]:
    """One listener for each address of `host`. An address family that the machine lacks is left out."""
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    listeners: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in addresses:
            try:
                listeners.append(_open(family, (address[0], port, *address[2:]), limits))
            except OSError as error:
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                missing = error
            else:
                port = listeners[-1].getsockname()[1]
        if missing is not None and not listeners:
            raise missing
    except BaseException:
        close_all(listeners)
        raise
    return listeners


def _open(family: int, address: tuple[str | int, ...], limits: ServerLimits) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # A restart must not wait for the connections of the last run to leave TIME_WAIT.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # The IPv4 address has a separate listener; without this, :: and 0.0.0.0 exclude each other.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The kernel buffers unread data first, up to megabytes unless the size is set.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, limits.kernel_buffer_bytes)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limits.kernel_buffer_bytes)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            listener.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(limits.user_timeout_s * 1000)
            )
        listener.bind(address)
        listener.listen(limits.backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def close_all(listeners: list[socket.socket]) -> None:
    """Closes each of them. May be called twice."""
    for listener in listeners:
        listener.close()


def url_of(address: tuple[str | int, ...]) -> str:
    """The base URL for a listener's socket name, like `http://127.0.0.1:8000` or `http://[::1]:8000`."""
    host, port, *_ = address
    return f"http://[{host}]:{port}" if ":" in str(host) else f"http://{host}:{port}"
