"""A proxy in front of the server, which injects faults for single files, and counts requests and bytes.

It works with any browser. Each request has a separate connection, which the proxy relays unchanged after the
request's head, WebSockets included.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from threading import Thread

import trio

HEAD_MAX_BYTES = 64 * 1024
READ_BYTES = 64 * 1024

Answer = Callable[[trio.SocketStream], Awaitable[None]]
"""Answers a request on the stream to the browser; the proxy closes the stream afterwards."""


def status(code: int, body: str, content_type: str = "text/html") -> Answer:
    """A whole response instead of the server's."""
    text = body.encode()
    head = f"HTTP/1.1 {code} As-the-test-wants\r\ncontent-type: {content_type}\r\ncontent-length: {len(text)}"

    async def answer(stream: trio.SocketStream) -> None:
        await stream.send_all(f"{head}\r\nconnection: close\r\n\r\n".encode() + text)

    return answer


def script(text: str) -> Answer:
    """Another script instead of the server's."""
    return status(200, text, "text/javascript")


async def offline(_: trio.SocketStream) -> None:
    """Close the connection without an answer."""


class Front:
    """The proxy. Tests name files by patterns of the end of their paths, like `js/*`."""

    def __init__(self, hall_port: int, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.asked: list[str] = []
        """The path of each request, in order."""
        self.sent_bytes = 0
        """The number of bytes sent to the browser, including heads."""
        self._hall_port = hall_port
        self._troubles: dict[str, Answer] = {}
        self._held: dict[str, trio.Event] = {}
        self._token = trio.lowlevel.current_trio_token()
        self._all = trio.CancelScope()

    def trouble(self, file: str, answer: Answer) -> None:
        """Answer requests for this file with `answer`, until `mend`."""
        self._troubles[file] = answer

    def hold(self, file: str) -> None:
        """Let requests for this file wait until `let_go` or the end."""
        self._held[file] = trio.Event()

    def let_go(self, file: str) -> None:
        """Answer the requests that wait."""
        trio.from_thread.run_sync(self._held.pop(file).set, trio_token=self._token)

    def mend(self) -> None:
        """Inject no more faults, and let no request wait."""
        self._troubles.clear()
        for file in list(self._held):
            self.let_go(file)

    def requests(self, file: str) -> int:
        """The number of requests for this file so far."""
        return sum(_is_of(path, file) for path in self.asked)

    async def serve(self, listener: trio.SocketListener) -> None:
        """Serve until `leave`."""
        with self._all:
            await trio.serve_listeners(self._relay, [listener])

    def leave(self) -> None:
        trio.from_thread.run_sync(self._all.cancel, trio_token=self._token)

    async def _relay(self, browser: trio.SocketStream) -> None:
        async with browser:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                if head := await _head(browser):
                    await self._answer(browser, head)

    async def _answer(self, browser: trio.SocketStream, head: bytes) -> None:
        path = head.split(b" ", 2)[1].decode()
        self.asked.append(path)
        for file, event in list(self._held.items()):
            if _is_of(path, file):
                await event.wait()
        answers = [answer for file, answer in self._troubles.items() if _is_of(path, file)]
        if answers:
            await answers[0](browser)
        else:
            await self._pass_on(browser, head)

    async def _pass_on(self, browser: trio.SocketStream, head: bytes) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self._hall_port) as hall:
            await hall.send_all(_once(head))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_copy, browser, hall)
                async for data in hall:
                    self.sent_bytes += len(data)
                    await browser.send_all(data)
                nursery.cancel_scope.cancel()


def _is_of(path: str, file: str) -> bool:
    return fnmatchcase(path.partition("?")[0], f"*/{file}")


async def _head(stream: trio.SocketStream) -> bytes:
    """A request's head, with as much of the body as has arrived; empty if the browser disconnected."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < HEAD_MAX_BYTES:
        data = await stream.receive_some(READ_BYTES)
        if not data:
            return b""
        head += data
    return head


def _once(head: bytes) -> bytes:
    """The same request with `Connection: close`, unless it is an upgrade."""
    if b"\r\nupgrade:" in head.lower():
        return head
    lines, _, body = head.partition(b"\r\n\r\n")
    kept = [line for line in lines.split(b"\r\n") if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*kept, b"connection: close"]) + b"\r\n\r\n" + body


async def _copy(source: trio.SocketStream, target: trio.SocketStream) -> None:
    async for data in source:
        await target.send_all(data)


@contextmanager
def running_front(hall_port: int) -> Iterator[Front]:
    """Run a proxy in front of the server on this port, while the block is open."""
    opened: Future[Front] = Future()

    async def stand() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        front = Front(hall_port, listener.socket.getsockname()[1])
        opened.set_result(front)
        await front.serve(listener)

    thread = Thread(target=trio.run, args=(stand,), name="front")
    thread.start()
    try:
        yield opened.result()
    finally:
        opened.result().leave()
        thread.join()
