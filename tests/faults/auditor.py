"""The auditor: compares what everybody saw and what is recorded with the promises, check by check."""

from __future__ import annotations

from tests.promises.checks_of_frames import (
    ArrivesOnce,
    AwayIsTold,
    ComesBack,
    EndsAgree,
    GoodbyesAreKnown,
    HeardIsTold,
    MovesAreLegal,
    NumbersRise,
    RecordedOnce,
)
from tests.promises.checks_of_matches import (
    Check,
    KeptApart,
    NobodyGoneIsMatched,
    NobodyWaits,
    OneAtATime,
    PartnersAgree,
    PartnersFit,
    WaitingTimeIsKept,
)
from tests.promises.evidence import Evidence

CHECKS: tuple[Check, ...] = (
    PartnersAgree(),
    OneAtATime(),
    NobodyGoneIsMatched(),
    NobodyWaits(),
    PartnersFit(),
    WaitingTimeIsKept(),
    KeptApart(),
    ComesBack(),
    AwayIsTold(),
    ArrivesOnce(),
    HeardIsTold(),
    RecordedOnce(),
    EndsAgree(),
    NumbersRise(),
    MovesAreLegal(),
    GoodbyesAreKnown(),
)


def violations(evidence: Evidence) -> list[str]:
    """All violations, each with the name of its check."""
    return [f"{type(check).__name__}: {found}" for check in CHECKS for found in check.look(evidence)]
