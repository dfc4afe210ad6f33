"""The rules of the whole suite: in CI a skipped test is a failed one; no property is held against the clock.

Fixtures live beside the tests that use them. Nothing here may be needed by a single floor only.
"""

import os
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

IN_CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

# On a busy machine a slow example says nothing about the code. What Hypothesis itself sets in CI stays.
settings.register_profile("studymatch", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("studymatch")

Report = TypeVar("Report", pytest.CollectReport, pytest.TestReport)


def _forbid_skip(report: Report) -> Report:
    """Makes a failure of a skip that happens in CI. An expected failure, a skip to pytest, is none to us."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{why}\nIn CI nothing may be skipped: .ci/run installs what the tests need."
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _forbid_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _forbid_skip((yield))
