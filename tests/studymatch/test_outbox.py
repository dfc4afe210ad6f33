"""The outbox: numbering, and what is told again to somebody who comes back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from studymatch.outbox import Outbox


def body(text: str) -> bytes:
    return json.dumps({"type": "chat", "text": text}).encode()


def read(frames: list[bytes]) -> list[tuple[int, str]]:
    return [(frame["seq"], frame["text"]) for frame in map(json.loads, frames)]


def test_every_frame_has_the_next_number() -> None:
    outbox = Outbox(10, 1000)
    assert read([outbox.number(body("a")), outbox.send(body("b")), outbox.number(body("c"))]) == [
        (1, "a"),
        (2, "b"),
        (3, "c"),
    ]


def test_who_comes_back_gets_what_they_have_not_seen_in_order_under_new_numbers() -> None:
    outbox = Outbox(10, 1000)
    outbox.send(body("seen"))
    outbox.send(body("lost on the way"))
    outbox.keep(body("said meanwhile"))
    outbox.number(body("welcome"))
    assert read(outbox.catch_up(seen=1)) == [(4, "lost on the way"), (5, "said meanwhile")]


def test_what_was_told_again_can_be_lost_again() -> None:
    outbox = Outbox(10, 1000)
    outbox.keep(body("said meanwhile"))
    outbox.catch_up(seen=0)
    assert read(outbox.catch_up(seen=0)) == [(2, "said meanwhile")]
    assert read(outbox.catch_up(seen=2)) == []


def test_what_was_said_in_a_session_that_is_over_is_not_told_again() -> None:
    outbox = Outbox(10, 1000)
    outbox.send(body("old news"))
    outbox.forget()
    assert outbox.catch_up(seen=0) == []


def test_beyond_the_bound_the_oldest_that_were_sent_are_forgotten() -> None:
    outbox = Outbox(3, 1000)
    for n in range(10):
        outbox.send(body(str(n)))
    assert [text for _, text in read(outbox.catch_up(seen=0))] == ["7", "8", "9"]


def test_what_was_never_sent_is_not_forgotten_in_silence() -> None:
    outbox = Outbox(3, 1000)
    outbox.send(body("sent"))
    assert [outbox.keep(body(str(n))) for n in range(4)] == [True, True, True, False]


def test_there_is_a_bound_in_bytes_too() -> None:
    outbox = Outbox(100, 1000)
    assert outbox.keep(body("x" * 900))
    assert not outbox.keep(body("x" * 900))


@given(st.lists(st.tuples(st.sampled_from(["send", "keep", "number", "back"]), st.integers(0, 40))))
def test_somebody_who_always_says_what_they_saw_gets_everything_exactly_once(
    steps: list[tuple[str, int]],
) -> None:
    """A browser that reads a prefix of each connection's frames, and drops again and again."""
    outbox = Outbox(1000, 1_000_000)
    said = seen = 0
    got: list[str] = []
    wire: list[bytes] = []
    for step, loss in [*steps, ("back", 0), ("back", 0)]:
        if step == "back":
            arrived = wire[: max(0, len(wire) - loss)]
            got += [text for _, text in read(arrived) if text != "-"]
            seen = max([seen, *(seq for seq, _ in read(arrived))])
            wire = [outbox.number(body("-")), *outbox.catch_up(seen)]
        elif step == "send":
            wire.append(outbox.send(body(str(said))))
            said += 1
        elif step == "number":
            wire.append(outbox.number(body("-")))
    assert got == [str(n) for n in range(said)]
