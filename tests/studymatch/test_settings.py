"""Every setting is understood, or refused in one sentence."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from studymatch.handover import LIFE_S as HANDOVER_LIFE_S
from studymatch.rules.protocol import IceServer
from studymatch.settings import SettingError, Settings, option, unknown_variables
from studymatch.settings.ice import read_ice_server, split_ice_servers
from studymatch.settings.origins import read_origin
from studymatch.settings.relations import RELATIONS, Relation
from tests.support.ice_servers import NOT_TAKEN, TAKEN
from web.app import may_connect


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("https://study.example", "https://study.example"),
        ("https://study.example/", "https://study.example"),
        (" HTTPS://Study.Example:443/ ", "https://study.example"),
        ("http://study.example:80", "http://study.example"),
        ("http://study.example:443", "http://study.example:443"),
        ("https://study.example:8443/", "https://study.example:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
        ("http://[0:0:0:0:0:0:0:1]:80", "http://[::1]"),
        ("https://müller.example", "https://xn--mller-kva.example"),
        ("https://xn--mller-kva.example", "https://xn--mller-kva.example"),
        ("http://localhost", "http://localhost"),
    ],
)
def test_an_origin_is_read_as_browsers_write_it(given: str, read: str) -> None:
    assert Settings(origin=(given,)).origin == (read,)
    assert may_connect(read, "another.example", Settings(origin=(given,)).origin)


@pytest.mark.parametrize(
    "given",
    [
        "",
        " ",
        "null",
        "*",
        "study.example",
        "study.example:443",
        "//study.example",
        "https:study.example",
        "https:///study.example",
        "https://",
        "https://*.study.example",
        "https://a.example,https://b.example",
        "https://a.example https://b.example",
        "https://a.example;",
        "https://study.example/page",
        "https://study.example//",
        "https://study.example?",
        "https://study.example?a",
        "https://study.example#",
        "https://user@study.example",
        "https://user:word@study.example",
        "https://study.example:0",
        "https://study.example:99999",
        "https://study.example:x",
        "https://-study.example",
        "https://study..example",
        "https://1.2.3.999",
        "https://straße.example",
        "https://" + "a" * 64 + ".example",
        "http://[::1",
        "http://[::1%25eth0]",
        "http://[v1.a]",
        "wss://study.example",
        "file://study.example",
        "https://study\\.example",
        "https://study.exa\x00mple",
        "https://study.exa\nmple",
    ],
    ids=ascii,
)
def test_what_no_page_has_as_its_origin_is_refused(given: str) -> None:
    with pytest.raises(SettingError, match=r"^--origin expects .*[;,] got "):
        Settings(origin=(given,))
    assert not may_connect(given, "study.example", ("https://study.example",))


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        (None, "study.example", True),
        ("https://study.example", "study.example", True),
        ("https://study.example", "study.example:443", True),
        ("https://study.example", "Study.Example", True),
        ("http://study.example:8000", "study.example:8000", True),
        ("http://study.example", "study.example:443", False),
        ("https://study.example:8443", "study.example", False),
        ("https://other.example", "study.example", False),
        ("null", "study.example", False),
        ("http://[::1", "[::1", False),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("ftp://study.example", "study.example", False),
    ],
)
def test_a_page_may_connect_to_the_host_that_it_came_from(origin: str | None, host: str, may: bool) -> None:
    assert may_connect(origin, host, ()) is may


@pytest.mark.parametrize("given", TAKEN)
def test_an_ice_server_that_every_browser_takes(given: str) -> None:
    assert read_ice_server(given).urls


@pytest.mark.parametrize("given", NOT_TAKEN, ids=lambda given: ascii(given[:40]))
def test_an_ice_server_that_would_make_a_browser_throw_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        read_ice_server(given)


@pytest.mark.parametrize(
    ("given", "servers"),
    [
        ("stun:a.example", ["stun:a.example"]),
        (" stun:a.example\n stun:b.example ", ["stun:a.example", "stun:b.example"]),
        ('{"urls": ["stun:a.example"]}', ["stun:a.example"]),
        ('stun:a.example {"urls": ["stun:b.example"]} stun:c.example', [f"stun:{c}.example" for c in "abc"]),
        ('["stun:a.example", {"urls": ["stun:b.example"]}]', ["stun:a.example", "stun:b.example"]),
    ],
)
def test_several_ice_servers_in_one_variable(given: str, servers: list[str]) -> None:
    assert [read_ice_server(text) for text in split_ice_servers(given)] == [IceServer([s]) for s in servers]


@pytest.mark.parametrize(
    "given", ['{"urls": ["stun:a', "[", '["stun:a.example"', "[7]", "[[]]", "[null]", "{} x"]
)
def test_what_is_cut_is_refused_and_not_passed_over(given: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        list(map(read_ice_server, split_ice_servers(given)))


NUMBERS = [setting for setting in fields(Settings) if setting.metadata["least"] is not None]


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)
@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), float("-inf"), -1, 1e400, 1e300, 10**5000], ids=range(7)
)
def test_a_number_that_is_none_or_beyond_use_is_refused(setting: Any, value: float) -> None:
    given: dict[str, Any] = {setting.name: value}
    with pytest.raises(SettingError, match=f"^{option(setting.name)} expects a (whole )?number from "):
        Settings(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"host": ""},
        {"host": " "},
        {"host": "a b"},
        {"host": "http://a"},
        {"host": "a\x00b"},
        {"data_dir": ""},
        {"data_dir": "/tmp/a\x00b"},
        {"database_url": ""},
        {"database_url": "postgresql://a\x00b"},
        {"host": "a" * 64},
        {"host": "a" * 5000},
        {"data_dir": "/" + "a" * 5000},
        {"secret_file": (" ",)},
        {"port": 65536},
        {"heartbeat_s": 2_147_484.0},
        {"stop_limit_s": HANDOVER_LIFE_S},
        {"log_level": "loud"},
    ],
    ids=ascii,
)
def test_what_can_never_work_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=r"^--[a-z-]+ expects "):
        Settings(**given)


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: f"{relation.name}-{relation.other}")
def test_settings_that_make_no_sense_together_are_refused_with_both_names_and_values(
    relation: Relation,
) -> None:
    given: dict[str, Any] = {}
    if relation.other == "heartbeat_s":
        given = {
            "heartbeat_s": 0.1,
            "signals_per_s": 1.0,
        }  # with the default nothing else is as low as a ping
    other = getattr(Settings(**given), relation.other)
    bound = relation.bound(other)
    assert Settings(**given | {relation.name: bound})
    with pytest.raises(SettingError) as refusal:
        Settings(**given | {relation.name: bound * 0.99})
    assert str(refusal.value) == (
        f"{option(relation.name)} expects at least {bound:.13g} with {option(relation.other)} {other:.13g}, "
        f"got {bound * 0.99:.13g}: {relation.why}"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("nonsense", "something like postgresql://"),
        ("mysql://ada:hunter2@db.example/study", "something like postgresql://"),
        ("http://ada:hunter2@db.example/study", "something like postgresql://"),
        ("postgresql://ada:hunter2/@db.example/study", "something like postgresql://"),
        ("postgresql://ada:hunter2@db.example:70000/study", "a port from 1 to 65535"),
        ("postgresql://ada:hunter2@db.example:0/study", "a port from 1 to 65535"),
        ("postgresql://ada:hunter2@db.example/study?nonsense=hunter2", "something like postgresql://"),
        (
            "postgresql://ada:hunter2@db.example/study?sslmode=hunter2",
            r".*\(invalid sslmode value: …",
        ),
        ("postgresql://ada:hunter2@db.example/study?connect_timeout=x", "a whole number as connect_timeout"),
        (
            "host=a,b port=1,2,3 password=hunter2",
            r".*\(could not match 3 port numbers to 2 hosts",
        ),
        ("host=db.example password='hunter2", "something like postgresql://"),
    ],
)
def test_what_is_no_address_of_a_database_is_refused_without_its_password(given: str, expected: str) -> None:
    with pytest.raises(SettingError, match=f"^--database-url expects {expected}") as refusal:
        Settings(database_url=given)
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(
    "given",
    [
        "postgresql://",
        "postgres://ada@db.example/study",
        "postgresql://ada:p%40ss@[::1]:5432/study?sslmode=require&connect_timeout=5",
        "postgresql://ada@a.example:1,b.example:2/study?target_session_attrs=primary",
        "postgresql:///study?host=/run/postgresql",
        "host=/run/postgresql dbname=study user=ada password='a b'",
        "hostaddr=127.0.0.1",
    ],
)
def test_an_address_of_a_database_that_libpq_takes(given: str) -> None:
    assert Settings(database_url=given).database_url == given


def test_a_variable_that_is_no_setting_is_told_with_what_was_perhaps_meant() -> None:
    given = [
        "PATH",
        "STUDYMATCH_ORIGIN",
        "STUDYMATCH_ORIGINS",
        "STUDYMATCH_CROWD_URL",
        "STUDYMATCH_QQQQQQQQQQ",
    ]
    assert unknown_variables(given) == {
        "STUDYMATCH_ORIGINS": "STUDYMATCH_ORIGIN",
        "STUDYMATCH_QQQQQQQQQQ": None,
    }


def test_an_origin_that_was_read_is_read_as_it_is() -> None:
    assert read_origin(read_origin("HTTP://[::FFFF:1.2.3.4]:80/")) == read_origin("http://[::ffff:1.2.3.4]")


def test_a_page_that_is_closed_is_never_waited_for_longer_than_one_that_is_lost() -> None:
    assert Settings(grace_s=2.0).closed_page_grace_s == 2.0
    assert Settings(grace_s=20.0, reload_grace_s=3.0).closed_page_grace_s == 3.0
