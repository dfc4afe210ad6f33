"""The rules of the suite hold: in CI nothing may be skipped, and a group of tests stays in one worker.

A small suite with every way to skip runs under the real tests/conftest.py, in a pytest of its own.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

SUITE = {
    "test_ways_to_skip.py": """
        import unittest
        import pytest

        def test_passes():
            pass

        @pytest.mark.skip(reason="by mark")
        def test_mark():
            pass

        @pytest.mark.skipif(True, reason="by condition")
        def test_condition():
            pass

        def test_call():
            pytest.skip("by call")

        @pytest.fixture
        def missing():
            pytest.skip("by fixture")

        def test_fixture(missing):
            pass

        @unittest.skip("by unittest")
        class TestUnit(unittest.TestCase):
            def test_unit(self):
                pass

        @pytest.mark.xfail(reason="known", strict=True)
        def test_expected_failure():
            assert False
    """,
    "test_group.py": """
        import pytest

        @pytest.mark.xdist_group("one")
        @pytest.mark.parametrize("number", range(4))
        def test_of_a_group(number):
            pass
    """,
    "test_module.py": """
        import pytest
        pytest.importorskip("no_such_module_anywhere")
    """,
}
REASONS = ("by mark", "by condition", "by call", "by fixture", "by unittest")


def run_suite(folder: Path, ci: str, *arguments: str) -> tuple[int, str]:
    """Runs SUITE in a process of its own, with CI set to `ci`; gives pytest's exit status and its output."""
    for name, text in SUITE.items():
        (folder / name).write_text(dedent(text))
    shutil.copy(Path(__file__).with_name("conftest.py"), folder)
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment | {"CI": ci}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["one process", "xdist"])
def test_a_skipped_test_fails_in_ci(tmp_path: Path, workers: tuple[str, ...]) -> None:
    status, output = run_suite(tmp_path, "true", "test_ways_to_skip.py", *workers)
    assert status == pytest.ExitCode.TESTS_FAILED, output
    # Failing before the test's own body is an error in pytest's words; only "by call" happens inside it.
    assert "1 failed, 1 passed, 1 xfailed, 4 errors in" in output
    for reason in REASONS:
        assert f"Skipped: {reason}\nIn CI nothing may be skipped" in output


def test_a_skipped_module_fails_in_ci(tmp_path: Path) -> None:
    status, output = run_suite(tmp_path, "true", "test_module.py")
    assert status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), output
    assert "no_such_module_anywhere" in output
    assert "In CI nothing may be skipped" in output


def test_a_skip_is_a_skip_elsewhere(tmp_path: Path) -> None:
    status, output = run_suite(tmp_path, "")
    assert status == pytest.ExitCode.OK, output
    assert "5 passed, 6 skipped, 1 xfailed in" in output


def test_the_tests_of_one_group_run_in_one_worker(tmp_path: Path) -> None:
    """The browser tests need it: two workers with a server and a browser each would starve each other."""
    status, output = run_suite(tmp_path, "", "test_group.py", "-v", "-n", "2", "--dist", "loadgroup")
    assert status == pytest.ExitCode.OK, output
    workers = re.findall(r"^\[(gw\d)\].* PASSED ", output, re.MULTILINE)
    assert len(workers) == 4
    assert len(set(workers)) == 1
