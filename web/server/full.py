"""Answers connections for which a full server has no room: 503, or 200 for a request to `/healthz`.

If a liveness probe got 503, the orchestrator would kill a server that is full but healthy. So a few
connections beyond the limit are accepted, and only their first line is read, for a short time. If there are
too many of them, the oldest is closed: a probe sends its request as soon as it has connected, and is answered
at once.
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress

import trio

from web.server.answers import NOT_STORED, SECURITY_HEADERS, Answer, answer_for
from web.server.config import logger
from web.server.limits import ServerLimits

BESIDES_MAX = 64
"""The most connections beyond the limit: a third of the file descriptors reserved for other purposes."""

FIRST_LINE_MAX_BYTES = 4096

READS_MAX = 64
"""The most reads after the answer from a client that goes on sending; the data are dropped."""

_PROBE = re.compile(rb"(GET|HEAD) (?:https?://[^/? ]+)?/healthz(?:\?[^ ]*)? HTTP/1\.[01]\r?\n", re.I)

BUSY = answer_for(503, as_json=False, more=[("Retry-After", "5"), ("Connection", "close")]).as_bytes()
"""The answer if the server is full."""

TOO_MANY = answer_for(429, as_json=False, more=[("Retry-After", "5"), ("Connection", "close")]).as_bytes()
"""The answer to an address with too many connections, open or new."""

_BODY = b'{"status":"alive"}\n'
ALIVE = Answer(
    200,
    [
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(_BODY))),
        NOT_STORED,
        *SECURITY_HEADERS.items(),
        ("Connection", "close"),
    ],
    _BODY,
)
"""The answer to a liveness probe."""


class TurnedAway:
    """The connections beyond the limit of the server."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        self._scopes: dict[trio.CancelScope, None] = {}  # the oldest first

    def __len__(self) -> int:
        """The number of such connections."""
        return len(self._scopes)

    async def turn_away(self, sock: socket.socket, answer: bytes = BUSY) -> None:
        """Answer and close the connection, within twice `linger_s`. Owns `sock`."""
        if len(self._scopes) >= BESIDES_MAX:
            next(iter(self._scopes)).cancel()
        with sock, suppress(OSError), trio.CancelScope() as life:
            self._scopes[life] = None
            try:
                await self._answer(sock, answer)
            finally:
                del self._scopes[life]

    async def _answer(self, sock: socket.socket, answer: bytes) -> None:
        line = b""
        try:
            with trio.move_on_after(self._limits.linger_s):
                while b"\n" not in line and len(line) < FIRST_LINE_MAX_BYTES:
                    if not (data := await _receive(sock)):
                        break
                    line += data
        finally:
            sock.send(_answer_to(line, answer))
            sock.shutdown(socket.SHUT_WR)
        with trio.move_on_after(self._limits.linger_s):
            for _ in range(READS_MAX):
                await trio.lowlevel.checkpoint()  # lets other tasks run, however fast this client sends
                if not await _receive(sock):
                    return
            await trio.sleep_forever()  # so that the client can read the answer; TCP slows it down


def _answer_to(line: bytes, answer: bytes) -> bytes:
    probe = _PROBE.match(line)
    if probe is None:
        why = "the server is full" if answer is BUSY else "too many of one address"
        logger.warning("a connection was turned away: %s", why)
        return answer
    return (ALIVE if probe[1].upper() == b"GET" else ALIVE._replace(body=b"")).as_bytes()


async def _receive(sock: socket.socket) -> bytes:
    """The next data, empty at the end; they have often arrived already."""
    while True:
        try:
            return sock.recv(4096)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(sock)
