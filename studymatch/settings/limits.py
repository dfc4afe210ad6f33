"""Settings of the rate limits by person, by address and for everybody: token buckets."""

from __future__ import annotations

from dataclasses import dataclass

from studymatch.settings.kinds import setting


@dataclass(frozen=True, kw_only=True)
class LimitSettings:
    """Rate limits. `_per_s` is the rate in the long run, `_burst` what may come at once beyond it."""

    frames_per_s: float = setting(
        30.0,
        "Frames per second that a person may send in the long run, over all of their connections; the server "
        "refuses others.",
        least=1,
    )
    frames_burst: int = setting(200, "Frames that a person may send at once beyond that.", least=10)
    address_frames_per_s: float = setting(
        3000.0,
        "Frames per second from one address (IPv6: one /64) in the long run: a thousand people who set up "
        "calls send a third of it.",
        least=1,
    )
    address_frames_burst: int = setting(30_000, "Frames from one address at once beyond that.", least=10)
    signals_per_s: float = setting(
        10.0,
        "Signals per second that a person may send, apart from answers; each costs the partner's browser "
        "work.",
        least=1,
    )
    signals_burst: int = setting(
        150, "Such signals at once beyond that: a call and two restarts have 100 at most.", least=10
    )
    guests_per_s: float = setting(
        300.0,
        "New guests per second in all, in the long run: a quarter of what one core can create.",
        least=0.01,
    )
    guests_burst: int = setting(3000, "New guests in all at once beyond that.", least=1)
    address_guests_per_s: float = setting(
        5.0, "New guests per second from one address in the long run.", least=0.001
    )
    address_guests_burst: int = setting(
        1500, "New guests from one address at once: enough for a school of a thousand.", least=1
    )
    hellos_per_s: float = setting(
        1000.0,
        "People per second who may connect in all, in the long run; those who resume are not counted. A "
        "quarter of what one core can accept.",
        least=0.01,
    )
    hellos_burst: int = setting(10_000, "People in all who may connect at once beyond that.", least=1)
    address_hellos_per_s: float = setting(
        20.0, "People per second who may connect from one address in the long run.", least=0.001
    )
    address_hellos_burst: int = setting(
        3000,
        "People who may connect from one address at once: enough for a school of a thousand, three times.",
        least=1,
    )
    person_hellos_per_s: float = setting(
        0.5,
        "Connections per second of one person in the long run: a page on a bad network has fewer.",
        least=0.001,
    )
    person_hellos_burst: int = setting(30, "Connections of one person at once beyond that.", least=1)
    searches_per_s: float = setting(
        1000.0, "Searches per second that people start, in all, in the long run.", least=0.01
    )
    searches_burst: int = setting(10_000, "Searches in all at once beyond that.", least=1)
    address_searches_per_s: float = setting(
        50.0, "Searches per second from one address in the long run.", least=0.001
    )
    address_searches_burst: int = setting(
        5000, "Searches from one address at once: enough for a school of a thousand, several times.", least=1
    )
    person_searches_per_s: float = setting(
        0.5, "Searches per second that one person may start in the long run.", least=0.001
    )
    person_searches_burst: int = setting(30, "Searches of one person at once beyond that.", least=1)
    skips_per_s: float = setting(
        1 / 60,
        "Matches left before they became calls: how many per second a person's count falls by.",
        least=0.0001,
    )
    skips_burst: int = setting(
        10, "Such matches of a person that cost nothing; each one beyond them doubles the wait.", least=1
    )
    address_skips_per_s: float = setting(
        1.0,
        "Matches left before they became calls: how many per second the count of an address falls by; each "
        "call lowers it further.",
        least=0.0001,
    )
    address_skips_burst: int = setting(
        300,
        "Such matches from one address that cost nothing. Beyond them, people from there who have not been "
        "in a call have to wait.",
        least=1,
    )
    skip_wait_s: float = setting(
        1.0, "Seconds of the first such wait, which doubles from there on.", least=0.1
    )
    skip_wait_max_s: float = setting(60.0, "Seconds of the longest such wait.", least=0.1)
    address_wait_s: float = setting(
        5.0,
        "Seconds for which newcomers from an address are refused after the server closed a connection from "
        "there that was far beyond a limit.",
        least=0.1,
    )
