"""The sentences that people read when a session is over: what happened, and what to do next.

Pure, and the only place with such sentences, so that they can be read together.
"""

from __future__ import annotations

from studymatch.lifecycle import Cause, State


def of_ending(cause: Cause, partner: str, *, searches_again: bool) -> str:
    """One sentence or two about the end of a session with `partner`."""
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
        case Cause.CONNECT_TIMEOUT if searches_again:
            return f"The call with {partner} could not be set up in time."
        case Cause.CONNECT_FAILED if searches_again:
            return f"{partner}'s browser could not set up the call."
        case Cause.CONNECT_TIMEOUT:
            return (
                f"The call with {partner} could not be set up in time. "
                "Check your camera, microphone and network, then press Find Partner."
            )
        case Cause.CONNECT_FAILED:
            return (
                f"Your browser could not set up the call with {partner}. "
                "Check your camera, microphone and network, then press Find Partner."
            )
        case Cause.MATCHED | Cause.CONNECTED | Cause.CANCELLED:
            raise ValueError(f"{cause} is not the end of a session")


def of_refusal(frame: str, state: State) -> str:
    """Why a frame of type `frame` changes nothing in `state`."""
    return f"“{frame}” means nothing while {state}; nothing was changed."
