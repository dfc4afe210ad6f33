"""Settings of a person's actor."""

from __future__ import annotations

from dataclasses import dataclass

from studymatch.rules.protocol import IceServer
from studymatch.settings.kinds import setting


@dataclass(frozen=True, kw_only=True)
class PersonSettings:
    """Settings of a person's actor. Durations are seconds."""

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
        "Seconds within which a page that is reloaded in a session can come back; after them a closed page "
        "has ended the session. People without a connection count as being here for as long. Values above "
        "--grace-s have no effect.",
        least=0.0,
    )
    apart_s: float = setting(
        5.0,
        "Seconds that two people who met recently wait for somebody else before they are matched again.",
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
        "Signals and texts per second that a person may send in answer to their partner; they do not count "
        "as --frames-per-s, so a partner cannot use that up.",
        least=1,
    )
    answers_burst: int = setting(400, "Such answers at once beyond that.", least=10)
    outbox_max: int = setting(
        256, "Frames that are kept for a person whose connection dropped, or who does not read.", least=16
    )
    outbox_max_bytes: int = setting(1024 * 1024, "Bytes of such frames.", least=128 * 1024)

    @property
    def closed_page_grace_s(self) -> float:
        """Seconds that the server waits for a page after `leaving`: at most as long as for a lost one."""
        return min(self.reload_grace_s, self.grace_s)
