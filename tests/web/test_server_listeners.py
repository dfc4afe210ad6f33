"""The sockets listened on: their options, their addresses, and the errors of opening them."""

import errno
import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio

from tests.support.echo import echo_app, serving
from web.server import ServerLimits, open_listeners, serve
from web.server.accept import NO_MORE_PAUSE_S
from web.server.listeners import PORT_TRIES, _open, close_all, url_of
from web.server.pins import check_pins

LIMITS = ServerLimits()


async def test_accepted_connections_have_the_options_of_the_listener() -> None:
    [listener] = open_listeners("127.0.0.1", 0, limits=ServerLimits(user_timeout_s=12.5))
    with listener, socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 12_500


def test_a_crowd_that_comes_at_once_can_wait_to_be_accepted() -> None:
    """A shorter queue would drop them, to come again after a second, or three, or seven."""
    listeners = open_listeners("127.0.0.1", 0, limits=LIMITS)
    crowd = []
    try:
        for _ in range(300):
            crowd.append(socket.create_connection(listeners[0].getsockname(), timeout=0.5))
    finally:
        close_all([*crowd, *listeners])


@pytest.mark.parametrize("host", ["localhost", "", "::", "[::]", "0:0::0"])
def test_a_host_is_listened_on_at_every_address_it_has(host: str) -> None:
    """All on one port, which the kernel chose. Empty means all interfaces."""
    listeners = open_listeners(host, 0, limits=LIMITS)
    try:
        v4, *more = [listener.getsockname()[0] for listener in sorted(listeners, key=lambda it: it.family)]
        is_local = host == "localhost"
        assert v4 == ("127.0.0.1" if is_local else "0.0.0.0")
        assert more in ([], ["::1" if is_local else "::"])
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
    finally:
        close_all(listeners)


def test_ipv4_reaches_a_server_that_listens_on_the_ipv6_address_of_all_interfaces() -> None:
    listeners = open_listeners("::", 0, limits=LIMITS)
    try:
        port = listeners[0].getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        if len(listeners) > 1:
            socket.create_connection(("::1", port), timeout=5).close()
    finally:
        close_all(listeners)


def test_without_ipv6_the_address_of_all_interfaces_means_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with `ipv6.disable=1`."""
    lacking = failing(_open, errno.EAFNOSUPPORT, 1, socket.AF_INET6)
    monkeypatch.setattr("web.server.listeners._open", lacking)
    [listener] = open_listeners("::", 0, limits=LIMITS)
    with listener:
        assert listener.family == socket.AF_INET


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".example", "no-such-host.invalid", "::g", "\udcff"])
def test_what_is_no_host_is_refused_with_a_sentence(host: str) -> None:
    with pytest.raises(OSError, match="cannot listen on"):
        open_listeners(host, 0, limits=LIMITS)


@pytest.mark.parametrize(
    ("address", "url"),
    [(("127.0.0.1", 8000), "http://127.0.0.1:8000"), (("::1", 8000, 0, 0), "http://[::1]:8000")],
)
def test_the_url_of_an_address(address: tuple[str | int, ...], url: str) -> None:
    assert url_of(address) == url


async def test_the_urls_are_reported_at_the_start() -> None:
    [listener] = open_listeners("127.0.0.1", 0, limits=LIMITS)
    port = listener.getsockname()[1]
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(partial(serve, echo_app(), [listener], limits=LIMITS))
        nursery.cancel_scope.cancel()
    assert urls == [f"http://127.0.0.1:{port}"]


Open = Callable[[int, tuple[str | int, ...], ServerLimits], socket.socket]


def failing(open_one: Open, number: int, times: int, family: int | None = None) -> Open:
    """`open_one`, but the first `times` calls, for an address of this family, fail with this errno."""
    left = times

    def instead(of: int, address: tuple[str | int, ...], limits: ServerLimits) -> socket.socket:
        nonlocal left
        if left > 0 and family in (None, of):
            left -= 1
            raise OSError(number, os.strerror(number))
        return open_one(of, address, limits)

    return instead


def test_a_port_that_is_free_on_one_address_only_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel chooses for one address; another program may have that port on the next."""
    monkeypatch.setattr("web.server.listeners._open", failing(_open, errno.EADDRINUSE, PORT_TRIES - 1))
    close_all(open_listeners("127.0.0.1", 0, limits=LIMITS))
    monkeypatch.setattr("web.server.listeners._open", failing(_open, errno.EADDRINUSE, PORT_TRIES))
    with pytest.raises(OSError, match="another program"):
        open_listeners("127.0.0.1", 0, limits=LIMITS)


def test_an_address_family_that_the_machine_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
        lacking = failing(_open, number, 1, socket.AF_INET6)
        monkeypatch.setattr("web.server.listeners._open", lacking)
        [listener] = open_listeners("", 0, limits=LIMITS)
        with listener:
            assert listener.family == socket.AF_INET


def test_a_port_in_use_is_said_to_be() -> None:
    [listener] = open_listeners("127.0.0.1", 0, limits=LIMITS)
    port = listener.getsockname()[1]
    with listener, pytest.raises(OSError) as caught:
        open_listeners("127.0.0.1", port, limits=LIMITS)
    assert caught.value.errno == errno.EADDRINUSE
    assert caught.value.strerror == (
        f"cannot listen on 127.0.0.1 port {port}: another program listens on it already"
    )


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("192.0.2.1", 0, "cannot listen on 192.0.2.1 port 0: no interface of this machine has this address"),
        ("no.such.name.invalid", 80, "cannot listen on no.such.name.invalid port 80: "),
        ("127.0.0.1", 65_536, "cannot listen on 127.0.0.1 port 65536: expected a port from 0 to 65535"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_refused(host: str, port: int, text: str) -> None:
    with pytest.raises(OSError) as caught:
        open_listeners(host, port, limits=LIMITS)
    assert (caught.value.strerror or "").startswith(text)


def test_a_port_can_be_listened_on_again_at_once() -> None:
    """Although a connection of the last run is in TIME_WAIT."""
    [listener] = open_listeners("127.0.0.1", 0, limits=LIMITS)
    address = listener.getsockname()
    client = socket.create_connection(address)
    accepted, _ = listener.accept()
    close_all([listener, accepted, client])
    close_all(open_listeners("127.0.0.1", address[1], limits=LIMITS))


async def test_a_crowd_that_comes_at_once_is_served() -> None:
    async with serving(echo_app()) as served, trio.open_nursery() as nursery:

        async def come() -> None:
            async with served.client() as client:
                assert await client.get() == (200, b"hello")

        for _ in range(150):
            nursery.start_soon(come)


@pytest.mark.parametrize(("number", "pause_s"), [(errno.EMFILE, NO_MORE_PAUSE_S), (errno.ECONNABORTED, 0)])
async def test_who_cannot_be_accepted_just_now_is_accepted_later(
    number: int, pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without descriptors the server pauses: the listener stays readable, and it would use a whole core."""
    accept, failed_at = socket.socket.accept, list[float]()

    def fail_twice(self: socket.socket) -> tuple[socket.socket, Any]:
        if len(failed_at) == 2:
            return accept(self)
        failed_at.append(trio.current_time())
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "accept", fail_twice)
    async with serving(echo_app()) as served, served.client() as client:
        assert await client.get() == (200, b"hello")
    assert failed_at[1] - failed_at[0] >= pause_s


def test_another_version_of_a_library_is_refused() -> None:
    with pytest.raises(ImportError, match=r"hypercorn 0\.1 and found 0\.18.*install 'hypercorn==0\.1\.\*'"):
        check_pins({"hypercorn": "0.1"})
    check_pins({"hypercorn": "0.18"})
