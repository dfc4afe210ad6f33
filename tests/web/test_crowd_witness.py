"""The crowd as a witness: every wrong that a server could do is noticed, and a right life leaves no trace."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from crowd.conductor import Run, conclude
from crowd.connection import Owner
from crowd.dialect import Dialect, Studymatch
from crowd.loop import Loop
from crowd.measures import Measures
from crowd.pairs import Half, Pairs, Present
from crowd.plan import FIXED, Plan
from crowd.target import find
from crowd.visitor import Visitor
from crowd.worker import Outcome

PLAN = Plan(target=find("http://127.0.0.1:1"), people=2, dwell=FIXED, dwell_s=0)
ADA, BOB, EVE = "ada", "bob", "eve"

Frame = dict[str, Any]


@dataclass
class Wire:
    """A connection that keeps what is said."""

    said: list[Frame] = field(default_factory=list)
    is_frozen: bool = False
    is_dropped: bool = False

    def send(self, payload: bytes) -> None:
        self.said.append(json.loads(payload))

    def freeze(self) -> None:
        self.is_frozen = True

    def drop(self, goodbye: int | None = None) -> None:
        self.is_dropped = True


class NeverAgain(Loop):
    """One on which nothing may be planned."""

    def after(self, delay_s: float, call: Callable[[], None]) -> None:
        raise AssertionError("something is tried again")


@dataclass
class Stage:
    """A world with one visitor, Ada, who hears what a test makes her hear."""

    plan: Plan = PLAN
    loop: Loop = field(default_factory=Loop)
    dialect: Dialect = field(default_factory=Studymatch)
    measures: Measures = field(default_factory=Measures)
    pairs: Pairs = field(default_factory=Pairs)
    unsteady: set[str] = field(default_factory=set)
    pressing: bool = True
    closing: bool = False
    wires: list[Wire] = field(default_factory=list)
    arrivals: int = 0
    given_up: int = 0
    seq: int = 0

    def __post_init__(self) -> None:
        self.ada = Visitor(self, 0, "token", ADA)

    def arrived(self) -> None:
        self.arrivals += 1

    def gave_up(self) -> None:
        self.given_up += 1

    def connect(self, owner: Owner, number: int, *, deflate: bool) -> Wire:
        assert owner is self.ada
        self.wires.append(Wire())
        return self.wires[-1]

    def hear(self, *frames: Frame) -> None:
        for frame in frames:
            self.seq += 1
            self.ada.heard(json.dumps({"seq": self.seq} | frame).encode())

    @property
    def said(self) -> list[str]:
        return [frame["type"] for frame in self.wires[-1].said]


def welcome(**fields: Any) -> Frame:
    resume = {"key": "k", "grace_ms": 15_000}
    return {
        "type": "welcome",
        "user": {"id": ADA, "name": "Ada"},
        "resume": resume,
        "resumed": False,
    } | fields


def state(name: str, session: str | None = None, partner: str | None = None, **fields: Any) -> Frame:
    told = {"id": partner, "name": partner, "away": False} if partner else None
    return {"type": "state", "state": name, "session": session, "partner": told, "initiator": False} | fields


def signal(n: int, session: str = "s1", by: str = BOB, to: str = ADA) -> Frame:
    data = {"t": 1.0, "n": n, "by": by, "to": to, "leaver": True, "dwell_s": 0.5, "sdp": "v=0"}
    return {"type": "signal", "session": session, "data": data}


def not_now(about: str) -> Frame:
    return {"type": "error", "code": "not_now", "about": about, "message": "Not now."}


ENDED = state("ended", "s1", cause="partner_skipped", search_again_ms=500)
MATCHED = (state("idle"), state("searching"), state("connecting", "s1", BOB))
IN_CALL = (*MATCHED, signal(1), signal(2), signal(3), state("connected", "s1", BOB))


def arrived(*frames: Frame) -> Stage:
    """Ada after her first words and these frames."""
    stage = Stage()
    stage.ada.arrive()
    stage.ada.opened()
    stage.hear(welcome(), *frames)
    return stage


def test_a_right_life_leaves_no_trace() -> None:
    stage = arrived(*IN_CALL, ENDED, state("searching"), state("connecting", "s2", EVE, initiator=True))
    assert stage.said == [
        *("hello", "search"),
        *("signal", "signal", "signal", "connected"),
        *("signal", "signal"),
    ]
    assert stage.measures.wrong == Counter()
    assert stage.measures.failed_with == []
    assert (len(stage.measures.first_waits.began), len(stage.measures.next_waits.began)) == (1, 1)
    assert stage.measures.relays[int(next(iter(stage.measures.relays)))].count == 3
    assert stage.arrivals == 1


def test_what_is_said_when_the_partner_leaves_may_come_too_late() -> None:
    stage = arrived(*MATCHED, signal(1), ENDED, not_now("signal"), not_now("signal"))
    assert stage.measures.wrong == Counter()


def test_signals_say_for_whom_they_are_and_have_the_size_of_real_ones() -> None:
    stage = arrived(state("idle"), state("searching"), state("connecting", "s1", BOB, initiator=True))
    offer, candidates = (frame for frame in stage.wires[-1].said if frame["type"] == "signal")
    assert (offer["session"], offer["data"]["n"]) == ("s1", 1)
    assert (offer["data"]["by"], offer["data"]["to"]) == (ADA, BOB)
    assert 2200 < len(json.dumps(offer)) < 2600
    assert 450 < len(json.dumps(candidates)) < 800


@pytest.mark.parametrize(
    ("kind", "frames"),
    [
        ("matched_twice", (*MATCHED, state("connecting", "s2", EVE), {"type": "pong"})),
        ("matched_twice", (state("idle"), state("searching"), state("connecting", "s1", ADA))),
        ("ghost", (*MATCHED, signal(1, session="s9"))),
        ("ghost", (*MATCHED, signal(1, by=EVE))),
        ("ghost", (*MATCHED, signal(1, to=EVE))),
        ("ghost", (state("idle"), state("searching"), state("connected", "s1", BOB))),
        ("ghost", (state("idle"), state("searching"), state("connecting"))),
        ("stale", (*IN_CALL, ENDED, signal(4))),
        ("stale", (*IN_CALL, ENDED, {"type": "partner", "session": "s1", "away": True})),
        ("stale", (*IN_CALL, ENDED, {"type": "chat", "session": "s1", "from": BOB, "text": "hello"})),
        ("disorder", (*MATCHED, signal(2))),
        ("disorder", (*MATCHED, signal(1), signal(1))),
        ("disorder", (*MATCHED, state("connecting", "s1", BOB) | {"seq": 4})),
        ("refused", (*MATCHED, not_now("signal"))),
        ("refused", (*IN_CALL, ENDED, not_now("search"))),
        ("refused", (*MATCHED, {"type": "state", "state": 7})),
    ],
)
def test_every_wrong_is_noticed(kind: str, frames: tuple[Frame, ...]) -> None:
    stage = arrived(*frames)
    assert kind in stage.measures.wrong
    if kind != "matched_twice":  # which also is a match that was not searched for
        assert stage.measures.wrong == {kind: 1}
    assert ADA in stage.measures.examples[kind][0]


def test_a_match_of_somebody_who_does_not_search_is_noticed() -> None:
    stage = Stage(pressing=False)
    stage.ada.arrive()
    stage.hear(welcome(), state("idle"), state("connecting", "s1", BOB))
    assert stage.measures.wrong == {"ghost": 1}


def test_a_lost_connection_is_noticed() -> None:
    stage = arrived(*MATCHED)
    stage.ada.lost("closed with 1011")
    assert stage.measures.wrong == {"lost_connection": 1}
    assert stage.measures.examples["lost_connection"] == ["ada: closed with 1011"]


def test_who_is_not_let_in_for_good_gives_up_and_does_not_try_again() -> None:
    stage = Stage(loop=NeverAgain())
    stage.ada.arrive()
    stage.ada.forbidden("got 403")
    assert stage.measures.wrong == {"lost_connection": 1}
    assert stage.given_up == 1


def test_a_return_that_is_not_recognised_is_noticed() -> None:
    stage = arrived(*IN_CALL)
    stage.ada.vanish()
    assert stage.wires[0].is_dropped
    stage.ada.arrive(resume=True)
    stage.ada.opened()
    hello = stage.wires[-1].said[0]
    assert hello["resume"] == {"key": "k", "seq": stage.seq}
    stage.hear(welcome())
    assert stage.measures.wrong == {"not_resumed": 1}


def test_a_return_that_is_recognised_goes_on_where_it_was() -> None:
    stage = arrived(*IN_CALL)
    stage.ada.storm()
    stage.ada.opened()
    stage.hear(welcome(resumed=True), state("connected", "s1", BOB))
    assert stage.measures.wrong == Counter()
    assert (stage.ada.state, stage.ada.session) == ("connected", "s1")
    assert stage.measures.returning.count == 1


def test_a_match_that_does_not_become_a_call_is_noticed() -> None:
    stage = arrived(*MATCHED, state("ended", "s1", cause="connect_timeout", search_again_ms=500))
    assert stage.measures.failed_with == [(ADA, BOB)]


def test_the_partner_of_somebody_who_went_away_is_promised_no_call() -> None:
    away = {"type": "partner", "session": "s1", "away": True}
    stage = arrived(*MATCHED, away, state("ended", "s1", cause="connect_timeout", search_again_ms=500))
    assert stage.measures.failed_with == []
    assert stage.measures.wrong == Counter()


def test_a_browser_that_stalls_reads_and_says_nothing_more() -> None:
    stage = Stage(plan=Plan(target=PLAN.target, people=2, stalled_share=1.0))
    stage.ada.arrive()
    stage.ada.opened()
    stage.hear(welcome(), *IN_CALL)
    assert stage.wires[-1].is_frozen
    assert ADA in stage.unsteady


def test_who_has_asked_to_leave_is_not_at_rest_before_the_answer() -> None:
    stage = arrived(*IN_CALL)
    assert stage.ada.is_settled
    stage.ada._leave("s1")
    assert not stage.ada.is_settled
    stage.hear(state("ended", "s1", cause="skipped", search_again_ms=500))
    assert not stage.ada.is_settled, "the server is about to search"
    stage.hear(state("searching"))
    assert stage.ada.is_settled


def outcome(**fields: Any) -> Outcome:
    nobody = frozenset[str]()
    told: dict[str, Any] = {
        "measures": Measures(),
        "halves": {},
        "present": [],
        "searching": Counter(),
        "absent": nobody,
        "unsteady": nobody,
        "worst_turn_s": 0.0,
        "busy_s": 0.0,
    }
    return Outcome(**(told | fields))


def failing() -> Measures:
    return Measures(failed_with=[(ADA, BOB)])


@pytest.mark.parametrize(
    ("outcomes", "wrong"),
    [
        ([outcome(halves={"s": Half(ADA, BOB, True)}), outcome(halves={"s": Half(BOB, ADA, False)})], {}),
        (
            [outcome(halves={"s": Half(ADA, BOB, True)}), outcome(halves={"s": Half(EVE, ADA, False)})],
            {"matched_twice": 1},
        ),
        (
            [outcome(halves={"s": Half(ADA, BOB, True)}), outcome(halves={"s": Half(BOB, ADA, True)})],
            {"matched_twice": 1},
        ),
        ([outcome(halves={"s": Half(ADA, BOB, True)})], {"ghost": 1}),
        ([outcome(halves={"s": Half(ADA, BOB, True)}, unsteady=frozenset({BOB}))], {}),
        ([outcome(present=[Present(ADA, "s", BOB)]), outcome(present=[Present(BOB, "s", ADA)])], {}),
        ([outcome(present=[Present(ADA, "s", BOB), Present(BOB, "t", ADA)])], {"ghost": 2}),
        ([outcome(present=[Present(ADA, "s", BOB)])], {"ghost": 1}),
        ([outcome(present=[Present(ADA, "s", BOB)], absent=frozenset({BOB}))], {}),
        ([outcome(measures=failing())], {"failed_call": 1}),
        ([outcome(measures=failing()), outcome(unsteady=frozenset({BOB}))], {}),
        ([outcome(searching=Counter({0: 1, 1: 1}))], {}),
        ([outcome(searching=Counter({0: 1})), outcome(searching=Counter({0: 2}))], {"never_matched": 2}),
    ],
)
def test_what_processes_saw_is_compared(outcomes: list[Outcome], wrong: dict[str, int]) -> None:
    run = Run(PLAN, None)
    conclude(run, outcomes)
    assert run.measures.wrong == wrong
