"""Whose request it is: the address of a client behind proxies, and under what it is counted."""

import pytest

from tests.support.echo import echo_app, serving
from web.server.addresses import TrustedProxies, budget_key, read_network

TRUSTED = TrustedProxies([read_network(text) for text in ("127.0.0.1", "10.0.0.0/8", "fd00::/8")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", [b"203.0.113.9"], "192.0.2.1"),  # it is not trusted
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        ("::ffff:127.0.0.1", [b"203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", [b"198.51.100.1, 203.0.113.9"], "203.0.113.9"),  # the client made the first one up
        ("127.0.0.1", [b"198.51.100.1", b"203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", [b"203.0.113.9, 10.1.2.3"], "203.0.113.9"),  # through two proxies
        ("127.0.0.1", [b"10.9.9.9, 10.1.2.3"], "10.9.9.9"),
        ("127.0.0.1", [b"203.0.113.9:4711"], "203.0.113.9"),
        ("127.0.0.1", [b'"[2001:db8::1]:4711"'], "2001:db8::1"),
        ("127.0.0.1", [b"::ffff:203.0.113.9"], "203.0.113.9"),
        ("fd00::1", [b"2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", [b"203.0.113.9, unknown"], "127.0.0.1"),  # nobody knows for whom it asks
        ("127.0.0.1", [b"203.0.113.9, unknown, 10.1.2.3"], "10.1.2.3"),
        ("127.0.0.1", [b""], "127.0.0.1"),
        ("127.0.0.1", [b"\xff\x00, ,"], "127.0.0.1"),
        ("127.0.0.1", [b"203.0.113.9," * 100_000 + b"10.1.2.3"], "203.0.113.9"),
        ("", [b"203.0.113.9"], ""),  # a Unix socket
    ],
)
def test_the_client_is_the_last_one_whom_a_trusted_proxy_saw(
    peer: str, forwarded: list[bytes], client: str
) -> None:
    assert TRUSTED.client_of(peer, forwarded) == client


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", None),
        ("127.9.9.9", None),
        ("::1", None),
        ("::ffff:127.0.0.1", None),
        ("", None),
        (None, None),
        ("<local>", None),
    ],
)
def test_a_client_is_counted_by_its_address_or_its_network(host: str | None, key: str | None) -> None:
    assert budget_key(host) == key


def test_a_header_that_is_ignored_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    proxies = TrustedProxies()
    for _ in range(3):
        assert proxies.client_of("127.0.0.1", [b"203.0.113.9"]) == "127.0.0.1"
    (line,) = caplog.messages
    assert "--trusted-proxy 127.0.0.1" in line
    assert "203.0.113.9" not in line


def test_of_a_peer_elsewhere_no_address_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert TrustedProxies().client_of("198.51.100.7", [b"203.0.113.9"]) == "198.51.100.7"
    (line,) = caplog.messages
    assert "198.51.100.7" not in line
    assert "203.0.113.9" not in line


@pytest.mark.parametrize("text", ["", "localhost", "10.0.0.0/33", "1.2.3", "unix:"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_network(text)


@pytest.mark.parametrize(("trusted", "seen"), [(["127.0.0.1"], b"203.0.113.9"), ([], b"127.0.0.1")])
async def test_the_app_finds_the_clients_own_address(trusted: list[str], seen: bytes) -> None:
    proxies = TrustedProxies(map(read_network, trusted))
    async with serving(echo_app(), proxies=proxies) as served, served.client() as client:
        head = b"GET /client HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
        status, _, body = await client.request(head)
        assert (status, body) == (200, seen)
