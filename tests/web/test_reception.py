"""The reception: first words, credit, rates, silence and slow readers, over sockets made of memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from actors import Door as ActorDoor
from studymatch.hall import Arrived
from studymatch.messages import Attached, Connection, Guest, PageMessage
from studymatch.person.accounts import MALFORMED_MAX
from studymatch.person.inbox import Inbox
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.people import Person
from tests.support.people import Building, a_hall, until_quiet
from web.conversation import CREDIT
from web.reception import Reception

ADA, BEN = Person("ada", "Ada"), Person("ben", "Ben")
TOKENS = {
    "ada's token": Guest(ADA),
    "ben's token": Guest(BEN),
    "ada's old token": Guest(ADA, token="ada's token"),
    "ada's expired token": Guest(ADA, expired=True, token="ada's token"),
}


class MemorySocket:
    """Both ends of an accepted WebSocket. `reads` says whether the browser takes what is sent to it."""

    def __init__(self) -> None:
        self.to_server, self._incoming = trio.open_memory_channel[Any](1000)
        self.frames: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None
        self.reads = trio.Event()
        self.reads.set()
        self.taken = 0

    async def receive(self) -> str | bytes | None:
        message: str | bytes | None = await self._incoming.receive()
        self.taken += 1
        return message

    async def send(self, frame: str) -> None:
        await self.reads.wait()
        self.frames.append(json.loads(frame))

    async def close(self, code: int, reason: str) -> None:
        await trio.lowlevel.checkpoint()
        assert reason
        self.closed = (code, reason)

    async def say(self, kind: str, **fields: Any) -> None:
        self.to_server.send_nowait(json.dumps({"type": kind, **fields}))
        await until_quiet()

    @property
    def code(self) -> int | None:
        return self.closed and self.closed[0]

    @property
    def last(self) -> dict[str, Any]:
        return self.frames[-1]


class Door:
    """A reception, and the connections that come in."""

    def __init__(self, building: Building, nursery: trio.Nursery) -> None:
        self.building = building
        self.reception = Reception(building.hall, TOKENS.get, building.settings)
        self._nursery = nursery

    async def connect(self) -> MemorySocket:
        socket = MemorySocket()
        self._nursery.start_soon(self.reception.converse, socket)
        await until_quiet()
        return socket

    async def hello(self, token: str = "ada's token", **fields: Any) -> MemorySocket:
        socket = await self.connect()
        await socket.say("hello", version=1, token=token, **fields)
        return socket


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


@pytest.fixture
async def door(nursery: trio.Nursery) -> AsyncIterator[Door]:
    async with a_hall() as building:
        yield Door(building, nursery)


async def test_hello_leads_to_the_hall(clock: MockClock, door: Door) -> None:
    socket = await door.hello()
    assert [frame["type"] for frame in socket.frames] == ["welcome", "state", "presence"]
    assert door.building.hall.user("ada") is not None


async def test_who_says_nothing_is_hung_up_on_after_five_seconds(clock: MockClock, door: Door) -> None:
    socket = await door.connect()
    await trio.sleep(4.9)
    assert socket.closed is None
    await trio.sleep(0.2)
    assert socket.closed == (4408, "no `hello` in time")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nonsense",
        b"bytes",
        None,
        '{"type":"ping"}',
        '{"type":"hello","version":2,"token":"ada\'s token"}',
        '{"type":"hello","version":1}',
    ],
)
async def test_first_words_that_are_no_hello(clock: MockClock, door: Door, message: Any) -> None:
    socket = await door.connect()
    socket.to_server.send_nowait(message)
    await until_quiet()
    assert socket.closed is not None
    assert socket.closed[0] == 4400
    assert len(door.building.hall) == 0


async def test_a_token_that_is_not_ours(clock: MockClock, door: Door) -> None:
    socket = await door.hello("somebody else's token")
    assert socket.closed is not None
    assert socket.closed[0] == 4401


async def test_a_connection_that_ends_is_news_to_the_user(clock: MockClock, door: Door) -> None:
    ada, ben = await door.hello(), await door.hello("ben's token")
    await ada.say("search")
    await ben.say("search")
    ada.to_server.close()
    await until_quiet()
    assert ben.last["type"] == "partner"
    assert ben.last["away"] is True


async def test_resuming_over_a_new_connection(clock: MockClock, door: Door) -> None:
    first = await door.hello()
    await first.say("search")
    first.to_server.close()
    await trio.sleep(3)
    resume = {"key": first.frames[0]["resume"]["key"], "seq": first.last["seq"]}
    second = await door.hello(resume=resume)
    assert second.frames[0]["resumed"] is True
    assert (second.frames[1]["state"], second.frames[1]["since_ms"]) == ("searching", 3000)


async def test_an_old_token_is_replaced_and_a_young_one_is_not(clock: MockClock, door: Door) -> None:
    assert "token" not in (await door.hello()).frames[0]
    assert (await door.hello("ada's old token")).frames[0]["token"] == "ada's token"


async def test_a_token_that_expires_does_not_end_a_call(clock: MockClock, door: Door) -> None:
    """Who has the key of a living actor comes back to it, and has a fresh token then."""
    socket = await door.hello()
    resume = {"key": socket.frames[0]["resume"]["key"], "seq": socket.last["seq"]}
    socket.to_server.close()
    await until_quiet()
    again = await door.hello("ada's expired token", resume=resume)
    assert again.closed is None
    assert again.frames[0]["resumed"]
    assert again.frames[0]["token"] == "ada's token"


@pytest.mark.parametrize("resume", [None, {"key": "another", "seq": 0}])
async def test_an_expired_token_alone_is_refused_and_ends_nobody(
    clock: MockClock, door: Door, resume: dict[str, Any] | None
) -> None:
    socket = await door.hello()
    thief = await door.hello("ada's expired token", resume=resume)
    assert thief.code == CloseCode.BAD_TOKEN
    assert socket.closed is None
    key = socket.frames[0]["resume"]["key"]
    socket.to_server.close()
    await trio.sleep(60)
    late = await door.hello("ada's expired token", resume={"key": key, "seq": 1})
    assert late.code == CloseCode.BAD_TOKEN, "the actor has gone, so there is nothing to come back to"


async def test_an_expired_token_is_not_judged_while_the_server_stops(clock: MockClock, door: Door) -> None:
    """The next life may have the actor."""
    door.building.hall.hand_over()
    late = await door.hello("ada's expired token", resume={"key": "a key", "seq": 1})
    assert late.code == CloseCode.RESTARTING


async def test_the_newest_connection_wins(clock: MockClock, door: Door) -> None:
    first, second = await door.hello(), await door.hello()
    assert first.closed is not None
    assert first.closed[0] == 4409
    assert second.closed is None
    assert second.frames[0]["resumed"] is False


async def test_malformed_frames_are_refused_and_too_many_of_them_end_it(clock: MockClock, door: Door) -> None:
    socket = await door.hello()
    await socket.say("dance")
    assert (socket.last["type"], socket.last["code"]) == ("error", "malformed")
    assert "dance" in socket.last["message"]
    for _ in range(MALFORMED_MAX - 1):
        await socket.say("dance")
    assert socket.closed is None
    await socket.say("dance")
    assert socket.closed is not None
    assert socket.closed[0] == 4400


async def test_frames_beyond_the_rate_are_refused_and_far_beyond_it_end_it(
    clock: MockClock, door: Door
) -> None:
    socket = await door.hello()
    burst = door.building.settings.frames_burst
    for _ in range(burst):
        await socket.say("ping")
    assert socket.last["type"] == "pong"
    await socket.say("ping")
    assert (socket.last["type"], socket.last["code"]) == ("error", "too_fast")
    await trio.sleep(1)
    await socket.say("ping")
    assert socket.last["type"] == "pong"
    for _ in range(2 * burst):
        await socket.say("ping")
    assert socket.closed is not None
    assert socket.closed[0] == 4429


async def test_a_reader_waits_when_its_frames_are_not_handled(
    clock: MockClock, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[Connection] = []
    attach = Inbox.attach

    def noting(inbox: Inbox, up: Attached) -> ActorDoor[PageMessage] | None:
        connections.append(up.connection)
        return attach(inbox, up)

    monkeypatch.setattr(Inbox, "attach", noting)
    socket = await door.hello()
    heard: list[PageMessage] = []
    monkeypatch.setattr(ActorDoor, "tell", lambda _, message: heard.append(message))
    before = socket.taken
    for _ in range(CREDIT + 10):
        await socket.say("ping")
    assert len(heard) == CREDIT
    assert socket.taken - before == CREDIT
    connections[0].credit()
    await until_quiet()
    assert len(heard) == CREDIT + 1


async def test_who_is_silent_for_two_and_a_half_heartbeats_is_away(clock: MockClock, door: Door) -> None:
    ada, ben = await door.hello(), await door.hello("ben's token")
    for socket in (ada, ben):
        await socket.say("search")
    for socket in (ada, ben):
        await socket.say("connected", session=socket.last["session"])
    for _ in range(3):
        await trio.sleep(20)
        await ben.say("ping")
    assert not any(frame["type"] == "partner" for frame in ben.frames)
    await trio.sleep(2.6)
    assert ben.last == {
        "type": "partner",
        "session": ben.last["session"],
        "away": True,
        "seq": ben.last["seq"],
    }
    await trio.sleep(30)
    assert not any(frame["type"] == "partner" for frame in ada.frames)


async def test_a_browser_that_does_not_read_is_hung_up_on_and_others_do_not_notice(
    nursery: trio.Nursery,
) -> None:
    async with a_hall(outbox_max=50, signals_burst=50) as building:
        door = Door(building, nursery)
        ada, ben = await door.hello(), await door.hello("ben's token")
        await ada.say("search")
        await ben.say("search")
        session = ada.last["session"]
        ben.reads = trio.Event()
        for n in range(40):
            await ada.say("signal", session=session, data=n)
        assert ben.closed is None
        for n in range(20):
            await ada.say("signal", session=session, data=n)
        assert ben.closed is not None
        assert ada.last == {"type": "partner", "session": session, "away": True, "seq": ada.last["seq"]}


async def test_everybody_is_told_when_the_reception_closes(clock: MockClock, door: Door) -> None:
    ada, nameless = await door.hello(), await door.connect()
    door.building.hall.hand_over()
    await door.reception.deserted()
    assert (ada.closed, nameless.closed) == ((4503, "the server is restarting"),) * 2
    late, silent = await door.hello("ben's token"), await door.connect()
    assert late.closed == silent.closed == ada.closed


async def test_who_is_gone_in_the_moment_in_which_the_way_is_free_does_not_stay(
    clock: MockClock, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is too late then to cancel the arrival, and there is nobody any more to say that they are gone."""
    first = await door.hello()
    hall = door.building.hall
    arrive = hall.arrive
    scope = trio.CancelScope()

    async def arrive_and_lose(*arguments: Any) -> Arrived:
        arrived = await arrive(*arguments)
        scope.cancel()
        await trio.lowlevel.cancel_shielded_checkpoint()
        await settle_shielded()
        return arrived

    async def settle_shielded() -> None:
        with trio.CancelScope(shield=True):
            for _ in range(10):
                await trio.lowlevel.checkpoint()

    async def converse(socket: MemorySocket) -> None:
        with scope:
            await door.reception.converse(socket)

    monkeypatch.setattr(hall, "arrive", arrive_and_lose)
    second = MemorySocket()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(converse, second)
        await second.say("hello", version=1, token="ada's token")
    assert first.closed is not None
    await trio.sleep(60)
    assert len(hall) == 0
