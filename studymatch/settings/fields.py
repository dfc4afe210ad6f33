"""Every setting there is, with its default, its unit and what it is for, in one place.

The command line is made from these fields: ``grace_s`` is the option ``--grace-s`` and the environment
variable ``STUDYMATCH_GRACE_S``. A unit is the last part of the name (``_s``: seconds), or said in the
help. Values are checked here, so that a bad one is refused in the same words wherever it came from; what two
of them must be to each other is in `studymatch.relations`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import Field, dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from studymatch.readings import read_database_url, read_host, read_network, read_origin, shown
from studymatch.relations import RELATIONS, Relation
from studymatch.rules.protocol import IceServer

MOST = 1e12
"""The largest number that is accepted: as many bytes, frames or seconds are as good as no limit."""

TEXT_MOST = 4096
"""Characters of a text: as many as a path can have."""

CONFIDENTIAL = ("secret", "database_url")
"""Settings of which no error repeats anything."""

SECRET_LEAST = 16
"""The least characters of a secret: 16 of base64 are 96 bits. Generated secrets have 43."""


def _setting(
    default: Any,
    help: str,  # noqa: A002
    *,
    least: float | None = None,
    most: float = MOST,
    choices: tuple[str, ...] = (),
    read: Callable[[str], str] | None = None,
) -> Any:
    metadata = {"help": help, "least": least, "most": most, "choices": choices, "read": read}
    if isinstance(default, tuple):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


class SettingError(ValueError):
    """A setting that cannot be used. The text names it, and says what was expected and what came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How one process of studymatch behaves. Durations are seconds.

    Raises:
        SettingError: a value is out of its range.
    """

    host: str = _setting(
        "127.0.0.1",
        "Address to listen on; 0.0.0.0 for every IPv4 address of this machine, :: for IPv4 and IPv6.",
        read=read_host,
    )
    port: int = _setting(
        8000, "TCP port to listen on; 0 lets the system choose a free one.", least=0, most=65_535
    )
    trusted_proxy: tuple[str, ...] = _setting(
        (),
        "Address or network (10.0.0.0/8) of a proxy of yours, whose X-Forwarded-For says where a request "
        "comes from; may be given several times. Limits per address count by what it says. Without it they "
        "count by the peer's address, and not at all for a peer on loopback.",
        read=read_network,
    )
    origin: tuple[str, ...] = _setting(
        (),
        "Origin of a page that may connect, like https://study.example; may be given several times, in the "
        "environment with blanks in between. Without it, only pages that were loaded from the very host and "
        "port they connect to.",
        read=read_origin,
    )
    database_url: str | None = _setting(
        None,
        "PostgreSQL to record sessions in, like postgresql://user@host/name. "
        "Without it, a private PostgreSQL is started in the data folder.",
        read=read_database_url,
    )
    data_dir: str | None = _setting(
        None,
        "Folder for the private PostgreSQL, the signing key, and what waits for an unreachable database. "
        "Without it, ~/.local/share/studymatch, or /var/lib/studymatch for root.",
    )
    secret: tuple[str, ...] = _setting(
        (),
        "Secret that signs the tokens of guests, at least 16 characters without blanks, the same on every "
        "machine behind one address; may be given several times (in the environment with blanks between): "
        "the first signs, and what any of them signed is valid. Others on this machine can see a command "
        "line. Without one, a secret is made and kept in the data folder.",
    )
    secret_file: tuple[str, ...] = _setting(
        (),
        "File with such secrets, one in each line, after those of --secret; may be given several times (in "
        "the environment with : between).",
    )
    ice_server: tuple[IceServer, ...] = _setting(
        (),
        "STUN or TURN server for the browsers, as a URL (stun:host:port) or as JSON "
        '({"urls": ["turn:…"], "username": "…", "credential": "…"}); may be given several times, '
        "in the environment with blanks in between, or as a JSON list. "
        "Without one, calls work on the local network and wherever browsers reach each other directly.",
    )
    log_level: str = _setting(
        "info", "Least severe kind of line to write.", choices=("debug", "info", "warning", "error")
    )
    log_format: str = _setting(
        "auto",
        "Lines for people (console), one JSON object a line (json), or by whether the output is a terminal.",
        choices=("auto", "console", "json"),
    )
    connect_limit_s: float = _setting(15.0, "Seconds within which a match must become a call.", least=0.1)
    search_again_s: float = _setting(
        0.5, "Seconds between the end of a session and the next search.", least=0.0
    )
    grace_s: float = _setting(
        15.0, "Seconds within which a person whose connection dropped can come back.", least=0.0
    )
    reload_grace_s: float = _setting(
        5.0,
        "Seconds within which a page that is reloaded in a session can come back; a page that is closed has "
        "ended the session then. For as long, people without a connection count as being here. At most "
        "--grace-s: more counts as that.",
        least=0.0,
    )
    apart_s: float = _setting(
        5.0,
        "Seconds that two people who met recently wait for somebody else, before they are offered to each "
        "other again.",
        least=0.0,
    )
    apart_max: int = _setting(16, "How many of their last partners a person is kept apart from.", least=0)
    heartbeat_s: float = _setting(
        25.0,
        "Seconds of silence after which a browser pings; after 2.5 times that it counts as away.",
        least=0.1,
        most=1_000_000,  # a browser's timer takes 2**31 milliseconds; with more it fires at once
    )
    hello_limit_s: float = _setting(5.0, "Seconds a new connection has for its first frame.", least=0.1)
    presence_every_s: float = _setting(
        5.0, "Seconds between two counts of the people who are here.", least=0.1
    )
    token_life_s: float = _setting(30 * 24 * 3600.0, "Seconds for which a guest's token is valid.", least=60)
    frames_per_s: float = _setting(
        30.0,
        "Frames a second that a person may send in the long run, over all of their connections; others are "
        "refused.",
        least=1,
    )
    frames_burst: int = _setting(200, "Frames that a person may send at once beyond that.", least=10)
    address_frames_per_s: float = _setting(
        3000.0,
        "Frames a second from one address (IPv6: one /64) in the long run: a thousand people who set up "
        "calls send a third of it.",
        least=1,
    )
    address_frames_burst: int = _setting(30_000, "Frames from one address at once beyond that.", least=10)
    signals_per_s: float = _setting(
        10.0,
        "Signals a second that a person may send of their own accord; the partner's browser has work with "
        "each.",
        least=1,
    )
    signals_burst: int = _setting(
        150, "Such signals at once beyond that: a call and two restarts have 100 at most.", least=10
    )
    answers_per_s: float = _setting(
        60.0,
        "Signals and texts a second that a person may send in answer to their partner's; they do not count "
        "as their own, so that no partner can use those up.",
        least=1,
    )
    answers_burst: int = _setting(400, "Such answers at once beyond that.", least=10)
    guests_per_s: float = _setting(
        300.0, "New guests a second in all, in the long run: a quarter of what one core can make.", least=0.01
    )
    guests_burst: int = _setting(3000, "New guests in all at once beyond that.", least=1)
    address_guests_per_s: float = _setting(
        5.0, "New guests a second from one address in the long run.", least=0.001
    )
    address_guests_burst: int = _setting(
        1500, "New guests from one address at once: a school of a thousand that arrives.", least=1
    )
    hellos_per_s: float = _setting(
        1000.0,
        "People a second who may come in all, in the long run; those who resume are not counted. A quarter "
        "of what one core can greet.",
        least=0.01,
    )
    hellos_burst: int = _setting(10_000, "People in all who may come at once beyond that.", least=1)
    address_hellos_per_s: float = _setting(
        20.0, "People a second who may come from one address in the long run.", least=0.001
    )
    address_hellos_burst: int = _setting(
        3000, "People who may come from one address at once: a school of a thousand, and again.", least=1
    )
    person_hellos_per_s: float = _setting(
        0.5,
        "Connections a second of one person in the long run: a page on a bad network has fewer.",
        least=0.001,
    )
    person_hellos_burst: int = _setting(30, "Connections of one person at once beyond that.", least=1)
    searches_per_s: float = _setting(
        1000.0, "Searches a second in all that are asked for, in the long run.", least=0.01
    )
    searches_burst: int = _setting(10_000, "Searches in all at once beyond that.", least=1)
    address_searches_per_s: float = _setting(
        50.0, "Searches a second from one address in the long run.", least=0.001
    )
    address_searches_burst: int = _setting(
        5000, "Searches from one address at once: a school of a thousand, some of whom look around.", least=1
    )
    person_searches_per_s: float = _setting(
        0.5, "Searches a second that one person may ask for in the long run.", least=0.001
    )
    person_searches_burst: int = _setting(30, "Searches of one person at once beyond that.", least=1)
    skips_per_s: float = _setting(
        1 / 60,
        "Matches left before a call came about that are forgiven a person, a second.",
        least=0.0001,
    )
    skips_burst: int = _setting(
        10, "Such matches of a person that cost nothing; beyond them each wait is twice as long.", least=1
    )
    address_skips_per_s: float = _setting(
        1.0,
        "Matches left before a call came about that are forgiven an address, a second; each call forgives "
        "some more.",
        least=0.0001,
    )
    address_skips_burst: int = _setting(
        300,
        "Such matches from one address that cost nothing. Beyond them its people who were not yet in a call "
        "wait.",
        least=1,
    )
    skip_wait_s: float = _setting(
        1.0, "Seconds of the first such wait, which doubles from there on.", least=0.1
    )
    skip_wait_max_s: float = _setting(60.0, "Seconds of the longest such wait.", least=0.1)
    address_wait_s: float = _setting(
        5.0,
        "Seconds for which newcomers from an address are refused when somebody there was hung up on for "
        "being far beyond a limit.",
        least=0.1,
    )
    address_connections_max: int = _setting(
        8000,
        "Connections of one address (IPv6: one /64) at a time: a school of a thousand, with a WebSocket each "
        "and six more while the page loads.",
        least=1,
    )
    address_connections_per_s: float = _setting(
        200.0, "New connections a second of one address in the long run.", least=0.01
    )
    address_connections_burst: int = _setting(
        8000, "New connections of one address at once: such a school that arrives.", least=1
    )
    address_requests_per_s: float = _setting(
        10.0,
        "HTTP requests a second of one address that are served whatever others ask for; a page has some "
        "twenty-five.",
        least=0.01,
    )
    address_requests_burst: int = _setting(200, "Such requests at once.", least=1)
    requests_per_s: float = _setting(
        400.0,
        "HTTP requests a second of all addresses beyond that: each takes about a millisecond.",
        least=0.01,
    )
    requests_burst: int = _setting(
        30_000, "Such requests at once: a school of a thousand that arrives.", least=1
    )
    outbox_max: int = _setting(
        256, "Frames that are kept for a person whose connection dropped, or who does not read.", least=16
    )
    outbox_max_bytes: int = _setting(1024 * 1024, "Bytes of such frames.", least=128 * 1024)
    stop_limit_s: float = _setting(
        8.0, "Seconds that stopping may take before connections are closed by force.", least=0.5, most=100
    )

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            _check(setting, value)
            if value is not None and setting.metadata["read"]:
                object.__setattr__(self, setting.name, _read(setting, value))
        for secret in self.secret:
            check_secret(secret, "--secret")
        for relation in RELATIONS:
            _check_relation(relation, getattr(self, relation.name), getattr(self, relation.other))

    @property
    def closed_page_grace_s(self) -> float:
        """Seconds that a page which said that it goes is waited for: never longer than one that is lost."""
        return min(self.reload_grace_s, self.grace_s)


def expected(setting: Field[Any]) -> str:
    """What values a setting takes, in words that follow "expects"."""
    least, most, choices = (setting.metadata[key] for key in ("least", "most", "choices"))
    if choices:
        return f"one of {', '.join(choices)}"
    if least is not None:
        kind = "a whole number" if setting.type == "int" else "a number"
        return f"{kind} from {_plain(least)} to {_plain(most)}"
    return f"a text that can be seen, of at most {TEXT_MOST} characters"


def _check(setting: Field[Any], value: Any) -> None:
    """Check a value, or each of several, for what its kind needs."""
    least, most, choices = (setting.metadata[key] for key in ("least", "most", "choices"))
    if least is not None and not least <= value <= most:
        raise _not_expected(setting, value)
    if choices and value not in choices:
        raise _not_expected(setting, value)
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and setting.name != "secret" and not _is_seen(text):
            raise _not_expected(setting, text)


def _read(setting: Field[Any], value: Any) -> Any:
    """What a text means, or each of several."""
    read = setting.metadata["read"]
    try:
        return tuple(map(read, value)) if isinstance(value, tuple) else read(value)
    except ValueError as error:
        raise SettingError(f"{option(setting.name)} expects {error}") from None


def _is_seen(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text) <= TEXT_MOST


def _not_expected(setting: Field[Any], value: object) -> SettingError:
    got = "" if setting.name in CONFIDENTIAL else f", got {shown(value)}"
    return SettingError(f"{option(setting.name)} expects {expected(setting)}{got}")


def _plain(number: float) -> str:
    """A number in digits, as far as it has any that matter."""
    return f"{number:.13g}"


def _check_relation(relation: Relation, value: float, other: float) -> None:
    least = relation.bound(other)
    if value < least:
        raise SettingError(
            f"{option(relation.name)} expects at least {_plain(least)} with "
            f"{option(relation.other)} {_plain(other)}, got {_plain(value)}: {relation.why}"
        )


def check_secret(secret: str, where: str) -> str:
    """Returns `secret`, if it is long enough and printable.

    Raises:
        SettingError: it is too short or too long, or has blanks or invisible characters, such as the zeros
            that a power failure leaves in a file. The text begins with `where`, and holds no secret.
    """
    length = len(secret.strip())
    if length < SECRET_LEAST:
        raise SettingError(f"{where} expects at least {SECRET_LEAST} characters, got {length}")
    if length > TEXT_MOST:
        raise SettingError(f"{where} expects at most {TEXT_MOST} characters, got {length}")
    if " " in secret or not secret.isprintable():
        raise SettingError(f"{where} expects characters that can be seen, and no blanks among them")
    return secret


def option(name: str) -> str:
    """The command line option of the setting `name`."""
    return "--" + name.replace("_", "-")


def unknown_variables(environment: Iterable[str]) -> dict[str, str | None]:
    """The variables that look like settings but are not, each with the one that was probably meant."""
    known = [f"STUDYMATCH_{setting.name.upper()}" for setting in fields(Settings)]
    ours = [name for name in environment if name.upper().startswith("STUDYMATCH_") and name not in known]
    return {
        name: next(iter(get_close_matches(name.upper(), known, n=1, cutoff=0.85)), None)
        for name in ours
        if not name.startswith("STUDYMATCH_CROWD_")
    }
