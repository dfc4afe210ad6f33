"""What one person's actor sends to its page: collected, and written together."""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from studymatch.person.outgoing import COLLECTED_MAX, Outgoing
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.lifecycle import State
from studymatch.rules.outbox import Outbox
from studymatch.rules.person_state import PersonState
from studymatch.rules.protocol import VERSION, ChatFrom, Identity, Pong, ResumeOffer, Welcome

WELCOME = Welcome(VERSION, Identity("u1", "Ada"), ResumeOffer("key", 1), False, [], 1, 0)


class Connection:
    """A connection that records what happens to it, in order."""

    build = None

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def write(self, frames: Sequence[bytes]) -> None:
        self.calls.append([json.loads(frame)["type"] for frame in frames])

    def credit(self) -> None:
        raise AssertionError("no frame came in")

    def hang_up(self, code: CloseCode) -> None:
        raise AssertionError("the actor hangs up")


def up(outgoing: Outgoing, connection: Connection) -> None:
    outgoing.up(connection, 0, WELCOME, PersonState(State.IDLE, since=0.0).snapshot(0.0, None))


def test_frames_are_written_together() -> None:
    outgoing, connection = Outgoing(Outbox(100, 10_000)), Connection()
    up(outgoing, connection)
    outgoing.send(Pong(1))
    assert connection.calls == []
    outgoing.flush()
    outgoing.flush()
    assert connection.calls == [["welcome", "state", "pong"]]


def test_who_has_always_something_to_do_writes_all_the_same() -> None:
    outgoing, connection = Outgoing(Outbox(100, 10_000)), Connection()
    up(outgoing, connection)
    for number in range(2 * COLLECTED_MAX):
        outgoing.send(Pong(number))
    assert [len(call) for call in connection.calls] == [COLLECTED_MAX] * 2


def test_what_was_collected_for_a_lost_connection_is_kept_if_it_must_arrive() -> None:
    outgoing, first, second = Outgoing(Outbox(100, 10_000)), Connection(), Connection()
    up(outgoing, first)
    outgoing.flush()
    outgoing.send(Pong(1))
    outgoing.relay(ChatFrom("s1", "u2", "hello"))
    outgoing.down()
    up(outgoing, second)
    outgoing.flush()
    assert first.calls == [["welcome", "state"]]
    assert second.calls == [["welcome", "state", "chat"]]
    assert msgspec.json.decode(outgoing.outbox.again()[0])["text"] == "hello"
