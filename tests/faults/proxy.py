"""A TCP proxy on loopback that injects network faults, by plans drawn from a seed.

It owns the two sockets of each connection, and does not interpret the bytes. Each direction of a connection
has at most one fault, which acts on the first byte after the first `after_bytes`. The plan of the n-th
connection depends only on the seed and on n, so that plans are repeatable.
"""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

import trio

CHUNK_BYTES = 16_384
DRIP_BYTES = 256
"""The number of bytes that pass one by one; then the direction is normal again."""

BYTES_MEAN = 2500
"""The mean number of bytes before a fault acts; handshake and first frames are a fifth of that."""

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for closing with a reset."""


class Kind(StrEnum):
    """The kinds of faults of one direction of a connection."""

    NONE = "none"
    DELAY = "delay"
    STALL = "stall"
    CUT = "cut"
    HALF_CLOSE = "half-close"
    RESET = "reset"
    DRIP = "drip"


PAUSES_S = {Kind.DELAY: (0.01, 0.3), Kind.STALL: (0.5, 7.0), Kind.DRIP: (0.001, 0.01)}
"""The range of drawn pauses in seconds. The longest stall exceeds every heartbeat of the tests."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The fault of one direction once `after_bytes` have passed.

    delay: all data arrive `pause_s` later. stall: no data pass for `pause_s`, once. drip: the next bytes pass
    one by one, `pause_s` apart. cut, reset: both directions end, with end of file or with a reset.
    half-close: this direction ends, the other goes on.
    """

    kind: Kind = Kind.NONE
    after_bytes: int = 0
    pause_s: float = 0.0

    def __str__(self) -> str:
        if self.kind is Kind.NONE:
            return "none"
        pause = f", {self.pause_s:.3f} s" if self.pause_s else ""
        return f"{self.kind} after {self.after_bytes} bytes{pause}"

    @classmethod
    def drawn(cls, chance: random.Random) -> Fault:
        """Draw a fault of any kind, or with probability one half none."""
        if chance.random() < 0.5:
            return cls()
        kind = chance.choice([kind for kind in Kind if kind is not Kind.NONE])
        pause_s = chance.uniform(*PAUSES_S[kind]) if kind in PAUSES_S else 0.0
        return cls(kind, int(chance.expovariate(1 / BYTES_MEAN)), pause_s)


@dataclass(frozen=True, slots=True)
class Plan:
    """The faults of one connection: `up` on the way to the server, `down` on the way back."""

    up: Fault = Fault()
    down: Fault = Fault()

    def __str__(self) -> str:
        return f"up: {self.up}; down: {self.down}"


PlanOf = Callable[[int], Plan]


def plans(seed: int) -> PlanOf:
    """The plans of the connections 0, 1, 2, … drawn from `seed`."""

    def plan_of(number: int) -> Plan:
        chance = random.Random(f"{seed}/{number}")
        return Plan(Fault.drawn(chance), Fault.drawn(chance))

    return plan_of


def flawless(_number: int) -> Plan:
    """A plan without faults."""
    return Plan()


class Proxy:
    """Listens at `address` (host, port) and connects to `target`; if that is None, it resets connections.

    `plans` are the plans of the connections so far, in order.
    """

    def __init__(self, address: tuple[str, int], target: tuple[str, int] | None, plan_of: PlanOf) -> None:
        self.address = address
        self.target = target
        self.plans: list[Plan] = []
        self.calm = False
        self._plan_of = plan_of

    def stop_faults(self) -> None:
        """From now on inject no faults; a pause that has begun goes on to its end."""
        self.calm = True

    def story(self) -> str:
        """The plan of each connection, one line each, to help understand a failure."""
        return "\n".join(f"connection {number}: {plan}" for number, plan in enumerate(self.plans))

    async def serve_one(self, client: trio.SocketStream) -> None:
        """Serve one connection to its end."""
        plan = self._plan_of(len(self.plans))
        self.plans.append(plan)
        try:
            if self.target is None:
                raise ConnectionRefusedError
            server = await trio.open_tcp_stream(*self.target)
        except OSError:
            reset(client)
            return
        connection = _Connection(self, client, server)
        await connection.run(plan)


class _Connection:
    """One connection: both sockets, and how it ends."""

    def __init__(self, proxy: Proxy, client: trio.SocketStream, server: trio.SocketStream) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._resets = False
        self._scope = trio.CancelScope()

    async def run(self, plan: Plan) -> None:
        """Copy both directions until both have ended, or a fault ends them."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._carry, self._client, self._server, plan.up)
                    nursery.start_soon(self._carry, self._server, self._client, plan.down)
        finally:
            for stream in (self._client, self._server):
                if self._resets:
                    reset(stream)
                else:
                    stream.socket.close()

    def _end(self, *, resets: bool) -> None:
        self._resets = self._resets or resets
        self._scope.cancel()

    async def _carry(self, source: trio.SocketStream, sink: trio.SocketStream, fault: Fault) -> None:
        passed, has_paused = 0, False
        try:
            while data := await source.receive_some(CHUNK_BYTES):
                acts = fault.kind is not Kind.NONE and not self._proxy.calm
                clear = max(0, fault.after_bytes - passed) if acts else len(data)
                passed += len(data)
                await sink.send_all(data[:clear])
                if data[clear:]:
                    await self._act(sink, data[clear:], fault, is_first=not has_paused)
                    has_paused = True
                    if fault.kind is Kind.HALF_CLOSE:
                        await _swallow(source)
                        return
            await sink.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._end(resets=True)

    async def _act(self, sink: trio.SocketStream, data: bytes, fault: Fault, *, is_first: bool) -> None:
        """Pass on `data`, which come after `after_bytes`, according to the fault."""
        match fault.kind:
            case Kind.CUT | Kind.RESET:
                self._end(resets=fault.kind is Kind.RESET)
                await trio.lowlevel.checkpoint()
            case Kind.HALF_CLOSE:
                await sink.send_eof()
            case Kind.DELAY:
                await trio.sleep(fault.pause_s)
                await sink.send_all(data)
            case Kind.STALL:
                await trio.sleep(fault.pause_s if is_first else 0)
                await sink.send_all(data)
            case Kind.DRIP:
                dripping = data[:DRIP_BYTES] if is_first else b""
                for byte in dripping:
                    await sink.send_all(bytes([byte]))
                    await trio.sleep(fault.pause_s)
                await sink.send_all(data[len(dripping) :])
            case Kind.NONE:
                await sink.send_all(data)


async def _swallow(source: trio.SocketStream) -> None:
    """Read and discard data, so that the sender notices nothing."""
    while await source.receive_some(CHUNK_BYTES):
        pass


def reset(stream: trio.SocketStream) -> None:
    """Close with a reset: the other side gets ECONNRESET, and data on their way are lost."""
    if stream.socket.fileno() != -1:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    stream.socket.close()


@asynccontextmanager
async def open_proxy(
    target: tuple[str, int] | None = None, plan_of: PlanOf = flawless
) -> AsyncIterator[Proxy]:
    """Run a proxy while the block is open; then close its connections."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listener.socket.getsockname()
    proxy = Proxy((host, port), target, plan_of)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, proxy.serve_one, [listener])
        yield proxy
        nursery.cancel_scope.cancel()
