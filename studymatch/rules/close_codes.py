"""The codes with which the server closes a WebSocket, their meanings, and what a client does then. Pure."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class CloseCode(IntEnum):
    """Why the server closes a WebSocket, and what the browser does then."""

    NO_HELLO = 4400
    BAD_TOKEN = 4401
    HELLO_TIMEOUT = 4408
    CONNECTED_ELSEWHERE = 4409
    TOO_MANY = 4429
    RESTARTING = 4503
    TOO_BIG = 1009
    CRASHED = 1011


class AfterClose(StrEnum):
    """What a client does after the server has closed its connection."""

    STOP = "stop"
    RENEW = "renew"
    SOON = "soon"
    SCATTERED = "scattered"
    LATER = "later"


AFTER_CLOSE: dict[AfterClose, str] = {
    AfterClose.STOP: "stops, and says why",
    AfterClose.RENEW: "gets a new identity",
    AfterClose.SOON: "reconnects with backoff",
    AfterClose.SCATTERED: "reconnects with jitter and resumes",
    AfterClose.LATER: "reconnects later",
}
"""What the client does in each of these cases."""

CLOSE_MEANINGS: dict[CloseCode, tuple[str, AfterClose]] = {
    CloseCode.NO_HELLO: ("no valid `hello`, or too many malformed frames", AfterClose.STOP),
    CloseCode.BAD_TOKEN: (
        "the token is invalid, or has expired and `resume` leads to nobody",
        AfterClose.RENEW,
    ),
    CloseCode.HELLO_TIMEOUT: ("no `hello` in time", AfterClose.SOON),
    CloseCode.CONNECTED_ELSEWHERE: (
        "the same person connected elsewhere; the newest connection wins",
        AfterClose.STOP,
    ),
    CloseCode.TOO_MANY: ("far beyond the rate limits", AfterClose.LATER),
    CloseCode.RESTARTING: ("the server is restarting", AfterClose.SCATTERED),
    CloseCode.TOO_BIG: ("a message over 64 KiB", AfterClose.STOP),
    CloseCode.CRASHED: ("the server failed this one person", AfterClose.SOON),
}
"""What each close code means, and what the client does then."""
