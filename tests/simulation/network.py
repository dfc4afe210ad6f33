"""Connections between a simulated browser and the reception: they delay, stall, break and go silent.

A `Wire` is one WebSocket. The reception has one end (it is a `web.reception.Socket`), a simulated page the
other. Frames stay in order, as on TCP. Each way of losing a connection is one that real ones have:

    close   the browser closes; the server reads the end
    break   the stack cancels the handler, as Quart does when the browser has gone
    silent  half-open: nothing arrives any more, in either direction, and nobody is told
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import trio

SEND_LIMIT_S = 10.0
"""How long the real server lets a send wait for a browser that does not read (`ServerLimits`)."""

FAREWELL = json.dumps({"type": "leaving"})
"""What a page says that goes."""

Frame = dict[str, Any]


class Pipe:
    """One direction: messages in order, each after its delay."""

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

    def __len__(self) -> int:
        return len(self._messages)

    async def get(self) -> Any:
        """The next message. Raises `trio.EndOfChannel` after the last one."""
        while not self._messages:
            if self.ended:
                raise trio.EndOfChannel
            self._news = trio.Event()
            await self._news.wait()
        if self._messages[0][0] > trio.current_time():
            await trio.sleep_until(self._messages[0][0])
        return self._messages.popleft()[1]


class Wire:
    """One connection of `person`. `delay_s` each way; a slow reader takes `read_s` for each frame.

    `scope` is the life of the conversation at the server's end; `acts` is called wherever it waits.
    """

    def __init__(
        self,
        number: int,
        person: str,
        delay_s: float,
        read_s: float,
        acts: Callable[[Wire], None],
        on_sent: Callable[[Wire, Frame], None],
    ) -> None:
        self.number = number
        self.person = person
        self.delay_s = delay_s
        self.read_s = read_s
        self.slow = read_s > 0
        self.farewell = False  # whether the last words that the server read are that the page goes
        self.saved = False  # whether the next life of the server knows what was read: nothing more counts
        self.heard_at = -1.0  # when the server read its first words; before that, negative
        self.greeted = False
        self.busy = False
        self.over = False
        self._acts = acts
        self._on_sent = on_sent
        self.scope = trio.CancelScope()
        self.last_state: Frame | None = None
        self.code: int | None = None
        self.gone = False
        self.silent = False
        self._up = Pipe()
        self._down = Pipe()
        self._reads = trio.Event()
        self._reads.set()

    # The server's end

    async def receive(self) -> str | bytes | None:
        self._acts(self)
        message: str | bytes | None = await self._up.get()
        if self.heard_at < 0:
            self.heard_at = trio.current_time()
        if not self.saved:
            self.farewell = message == FAREWELL
        return message

    async def send(self, frame: str) -> None:
        self._acts(self)
        self.busy = True
        await trio.sleep(self.read_s)
        if not self._reads.is_set():
            with trio.move_on_after(SEND_LIMIT_S) as limit:
                await self._reads.wait()
            if limit.cancelled_caught:
                self.scope.cancel()
                await trio.sleep_forever()
        self.busy = False
        told = json.loads(frame)
        if told["type"] == "state":
            self.last_state = told
        self._on_sent(self, told)
        if not (self.gone or self.silent):
            self._down.put(told, self.delay_s)

    async def close(self, code: int, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        self.code = code
        self._down.end()

    def conversation_over(self) -> None:
        """The server has nothing more to say, and the connection ends."""
        self.over = True
        self._down.end()

    # The browser's end

    def say(self, message: str) -> None:
        if not (self.gone or self.silent):
            self._up.put(message, self.delay_s)

    async def hear(self) -> Frame:
        """The next frame. Raises `trio.EndOfChannel` when the server has closed."""
        frame: Frame = await self._down.get()
        return frame

    @property
    def unread(self) -> int:
        """Frames on their way to the browser."""
        return len(self._down)

    @property
    def stalled(self) -> bool:
        """Whether the browser has stopped reading."""
        return not self._reads.is_set()

    @property
    def well(self) -> bool:
        """Whether frames get through."""
        return not (self.gone or self.silent or self.stalled or self.busy or self.over) and self.code is None

    def stall(self) -> None:
        """The browser stops reading."""
        self._reads = trio.Event()

    def lose(self, how: str) -> None:
        """The connection is lost: `close`, `break` or `silent`."""
        if how == "silent":
            self.silent = True
            return
        self.gone = True
        if how == "break":
            self.scope.cancel()
        self._up.end()
