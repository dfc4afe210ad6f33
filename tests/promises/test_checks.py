"""Which checks of the promises exist, what they need, and which of them each user runs.

Each list is repeated here, so that nobody can leave out a check unnoticed. The checks themselves are tested
by the lies of `tests/faults/test_auditor.py` and by the planted bugs of `tests/simulation`.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.faults import auditor
from tests.promises.check import Check, Needs
from tests.promises.checks import ALL, CROWD, FLEET, SIMULATOR, checks_with
from tests.simulation import checkers

PROMISES = range(9)
"""The promises of docs/protocol.md, and 0: the protocol itself, or none."""

SHARED = {
    0: "NumbersRise MovesAreLegal GoodbyesAreKnown",
    1: "PartnersAgree",
    2: "OneAtATime EveryMatchEnds NobodyGoneIsMatched",
    3: "NobodyWaits PartnersFit WhoWasLeftDoesNotPay",
    4: "FailedMatchesCostNothing SearchesAgain",
    5: "KeptApart",
    6: "ComesBack AwayIsTold WordsArriveOnce",
    7: "HeardIsTold",
    8: "RecordedOnce EndsAgree",
}
"""All shared checks, by promise. The fleet runs them all."""

LEFT_OUT_BY_THE_SIMULATOR = {
    "GoodbyesAreKnown": {Needs.CORRECT_PAGES},
    "NobodyWaits": {Needs.CRITERIA, Needs.PINGS},
    "PartnersFit": {Needs.CRITERIA},
    "ComesBack": {Needs.PINGS, Needs.CORRECT_PAGES, Needs.LASTING_ACTORS},
    "AwayIsTold": {Needs.PINGS, Needs.CORRECT_PAGES},
}
"""The shared checks that the simulator does not run, and the evidence that it lacks."""

LEFT_OUT_BY_THE_CROWD = {
    "GoodbyesAreKnown": {Needs.CORRECT_PAGES},
    "NobodyWaits": {Needs.PINGS},
    "ComesBack": {Needs.PINGS, Needs.CORRECT_PAGES},
    "AwayIsTold": {Needs.PINGS, Needs.CORRECT_PAGES},
}

ONLY_IN_THE_SIMULATOR = {
    0: "OnlyPlannedCrashes NothingIsLeft CountsAreTrue FramesAreWhole WhatWaitsIsBounded",
    1: "LinksAreMutual ActorsAgree",
    3: "TicketsAreTheSearching Progress WhoLeavesWaits",
    4: "TicketsKeepTheTime",
    5: "EverybodyIsServed",
    6: "EverybodyIsSomewhere PagesAgree OneConnection AcceptedWordsArrive PagesThatGo",
    7: "SaidIsHeard",
    8: "LedgerIsToldOnce",
}
"""The simulator's own checkers, which need evidence that nobody else has, by promise."""


def name(check: Check) -> str:
    return type(check).__name__


def by_promise(named: Sequence[tuple[int, str]]) -> dict[int, set[str]]:
    return {promise: {it for number, it in named if number == promise} for promise, _ in named}


def left_out(evidence: frozenset[Needs]) -> dict[str, set[Needs]]:
    run = checks_with(evidence)
    return {name(check): set(check.needs - evidence) for check in ALL if check not in run}


def words(table: dict[int, str]) -> dict[int, set[str]]:
    return {promise: set(names.split()) for promise, names in table.items()}


def test_every_promise_has_checks() -> None:
    assert set(SHARED) == set(PROMISES)
    assert by_promise([(check.promise, name(check)) for check in ALL]) == words(SHARED)


def test_the_fleet_runs_every_check() -> None:
    assert left_out(FLEET) == {}
    assert auditor.CHECKS == ALL


def test_the_simulator_runs_every_check_for_which_it_has_evidence() -> None:
    assert left_out(SIMULATOR) == LEFT_OUT_BY_THE_SIMULATOR
    assert checks_with(SIMULATOR) == checkers.CHECKS
    assert checkers.SharedChecks in checkers.ALL


def test_the_crowd_runs_every_check_for_which_it_has_evidence() -> None:
    assert left_out(CROWD) == LEFT_OUT_BY_THE_CROWD


def test_the_simulators_own_checkers_say_what_they_need() -> None:
    own = [checker for checker in checkers.ALL if checker is not checkers.SharedChecks]
    assert by_promise([(it.promise, it.__name__) for it in own]) == words(ONLY_IN_THE_SIMULATOR)
    assert all(it.needs for it in own)


def test_no_two_checks_have_the_same_name() -> None:
    names = [name(check) for check in ALL] + [checker.__name__ for checker in checkers.ALL]
    assert len(set(names)) == len(names)


def test_every_check_says_what_it_checks() -> None:
    for it in [*map(type, ALL), *checkers.ALL]:
        assert it.__doc__
        assert it.__doc__.strip() != ""
