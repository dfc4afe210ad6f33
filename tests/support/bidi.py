"""A synchronous client of WebDriver BiDi.

The WebSocket runs in a thread with a separate trio loop, so that a test can drive such a browser and
playwright's alternately.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import count
from threading import Thread
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

Event = dict[str, Any]
MESSAGE_MAX_BYTES = 64 * 1024 * 1024


class BidiError(RuntimeError):
    """The browser refused a command, or has ended."""


class Bidi:
    """A session with a browser.

    It passes an event to the listener of its tab (a "browsing context"), in the thread of the WebSocket.
    """

    def __init__(self, socket: WebSocketConnection, limit_s: float) -> None:
        self.listeners: dict[str, Callable[[Event], None]] = {}
        self._socket = socket
        self._limit_s = limit_s
        self._token = trio.lowlevel.current_trio_token()
        self._session = trio.CancelScope()
        self._numbers = count(1)
        self._answers: dict[int, trio.MemorySendChannel[Event]] = {}

    def ask(self, method: str, **params: Any) -> Any:
        """Send a command, and return its result.

        Raises:
            BidiError: the browser refuses it, or has ended.
            trio.TooSlowError: there was no answer within the limit.
        """
        try:
            answer = trio.from_thread.run(self._ask, method, params, trio_token=self._token)
        except (ConnectionClosed, trio.EndOfChannel, trio.RunFinishedError) as error:
            raise BidiError(f"{method}: the browser has gone") from error
        if answer["type"] == "error":
            raise BidiError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]

    async def _ask(self, method: str, params: dict[str, Any]) -> Event:
        number = next(self._numbers)
        self._answers[number], answer = trio.open_memory_channel[Event](1)
        with trio.fail_after(self._limit_s):
            await self._socket.send_message(json.dumps({"id": number, "method": method, "params": params}))
            return await answer.receive()

    async def listen(self) -> None:
        """Dispatch the browser's messages until it has ended, or `leave`. A waiting command then fails."""
        with self._session, suppress(ConnectionClosed):
            while True:
                message = json.loads(await self._socket.get_message())
                if message["type"] == "event":
                    self._heed(message)
                elif channel := self._answers.pop(message["id"], None):
                    channel.send_nowait(message)
        for channel in self._answers.values():
            channel.close()

    def _heed(self, event: Event) -> None:
        if listener := self.listeners.get(event["params"]["source"].get("context")):
            listener(event)

    def leave(self) -> None:
        """End the session, whether the browser still answers or not."""
        with suppress(trio.RunFinishedError):
            trio.from_thread.run_sync(self._session.cancel, trio_token=self._token)


@contextmanager
def bidi_session(address: str, limit_s: float) -> Iterator[Bidi]:
    """A session, while the block is open, with the browser that listens at `ws://host:port`.

    `limit_s` is the time limit of the handshake, and of each answer.
    """
    opened: Future[Bidi] = Future()

    async def converse() -> None:
        place = address.removeprefix("ws://")
        host, port = place.split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream, trio.open_nursery() as nursery:
            with trio.fail_after(limit_s):
                socket = await wrap_client_stream(
                    nursery, stream, place, "/session", max_message_size=MESSAGE_MAX_BYTES
                )
            bidi = Bidi(socket, limit_s)
            opened.set_result(bidi)
            await bidi.listen()
            nursery.cancel_scope.cancel()

    def run() -> None:
        try:
            trio.run(converse)
        except Exception as error:
            opened.set_exception(error)

    thread = Thread(target=run, name="bidi")
    thread.start()
    try:
        bidi = opened.result()
        bidi.ask("session.new", capabilities={})
        yield bidi
    finally:
        if opened.done() and not opened.exception():
            opened.result().leave()
        thread.join()
