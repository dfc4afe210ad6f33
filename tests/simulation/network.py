"""Connections between a simulated browser and the reception: they delay, stall, break and go silent.

A `Wire` is one WebSocket. The reception has one end (it is a `web.reception.Socket`), a simulated page the
other. Frames stay in order, as on TCP. A connection is lost in one of the ways of real ones:

    close   the browser closes; the server reads the end
    break   the server cancels the handler, as Quart does when the browser has disconnected
    silent  half-open: no more data arrive in either direction, and neither side is told
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from typing import Any

import trio

SEND_LIMIT_S = 10.0
"""How long a send of the real server may wait for a browser that does not read (`ServerLimits`)."""

FAREWELL = json.dumps({"type": "leaving"})
"""The last frame of a page that is closed or reloaded."""

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
    """One connection of `person`. `delay_s` is the latency of each direction, `read_s` the page's per frame.

    `scope` cancels the conversation at the server's end; `acts` is called wherever that waits.
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
        self.farewell = False  # whether the last frame that the server read is `leaving`
        self.saved = False  # whether the state was saved for a restart: later frames do not count
        self.heard_at = -1.0  # when the server read its first frame; negative before
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
        """The server's conversation has ended, and the connection ends."""
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
        """The number of frames on their way to the browser."""
        return len(self._down)

    @property
    def stalled(self) -> bool:
        """Whether the browser has stopped reading."""
        return not self._reads.is_set()

    @property
    def well(self) -> bool:
        """Whether frames still arrive in both directions."""
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
