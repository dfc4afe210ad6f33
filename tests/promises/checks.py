"""All checks of the promises, and which of them each user of the checks runs.

A user states which evidence it has, and runs every check that needs no more. `test_checks.py` repeats each of
these lists, so that no check is left out unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable

from tests.promises.check import Check, Needs
from tests.promises.checks_of_frames import (
    AwayIsTold,
    ComesBack,
    GoodbyesAreKnown,
    HeardIsTold,
    MovesAreLegal,
    NumbersRise,
    WordsArriveOnce,
)
from tests.promises.checks_of_matches import (
    EveryMatchEnds,
    FailedMatchesCostNothing,
    KeptApart,
    NobodyGoneIsMatched,
    NobodyWaits,
    OneAtATime,
    PartnersAgree,
    PartnersFit,
    SearchesAgain,
    WhoWasLeftDoesNotPay,
)
from tests.promises.checks_of_records import EndsAgree, RecordedOnce
from tests.promises.evidence import Evidence

ALL: tuple[Check, ...] = (
    NumbersRise(),
    MovesAreLegal(),
    GoodbyesAreKnown(),
    PartnersAgree(),
    OneAtATime(),
    EveryMatchEnds(),
    NobodyGoneIsMatched(),
    NobodyWaits(),
    PartnersFit(),
    WhoWasLeftDoesNotPay(),
    FailedMatchesCostNothing(),
    SearchesAgain(),
    KeptApart(),
    ComesBack(),
    AwayIsTold(),
    WordsArriveOnce(),
    HeardIsTold(),
    RecordedOnce(),
    EndsAgree(),
)
"""Every check, in the order of the promises."""

FLEET = frozenset(Needs)
"""The evidence of the fleet (`tests/faults`): all kinds."""

SIMULATOR = frozenset({Needs.ROWS, Needs.NUMBERED_WORDS})
"""The evidence of the simulator: its people change their criteria, open a second tab and send nonsense, its
actors crash, and its clock jumps. Its own checkers inspect the actors instead (`tests/simulation`)."""


CROWD = frozenset({Needs.ROWS, Needs.CRITERIA, Needs.NUMBERED_WORDS, Needs.LASTING_ACTORS})
"""The evidence of the crowd in `tests/web/test_crowd.py`: its people send no pings, and may come back before
the server has noticed that their last connection is gone."""


def checks_with(evidence: frozenset[Needs]) -> tuple[Check, ...]:
    """The checks that need no more than this evidence."""
    return tuple(check for check in ALL if check.needs <= evidence)


def violations(evidence: Evidence, checks: Iterable[Check]) -> list[str]:
    """All violations, each with the name of its check."""
    return [f"{type(check).__name__}: {found}" for check in checks for found in check.look(evidence)]
