"""One visitor's WebSocket: connects, does the handshake, sends and receives, and reports how it ended.

It owns the socket. It calls its owner for each event, and makes no more calls after `drop`.
"""

from __future__ import annotations

import errno
import socket
import ssl
from contextlib import suppress
from typing import Protocol

from crowd.loop import READ, WRITE, Loop, source_socket
from crowd.target import Target
from crowd.wire import (
    CLOSE,
    PING,
    PONG,
    ForbiddenError,
    MessageReader,
    WireError,
    accepted,
    frame,
    handshake,
)

_RECEIVE_BYTES = 64 * 1024

NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Owner(Protocol):
    """The owner of a connection, which receives its events."""

    def opened(self) -> None: ...
    def heard(self, payload: bytes) -> None: ...
    def lost(self, why: str) -> None: ...
    def forbidden(self, why: str) -> None: ...


class Connection:
    """A WebSocket to `target`, which connects at once. `source` is the local address; None: any."""

    __slots__ = (
        "_events",
        "_head",
        "_key",
        "_loop",
        "_owner",
        "_reader",
        "_request",
        "_secret",
        "_socket",
        "_target",
        "_unsent",
    )

    def __init__(
        self, loop: Loop, owner: Owner, target: Target, path: str, source: str | None, *, deflate: bool
    ) -> None:
        self._loop = loop
        self._owner = owner
        self._target = target
        self._secret: ssl.SSLSocket | None = None  # the same socket, during the TLS handshake
        self._request, self._key = handshake(target.host, path, deflate=deflate, origin=target.origin)
        self._head = b""
        self._reader: MessageReader | None = None
        self._unsent = b""
        self._socket: socket.socket | None = source_socket(target.family, (source, 0) if source else None)
        self._events = WRITE
        failure = self._socket.connect_ex(target.address)
        self._loop.watch(self._socket, WRITE, self._ready)
        if failure not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
            loop.after(0, lambda: self._end(errno.errorcode.get(failure, str(failure))))

    def send(self, payload: bytes) -> None:
        """Send one text message."""
        self._write(frame(payload))

    def freeze(self) -> None:
        """Read and write nothing more, but keep the connection, like a computer that has gone to sleep."""
        if self._socket is not None and self._events:
            self._loop.forget(self._socket)
            self._events = 0

    def drop(self, goodbye: int | None = None) -> None:
        """Close the connection, after a close frame with the code `goodbye`, if given."""
        if self._socket is None:
            return
        if goodbye is not None and self._reader is not None and not self._unsent:
            with suppress(OSError):  # a failed TLS handshake among them
                self._socket.send(frame(goodbye.to_bytes(2, "big"), CLOSE))
        if self._events:
            self._loop.forget(self._socket)
        self._socket.close()
        self._socket = None

    def _end(self, why: str) -> None:
        if self._socket is not None:
            self.drop()
            self._owner.lost(why)

    def _ready(self, events: int) -> None:
        if self._secret is not None:
            self._agree(self._secret)
            return
        if events & WRITE:
            self._flush()
        if events & READ and self._socket is not None:
            self._read()

    def _write(self, data: bytes) -> None:
        if self._socket is None or not self._events:
            return
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data)
        except NOT_YET:
            sent = 0
        except OSError as error:
            self._fail(error)
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._want(READ | WRITE)

    def _fail(self, error: OSError) -> None:
        """Report the error in the next turn, because the owner is still inside `send`."""
        why = errno.errorcode.get(error.errno or 0, str(error))
        self._loop.after(0, lambda: self._end(why))

    def _flush(self) -> None:
        assert self._socket is not None
        if self._request:
            failure = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failure:
                self._end(errno.errorcode.get(failure, str(failure)))
                return
            context = self._target.tls()
            if context is not None and not isinstance(self._socket, ssl.SSLSocket):
                self._begin_tls(context, self._socket)
                return
            data, self._request = self._request, b""
        else:
            data, self._unsent = self._unsent, b""
        self._want(READ)
        if data:
            self._write(data)

    def _begin_tls(self, context: ssl.SSLContext, plain: socket.socket) -> None:
        self._loop.forget(plain)
        self._secret = self._socket = context.wrap_socket(
            plain, server_hostname=self._target.name, do_handshake_on_connect=False
        )
        self._events = READ
        self._loop.watch(self._socket, READ, self._ready)
        self._agree(self._secret)

    def _agree(self, secret: ssl.SSLSocket) -> None:
        """Do one step of the TLS handshake."""
        try:
            secret.do_handshake()
        except ssl.SSLWantReadError:
            self._want(READ)
        except ssl.SSLWantWriteError:
            self._want(WRITE)
        except OSError as error:
            self._end(f"TLS: {getattr(error, 'verify_message', None) or error.strerror or error}")
        else:
            self._secret = None
            self._flush()

    def _want(self, events: int) -> None:
        if self._socket is not None and events != self._events:
            self._loop.rewatch(self._socket, events, self._ready)
            self._events = events

    def _read(self) -> None:
        """Read what has arrived; with TLS all of it, because the poller does not see TLS's buffer."""
        self._read_some()
        while isinstance(self._socket, ssl.SSLSocket) and self._events and self._socket.pending():
            self._read_some()

    def _read_some(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except NOT_YET:
            return
        except OSError as error:
            self._end(errno.errorcode.get(error.errno or 0, str(error)))
            return
        if not data:
            self._end("closed without a goodbye")
            return
        try:
            if self._reader is None:
                data = self._shake_hands(self._head + data)
            if self._reader is not None and data:
                self._hand_on(self._reader.feed(data))
        except ForbiddenError as error:
            self.drop()
            self._owner.forbidden(str(error))
        except WireError as error:
            self._end(str(error))

    def _shake_hands(self, data: bytes) -> bytes:
        """Read the answer to the handshake, and return the bytes after it; empty while it is incomplete."""
        answer = accepted(data, self._key)
        if answer is None:
            self._head = data
            return b""
        self._head = b""
        self._reader = MessageReader(deflate=answer.deflate)
        self._owner.opened()
        return data[answer.size :]

    def _hand_on(self, messages: list[tuple[int, bytes]]) -> None:
        for opcode, payload in messages:
            if self._socket is None or not self._events:
                return
            if opcode < CLOSE:
                self._owner.heard(payload)
            elif opcode == PING:
                self._write(frame(payload, PONG))
            elif opcode == CLOSE:
                code = int.from_bytes(payload[:2], "big") if payload else 1005
                self._end(f"closed with {code} {payload[2:].decode(errors='replace')}".strip())
