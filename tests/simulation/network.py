"""Connections between a simulated browser and the server: they delay, stall, break and go silent.

A `Wire` is one WebSocket. The server's end is a `SimulatedSocket`, which the product's direct path reads and
writes; a simulated page has the other end. Frames stay in order, as on TCP; a large or unlucky one arrives in
two parts. A connection is lost in one of the ways of real ones:

    close   the browser closes; the server reads the end
    break   the connection is reset
    silent  half-open: no more data arrive in either direction, and neither side is told
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import trio
from websockets.frames import Opcode

from tests.simulation.kernel import Kernel
from web.conversation import GOING_AWAY, Conversation
from web.gate import Message
from web.reception import Reception
from web.server.text_frames import EXTENDED, MASKED

FAREWELL = json.dumps({"type": "leaving"})
"""The last frame of a page that is closed or reloaded."""

BUFFERS = (512, 4096, 131_072)
"""The bytes that the kernel keeps for a browser that does not read. With the smaller ones the limits of what
waits in the server are reached; when the faults have stopped, all connections have the largest."""

FINAL = 0x80
"""The bit of a frame that is not continued (RFC 6455, 5.2)."""

IN_PARTS = 0.03
"""The share of the frames that arrive in two parts."""

Frame = dict[str, Any]


class Pipe:
    """The messages to a page: in order, each after its delay."""

    def __init__(self) -> None:
        self._messages: deque[tuple[float, Any]] = deque()
        self._news = trio.Event()
        self._last_at = 0.0
        self.ended = False

    def put(self, message: Any, delay_s: float) -> None:
        self._last_at = max(self._last_at, trio.current_time() + delay_s)
        self._messages.append((self._last_at, message))
        self._news.set()

    def end(self) -> None:
        self.ended = True
        self._news.set()

    def clear(self) -> None:
        self._messages.clear()

    def __len__(self) -> int:
        return len(self._messages)

    async def get(self) -> Any:
        """The next message. Raises `trio.EndOfChannel` after the last one."""
        while True:
            while not self._messages:
                if self.ended:
                    raise trio.EndOfChannel
                self._news = trio.Event()
                await self._news.wait()
            if self._messages[0][0] <= trio.current_time():
                return self._messages.popleft()[1]
            await trio.sleep_until(self._messages[0][0])


class Wire:
    """One connection of `person`. `delay_s` is the latency of each direction, `read_s` the page's per frame.

    `buffer_bytes`: see `BUFFERS`. `acts` is called wherever the server reads or writes, `on_sent` for each
    frame that it has written, `on_said` for each message of the page.
    """

    def __init__(
        self,
        number: int,
        person: str,
        delay_s: float,
        read_s: float,
        buffer_bytes: int,
        kernel: Kernel,
        acts: Callable[[Wire], None],
        on_sent: Callable[[Wire, Frame], None],
        on_said: Callable[[Wire, str], None],
    ) -> None:
        self.number = number
        self.person = person
        self.delay_s = delay_s
        self.read_s = read_s
        self.slow = read_s > 0
        self.farewell = False  # whether the last frame that the server handled is `leaving`
        self.saved = False  # whether the state was saved for a restart: later frames do not count
        self.heard_at = -1.0  # when the server handled its first frame; negative before
        self.greeted = False
        self.over = False
        self.last_state: Frame | None = None
        self.code: int | None = None
        self.gone = False
        self.silent = False
        self.is_torn = False  # whether the server has written what is no frame of the protocol
        self._acts = acts
        self._on_sent = on_sent
        self._on_said = on_said
        self._chance = Random(kernel.chance.random())
        self._timetable = kernel.timetable
        self._buffer_bytes = buffer_bytes
        self._buffered = 0
        self._written = b""
        self._up: deque[tuple[float, bytes]] = deque()
        self._up_at = 0.0
        self._down = Pipe()
        self._reads = trio.Event()
        self._reads.set()
        self.socket = kernel.socket(self)

    # The server's end

    def server_reads(self) -> None:
        self._acts(self)

    def server_writes(self, data: bytes) -> int:
        self._acts(self)
        if self.socket.is_broken:
            return 0
        if self.gone:
            self._timetable.at(trio.current_time() + self.delay_s, self.socket.breaks)
            room = len(data)
        else:
            room = min(len(data), self._buffer_bytes - self._buffered - len(self._written))
        self._take(data[:room])
        if room < len(data):
            self.socket.room_changed(has_room=False)
        return room

    def server_has_closed(self, *, by_force: bool) -> None:
        if by_force:
            self._down.clear()
        self._down.end()

    def _take(self, data: bytes) -> None:
        """The kernel takes `data`: the page gets each frame that is complete."""
        self._written += data
        while (found := _frame_at_start(self._written)) is not None:
            opcode, payload, size = found
            self._written = self._written[size:]
            if opcode == Opcode.CLOSE:
                self.code = int.from_bytes(payload[:2], "big")
            else:
                self._take_message(payload, size)

    def _take_message(self, payload: bytes, size: int) -> None:
        try:
            told = json.loads(payload)
        except ValueError:
            self.is_torn = True
            return
        if told["type"] == "state":
            self.last_state = told
        self._on_sent(self, told)
        if not self.gone:
            self._buffered += size
        if not (self.gone or self.silent):
            self._down.put((told, size), self.delay_s)

    def conversation_over(self) -> None:
        """The server's conversation has ended."""
        self.over = True

    def refuse(self) -> None:
        """There is no server."""
        self.over = True
        self.socket.close()

    # The browser's end

    def say(self, message: str) -> None:
        self._on_said(self, message)
        if self.gone or self.silent:
            return
        data = _masked(Opcode.TEXT, message.encode())
        cut = self._chance.randrange(len(data)) if self._chance.random() < IN_PARTS else 0
        for part in (data[:cut], data[cut:]):
            if part:
                self._send(part)

    def close_page(self) -> None:
        """The page is closed: the browser says so with a close frame, and hangs up."""
        if not (self.gone or self.silent):
            self._send(_masked(Opcode.CLOSE, GOING_AWAY.to_bytes(2, "big")))
        self._hang_up()

    def _send(self, data: bytes) -> None:
        now = trio.current_time()
        self._up_at = max(self._up_at, now + self.delay_s)
        self._up.append((self._up_at, data))
        if self._up_at > now:
            self._timetable.at(self._up_at, self._arrive)
        else:
            self._arrive()

    def _arrive(self) -> None:
        now = trio.current_time()
        while self._up and self._up[0][0] <= now:
            data = self._up.popleft()[1]
            if data:
                self.socket.arrive(data)
            else:
                self.socket.end()

    async def hear(self) -> Frame:
        """The next frame. Raises `trio.EndOfChannel` when the server has closed."""
        if self.read_s:
            await trio.sleep(self.read_s)
        await self._reads.wait()
        try:
            frame: Frame
            frame, size = await self._down.get()
        except trio.EndOfChannel:
            self._hang_up()
            raise
        self._buffered -= size
        if not self.socket.has_room:
            self.socket.room_changed(has_room=True)
        return frame

    @property
    def unread(self) -> int:
        """The number of frames on their way to the browser."""
        return len(self._down)

    @property
    def busy(self) -> bool:
        """Whether the server has something to send that the kernel has no room for."""
        return not self.socket.has_room

    @property
    def stalled(self) -> bool:
        """Whether the browser has stopped reading."""
        return not self._reads.is_set()

    @property
    def well(self) -> bool:
        """Whether frames still arrive in both directions."""
        return not (self.gone or self.silent or self.stalled or self.busy or self.over) and self.code is None

    def stall(self) -> None:
        """The browser stops reading, and its buffer is soon full."""
        if self._reads.is_set():
            self._reads = trio.Event()
            self._buffer_bytes = min(self._buffer_bytes, self._buffered + BUFFERS[0])

    def read_again(self) -> None:
        """The browser reads, and as fast as it can."""
        self.read_s, self._buffer_bytes = 0.0, BUFFERS[-1]
        self._reads.set()

    def lose(self, how: str) -> None:
        """The connection is lost: `close`, `break` or `silent`."""
        if how == "silent":
            self.silent = True
        elif how == "break":
            self.gone = True
            self._up.clear()
            self.socket.breaks()
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        if not (self.gone or self.silent):
            self._send(b"")
        self.gone = True


class WatchedConversation(Conversation):
    """The product's conversation, which tells the oracle what it hears, and when it is over."""

    __slots__ = ("_on_over", "_watched")

    def __init__(self, reception: Reception, wire: Wire, on_over: Callable[[Wire], None]) -> None:
        super().__init__(reception)
        self._watched = wire
        self._on_over = on_over

    def heard(self, message: Message, now: float) -> None:
        wire = self._watched
        if wire.heard_at < 0:
            wire.heard_at = trio.current_time()
        if not wire.saved:
            wire.farewell = message == FAREWELL
        super().heard(message, now)

    def closed(self, code: int) -> None:
        if code == GOING_AWAY and not self._watched.saved:
            self._watched.farewell = True
        super().closed(code)

    def gone(self) -> None:
        super().gone()
        self._watched.conversation_over()
        self._on_over(self._watched)


def _masked(opcode: Opcode, payload: bytes) -> bytes:
    """A frame of a client. Its mask is zero, so that it does not change the payload."""
    if len(payload) < EXTENDED:
        head = bytes((FINAL | opcode, MASKED | len(payload)))
    else:
        head = bytes((FINAL | opcode, MASKED | EXTENDED)) + len(payload).to_bytes(2, "big")
    return head + bytes(4) + payload


def _frame_at_start(data: bytes) -> tuple[int, bytes, int] | None:
    """The opcode, payload and size of the server's frame with which `data` begins; None: it is incomplete."""
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size == EXTENDED:
        size, start = int.from_bytes(data[2:4], "big"), 4
    if len(data) < start + size:
        return None
    return data[0] & 0x0F, data[start : start + size], start + size
