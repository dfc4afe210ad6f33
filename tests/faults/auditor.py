"""The auditor: compares what the fleet saw and what is recorded with the promises, check by check."""

from __future__ import annotations

from tests.promises import checks
from tests.promises.evidence import Evidence

CHECKS = checks.checks_with(checks.FLEET)
"""The checks of the fleet's evidence."""


def violations(evidence: Evidence) -> list[str]:
    """All violations, each with the name of its check."""
    return checks.violations(evidence, CHECKS)
