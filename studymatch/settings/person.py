"""What a person's actor needs."""

from __future__ import annotations

from dataclasses import dataclass

from studymatch.rules.protocol import IceServer
from studymatch.settings.kinds import setting


@dataclass(frozen=True, kw_only=True)
class PersonSettings:
    """What a person's actor needs. Durations are seconds."""

    ice_server: tuple[IceServer, ...] = setting(
        (),
        "STUN or TURN server for the browsers, as a URL (stun:host:port) or as JSON "
        '({"urls": ["turn:…"], "username": "…", "credential": "…"}); may be given several times, '
        "in the environment with blanks in between, or as a JSON list. "
        "Without one, calls work on the local network and wherever browsers reach each other directly.",
    )
    connect_limit_s: float = setting(15.0, "Seconds within which a match must become a call.", least=0.1)
    search_again_s: float = setting(
        0.5, "Seconds between the end of a session and the next search.", least=0.0
    )
    grace_s: float = setting(
        15.0, "Seconds within which a person whose connection dropped can come back.", least=0.0
    )
    reload_grace_s: float = setting(
        5.0,
        "Seconds within which a page that is reloaded in a session can come back; a page that is closed has "
        "ended the session then. For as long, people without a connection count as being here. At most "
        "--grace-s: more counts as that.",
        least=0.0,
    )
    apart_s: float = setting(
        5.0,
        "Seconds that two people who met recently wait for somebody else, before they are offered to each "
        "other again.",
        least=0.0,
    )
    apart_max: int = setting(16, "How many of their last partners a person is kept apart from.", least=0)
    heartbeat_s: float = setting(
        25.0,
        "Seconds of silence after which a browser pings; after 2.5 times that it counts as away.",
        least=0.1,
        most=1_000_000,  # a browser's timer takes 2**31 milliseconds; with more it fires at once
    )
    presence_every_s: float = setting(
        5.0, "Seconds between two counts of the people who are here.", least=0.1
    )
    answers_per_s: float = setting(
        60.0,
        "Signals and texts a second that a person may send in answer to their partner's; they do not count "
        "as their own, so that no partner can use those up.",
        least=1,
    )
    answers_burst: int = setting(400, "Such answers at once beyond that.", least=10)
    outbox_max: int = setting(
        256, "Frames that are kept for a person whose connection dropped, or who does not read.", least=16
    )
    outbox_max_bytes: int = setting(1024 * 1024, "Bytes of such frames.", least=128 * 1024)

    @property
    def closed_page_grace_s(self) -> float:
        """Seconds that a page which said that it goes is waited for: never longer than one that is lost."""
        return min(self.reload_grace_s, self.grace_s)
