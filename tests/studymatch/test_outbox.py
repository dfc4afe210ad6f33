"""The outbox: numbering, and what is told again to somebody who comes back."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from studymatch.rules.outbox import CONNECTIONS_MAX, Outbox


def body(text: str) -> bytes:
    return json.dumps({"type": "chat", "text": text}).encode()


def read(frames: list[bytes]) -> list[tuple[int, str]]:
    return [(frame["seq"], frame["text"]) for frame in map(json.loads, frames)]


def come_back(outbox: Outbox, seen: int) -> list[bytes]:
    """All that somebody is sent who comes back, and has seen the frames up to this number."""
    outbox.back(seen)
    return [outbox.number(body("welcome")), *outbox.again()]


def texts(frames: list[bytes]) -> list[str]:
    return [text for _, text in read(frames) if text != "welcome"]


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
    assert read(come_back(outbox, seen=1)) == [
        (3, "welcome"),
        (4, "lost on the way"),
        (5, "said meanwhile"),
    ]


def test_what_was_told_again_can_be_lost_again() -> None:
    outbox = Outbox(10, 1000)
    outbox.keep(body("said meanwhile"))
    come_back(outbox, seen=0)
    assert read(come_back(outbox, seen=0)) == [(3, "welcome"), (4, "said meanwhile")]
    assert texts(come_back(outbox, seen=3)) == ["said meanwhile"]
    assert texts(come_back(outbox, seen=6)) == []


def test_what_was_seen_is_not_told_again_although_an_older_hello_arrives_in_between() -> None:
    outbox = Outbox(10, 1000)
    outbox.send(body("lost on the way"))
    assert read(come_back(outbox, seen=0)) == [(2, "welcome"), (3, "lost on the way")]
    for _ in range(CONNECTIONS_MAX - 1):  # said before, and on their way for longer; nobody reads the answers
        come_back(outbox, seen=0)
    assert texts(come_back(outbox, seen=3)) == []


def test_what_was_sent_before_is_told_again_to_who_has_seen_only_the_beginning_of_a_connection() -> None:
    outbox = Outbox(10, 1000)
    outbox.send(body("lost on the way"))
    come_back(outbox, seen=0)
    come_back(outbox, seen=0)
    assert texts(come_back(outbox, seen=2)) == ["lost on the way"]


def test_the_next_life_of_the_server_knows_what_was_seen_on_which_connection() -> None:
    former, outbox = Outbox(10, 1000), Outbox(10, 1000)
    former.send(body("seen"))
    come_back(former, seen=0)
    come_back(former, seen=0)
    former.send(body("lost on the way"))
    former.keep(body("said meanwhile"))
    outbox.remember(former.seq, former.memory(), former.connections())
    assert texts(come_back(outbox, seen=3)) == ["lost on the way", "said meanwhile"]


def test_what_was_said_in_a_session_that_is_over_is_not_told_again() -> None:
    outbox = Outbox(10, 1000)
    outbox.send(body("old news"))
    outbox.forget()
    assert texts(come_back(outbox, seen=0)) == []


def test_beyond_the_bound_the_oldest_that_were_sent_are_forgotten() -> None:
    outbox = Outbox(3, 1000)
    for n in range(10):
        outbox.send(body(str(n)))
    assert outbox.back(seen=0) == 1, "at least"
    assert texts(outbox.again()) == ["7", "8", "9"]


def test_what_was_forgotten_is_not_lost_to_who_has_seen_it() -> None:
    outbox = Outbox(3, 1000)
    for n in range(10):
        outbox.send(body(str(n)))
    assert outbox.back(seen=8) == 0
    assert texts(outbox.again()) == ["8", "9"]


def test_what_was_forgotten_before_a_restart_is_lost_to_who_has_not_seen_it() -> None:
    former, outbox = Outbox(3, 1000), Outbox(3, 1000)
    for n in range(10):
        former.send(body(str(n)))
    outbox.remember(former.seq, former.memory(), former.connections(), forgotten=former.forgotten)
    assert outbox.back(seen=6) == 1, "number 7 was forgotten"


def test_what_was_never_sent_is_not_forgotten_in_silence() -> None:
    outbox = Outbox(3, 1000)
    outbox.send(body("sent"))
    assert [outbox.keep(body(str(n))) for n in range(4)] == [True, True, True, False]


def test_there_is_a_bound_in_bytes_too() -> None:
    outbox = Outbox(100, 1000)
    assert outbox.keep(body("x" * 900))
    assert not outbox.keep(body("x" * 900))


STEPS = st.sampled_from(["say", "count", "dial", "arrive", "arrive late"])


@given(st.lists(st.tuples(STEPS, st.integers(0, 40))))
def test_somebody_who_always_says_what_they_saw_gets_everything_exactly_once(
    steps: list[tuple[str, int]],
) -> None:
    """A browser that reads a prefix of each connection's frames, and drops again and again.

    Now and then a hello arrives that was on its way for longer than those of later connections.
    """
    outbox = Outbox(1000, 1_000_000)
    said, seen, late = 0, 0, 0
    got: list[str] = []
    hellos: list[int] = []  # on their way: what the browser had seen
    wire: list[bytes] | None = None  # of the browser's last connection; None: its hello has not arrived
    others: list[bytes] = []  # what goes to connections that the browser has given up
    for step, number in [*steps, ("dial", 0), ("arrive", 0), ("dial", 0), ("arrive", 0)]:
        if step == "dial":  # the browser reads all but `number` frames, and opens another
            arrived = read((wire or [])[: max(0, len(wire or []) - number)])
            got += [text for _, text in arrived if text not in ("-", "welcome")]
            seen = max([seen, *(seq for seq, _ in arrived)])
            hellos.append(seen)
            wire = None
        elif step == "arrive" and hellos and wire is None:
            others, wire, late = [], come_back(outbox, hellos.pop()), 0
        elif step == "arrive late" and len(hellos) > (wire is None) and late < CONNECTIONS_MAX - 1:
            late += 1
            others = come_back(outbox, hellos.pop(number % (len(hellos) - (wire is None))))
        elif step in ("say", "count"):
            line = others if wire is None or late else wire
            line.append(outbox.send(body(str(said))) if step == "say" else outbox.number(body("-")))
            said += step == "say"
    assert got == [str(n) for n in range(said)]
