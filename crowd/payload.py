"""The payload of a visitor's signal: of the size of a browser's, with what the partner checks and needs."""

from __future__ import annotations

from time import monotonic

DESCRIPTION_BYTES = 2400
"""The size of an offer or an answer with the codecs of today's browsers."""
CANDIDATES_BYTES = 600
"""The size of a batch of three candidates."""
DESCRIPTION = b"v=0 a=rtpmap:111 opus/48000/2 a=fmtp:111 minptime=10 " * 100


def signal_payload(number: int, by: str, to: str, *, leaves: bool, dwell_s: float) -> bytes:
    """The JSON of the signal `number` of a session: 1 is an offer or an answer, others are candidates.

    `leaves`: whether the sender is the one who leaves the call, after `dwell_s` seconds.
    """
    size = DESCRIPTION_BYTES if number == 1 else CANDIDATES_BYTES
    return b'{"t":%.6f,"n":%d,"by":"%b","to":"%b","leaver":%b,"dwell_s":%.3f,"sdp":"%b"}' % (
        monotonic(),
        number,
        by.encode(),
        to.encode(),
        b"true" if leaves else b"false",
        dwell_s,
        DESCRIPTION[: size - 200],
    )
