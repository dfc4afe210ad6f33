"""Every setting there is, with its default, its unit and what it is for, in one place.

The command line is made from these fields: ``grace_s`` is the option ``--grace-s`` and the environment
variable ``STUDYMATCH_GRACE_S``. A unit is the last part of the name (``_s``: seconds), or said in the
help. Values are checked here, so that a bad one is refused in the same words wherever it came from.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import msgspec

from studymatch.protocol import IceServer


def _setting(default: Any, help: str, *, least: float | None = None, choices: tuple[str, ...] = ()) -> Any:  # noqa: A002
    metadata = {"help": help, "least": least, "choices": choices}
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

    host: str = _setting("127.0.0.1", "Address to listen on; 0.0.0.0 or :: for every one of this machine.")
    port: int = _setting(8000, "TCP port to listen on; 0 lets the system choose a free one.", least=0)
    origin: tuple[str, ...] = _setting(
        (),
        "Origin of a page that may connect, like https://study.example; may be given several times. "
        "Without it, only pages that were loaded from the very host and port they connect to.",
    )
    database_url: str | None = _setting(
        None,
        "PostgreSQL to record sessions in, like postgresql://user@host/name. "
        "Without it, a private PostgreSQL is started in the data folder.",
    )
    data_dir: str | None = _setting(
        None,
        "Folder for the private PostgreSQL, the signing key, and what waits for an unreachable database. "
        "Without it, ~/.local/share/studymatch, or /var/lib/studymatch for root.",
    )
    secret: str | None = _setting(
        None,
        "Key that signs the tokens of guests, at least 16 characters, the same on every machine behind one "
        "address. Without it, one is made and kept in the data folder.",
    )
    ice_server: tuple[IceServer, ...] = _setting(
        (),
        "STUN or TURN server for the browsers, as a URL (stun:host:port) or as JSON "
        '({"urls": ["turn:…"], "username": "…", "credential": "…"}); may be given several times. '
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
    )
    hello_limit_s: float = _setting(5.0, "Seconds a new connection has for its first frame.", least=0.1)
    presence_every_s: float = _setting(
        5.0, "Seconds between two counts of the people who are here.", least=0.1
    )
    token_life_s: float = _setting(30 * 24 * 3600.0, "Seconds for which a guest's token is valid.", least=60)
    frames_per_s: float = _setting(
        30.0, "Frames a second that a browser may send in the long run; others are refused.", least=1
    )
    frames_burst: int = _setting(200, "Frames that a browser may send at once beyond that.", least=10)
    outbox_max: int = _setting(
        256, "Frames that are kept for a person whose connection dropped, or who does not read.", least=16
    )
    outbox_max_bytes: int = _setting(1024 * 1024, "Bytes of such frames.", least=128 * 1024)
    stop_limit_s: float = _setting(
        8.0, "Seconds that stopping may take before connections are closed by force.", least=0.5
    )

    def __post_init__(self) -> None:
        for setting in fields(self):
            value, least = getattr(self, setting.name), setting.metadata["least"]
            choices = setting.metadata["choices"]
            if least is not None and not value >= least:
                raise SettingError(f"{option(setting.name)} expects at least {least:g}, got {value}")
            if choices and value not in choices:
                raise SettingError(
                    f"{option(setting.name)} expects one of {', '.join(choices)}; got {value!r}"
                )
        if self.port > 65535:
            raise SettingError(f"--port expects a number from 0 to 65535, got {self.port}")
        if self.secret is not None and len(self.secret) < 16:
            raise SettingError(f"--secret expects at least 16 characters, got {len(self.secret)}")


def option(name: str) -> str:
    """The command line option of the setting `name`."""
    return "--" + name.replace("_", "-")


def read_ice_server(text: str) -> IceServer:
    """An ICE server as given on the command line: a URL, or a JSON object as RTCIceServer has it.

    Raises:
        SettingError: it is neither.
    """
    try:
        server = msgspec.json.decode(text, type=IceServer) if text.startswith("{") else IceServer([text])
    except msgspec.DecodeError as error:
        raise SettingError(f"--ice-server expects a URL or a JSON object with urls: {error}") from None
    for url in server.urls:
        if url.partition(":")[0] not in ("stun", "stuns", "turn", "turns"):
            raise SettingError(f"--ice-server expects stun:, stuns:, turn: or turns: URLs, got {url!r}")
    return server
