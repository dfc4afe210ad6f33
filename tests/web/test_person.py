"""The person of the tests with real sockets: numbers, what is said again, and hearing that is cancelled."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest
import trio
import trio.testing

from tests.promises.transcript import What
from tests.support.person import Page, Person
from tests.support.raw_client import CLOSE, TEXT, Client, Closed

WELCOME = {"type": "welcome", "resumed": True, "heard": 1, "seq": 7, "resume": {"key": "the key"}}


def from_server(payload: bytes, opcode: int = TEXT) -> bytes:
    return bytes([0x80 | opcode, len(payload)]) + payload


def connected(page: Page) -> tuple[Person, trio.StapledStream[Any, Any]]:
    """A person on a stream in memory, and the server's end of it."""
    ours, theirs = trio.testing.memory_stream_pair()
    return Person(cast(trio.SocketStream, ours), page), theirs


async def sent(stream: trio.StapledStream[Any, Any]) -> list[dict[str, Any]]:
    """The short frames that the person has sent; their mask is zero."""
    data, found = await stream.receive_some(), []
    while data:
        size, data = data[1] & 0x7F, data[6:]
        found.append(json.loads(data[:size]))
        data = data[size:]
    return found


async def test_what_is_not_acknowledged_is_said_again_to_the_same_actor_only() -> None:
    person, server = connected(Page("ada", "token", numbers_frames=True))
    for kind in ("search", "ping", "cancel"):
        await person.say(kind)
    assert [frame.get("n") for frame in await sent(server)] == [1, None, 2]
    await server.send_all(from_server(json.dumps(WELCOME).encode()))
    await person.hear()
    assert await sent(server) == [{"type": "cancel", "n": 2}]
    assert person.page.hello()["resume"] == {"key": "the key", "seq": 7}
    person.page.take(WELCOME | {"resumed": False, "heard": 0, "seq": 1})
    assert person.page.unacknowledged == []
    assert person.page.numbered({"type": "search"})["n"] == 1
    said = [entry.frame["type"] for entry in person.page.transcript.entries if entry.what is What.SAID]
    assert said == ["search", "ping", "cancel", "cancel"]


async def test_a_frame_of_which_a_part_was_there_when_hearing_was_cancelled_is_heard_later() -> None:
    person, server = connected(Page())
    data = from_server(b'{"type": "pong"}')
    for end in range(1, len(data)):
        await server.send_all(data[:end])
        with trio.move_on_after(0.001):
            await person.hear()
        await server.send_all(data[end:])
        assert (await person.hear())["type"] == "pong"
    assert len(person.frames) == len(data) - 1


@pytest.mark.parametrize(("end", "code"), [(b"\x11\x97", 4503), (b"", 1005), (None, 1006)])
async def test_the_end_of_a_connection_has_its_code_and_a_close_frame_is_answered(
    end: bytes | None, code: int
) -> None:
    person, server = connected(Page())
    if end is None:
        await server.aclose()
    else:
        await server.send_all(from_server(end, CLOSE))
    with pytest.raises(Closed) as closed:
        await person.hear()
    assert (closed.value.code, person.ended_with) == (code, code)
    person.record_end()
    assert person.page.transcript.entries[-1].code == code
    if end is None:
        await person.say("ping")  # as on a page's WebSocket that has closed
    else:
        assert (await server.receive_some())[0] == 0x80 | CLOSE


async def test_whoever_reads_bytes_is_told_what_came_before_the_end() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(b"half")
    await theirs.aclose()
    with pytest.raises(Closed, match="half"):
        await Client(cast(trio.SocketStream, ours)).read(10)
