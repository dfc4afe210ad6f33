"""The sentences that people read when something is over or lost: what happened, and what to do next.

Pure. All such sentences are here, so that they can be reviewed together.
"""

from __future__ import annotations

from math import ceil

from studymatch.rules.lifecycle import Cause, State
from studymatch.rules.waits import Wait, Why

MISSED = "While you were away, more was said to you than could be kept. The rest of it is lost."
"""For a person who reconnects."""

REASONS = {
    Why.SKIPS: "You left several people before a call came about.",
    Why.NETWORK_SKIPS: "Many people on your network left others before a call came about.",
    Why.OFTEN: "That was very often in a short time.",
    Why.NETWORK_OFTEN: "Very many requests came from your network.",
    Why.FULL: "Very many people are arriving at the moment.",
}

CHECK = "Check your camera, microphone and network, then press Find Partner."
"""For a person whose search does not go on by itself after a call could not be set up."""


def of_wait(wait: Wait) -> str:
    """Why the person has to wait, and for how long."""
    return f"{REASONS[wait.why]} Please try again in {_seconds(wait.s)}."


def _seconds(seconds: float) -> str:
    whole = max(1, ceil(seconds))
    return f"{whole} second{'s' if whole > 1 else ''}"


def of_ending(cause: Cause, partner: str, *, searches_again: bool, longer: Wait | None = None) -> str:
    """One or two sentences about the end of a session with `partner`.

    `longer`: why the next search begins later than usual, and when it begins.
    """
    said = _of_ending(cause, partner, searches_again=searches_again)
    if longer is None:
        return said
    return f"{said} {REASONS[longer.why]} The next search begins in {_seconds(longer.s)}."


def _of_ending(cause: Cause, partner: str, *, searches_again: bool) -> str:
    match cause:
        case Cause.SKIPPED:
            return f"You skipped {partner}."
        case Cause.PARTNER_SKIPPED:
            return f"{partner} went on to the next person."
        case Cause.ENDED:
            return f"You ended the session with {partner}."
        case Cause.PARTNER_ENDED:
            return f"{partner} ended the session."
        case Cause.PARTNER_LOST:
            return f"{partner} lost their connection."
        case Cause.RESTARTING:
            return f"The server restarted, and the session with {partner} could not go on."
        case Cause.CONNECT_TIMEOUT | Cause.CONNECT_FAILED:
            return _of_no_call(cause, partner, searches_again=searches_again)
        case Cause.MATCHED | Cause.CONNECTED | Cause.CANCELLED:
            raise ValueError(f"{cause} is not the end of a session")


def _of_no_call(cause: Cause, partner: str, *, searches_again: bool) -> str:
    if cause is Cause.CONNECT_TIMEOUT:
        late = f"The call with {partner} could not be set up in time."
        return late if searches_again else f"{late} {CHECK}"
    if searches_again:
        return f"{partner}'s browser could not set up the call."
    return f"Your browser could not set up the call with {partner}. {CHECK}"


def of_refusal(frame: str, state: State) -> str:
    """Why a frame of type `frame` changes nothing in `state`."""
    return f"“{frame}” means nothing while {state}; nothing was changed."
