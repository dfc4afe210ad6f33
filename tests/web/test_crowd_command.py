"""`studymatch crowd` against a real server: what it measures, what it writes, and when it complains."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.server import Server, data_folder, running_server
from web.cli import main

LIMIT_S = 60
SECRET = "a-secret-of-sixteen"
UNRULY = (
    "--people 40 --arrive herd --run-s 3 --dwell-s 0.4 --skip-share 0.7 --vanish-share 0.1 "
    "--deflate-share 0.5 --active-share 0.9 --storm-share 0.5 --storm-at-s 1.5 --processes 2 --seed 7"
)

pytestmark = pytest.mark.xdist_group("crowd command")


def command(url: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "web.cli", "crowd", "--url", url, *options]


def crowd(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(url, *options), capture_output=True, text=True, timeout=LIMIT_S)


@pytest.fixture(scope="module")
def server(server_database: str) -> Iterator[Server]:
    """One that does not keep people apart for long, so that the last two need not wait."""
    options = ("--database-url", server_database, "--apart-s", "0.2")
    with data_folder() as folder, running_server(folder, *options) as server:
        yield server


@pytest.fixture(scope="module")
def visit(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, str]:
    """A short visit of an unruly crowd in two processes: the result, the table, the report."""
    folder = tmp_path_factory.mktemp("crowd")
    files = ("--json", str(folder / "result.json"), "--report", str(folder / "report.html"))
    done = crowd(server.address, *UNRULY.split(), *files)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((folder / "result.json").read_text())
    return result, done.stdout, (folder / "report.html").read_text()


def test_people_meet_and_nothing_goes_wrong(visit: tuple[dict[str, Any], str, str], server: Server) -> None:
    result, table, _ = visit
    assert set(result["wrong"].values()) == {0}
    assert len(result["wrong"]) == 9
    calls = result["calls"]
    assert calls["begun"] > 40, "everybody met somebody, and then somebody else"
    assert 0 <= calls["begun"] - calls["ended"] <= 20
    assert result["opening"]["count"] == 40
    assert result["time_to_match"]["first"]["count"] in range(30, 40)
    assert result["relay"]["count"] >= 6 * calls["begun"]
    assert result["storm"]["returning"]["count"] > 10
    assert "time to match, first search" in table


def test_the_server_is_found_and_measured(visit: tuple[dict[str, Any], str, str], server: Server) -> None:
    result, _, _ = visit
    measured = result["server"]
    assert measured["pid"] == server.process.pid
    assert measured["cpu"] > 0
    assert 0 < measured["cpu_per_frame"] < measured["cpu_per_call"] < 1
    assert measured["rss_most"] > 10_000_000
    assert 0 < result["crowd"]["busy_share"] < 1
    seconds = [row["at"] for row in result["series"]]
    assert seconds == sorted(seconds)
    assert sum(row["calls_per_s"] for row in result["series"]) > 0


def test_the_report_is_one_page_that_needs_nothing_else(visit: tuple[dict[str, Any], str, str]) -> None:
    result, _, page = visit
    assert "Nothing went wrong." in page
    assert "40 people, herd" in page
    assert f"{result['calls']['begun']:,} begun" in page
    for word in ("<script", "<link", "src=", "@import", "url("):
        assert word not in page
    drawings = [part.partition("</svg>")[0] + "</svg>" for part in page.split("<svg")[1:]]
    assert len(drawings) == 8
    for drawing in drawings:
        picture = ElementTree.fromstring("<svg" + drawing)
        assert picture.findall("{http://www.w3.org/2000/svg}polyline"), "something is drawn"


def test_a_server_that_goes_away_is_a_failure(server_database: str, tmp_path: Path) -> None:
    """These people are made with the server's key, which must be in nothing that is written."""
    options = f"--people 10 --ramp-s 0.2 --run-s 30 --secret {SECRET} --json {tmp_path / 'result.json'}"
    with (
        data_folder() as folder,
        running_server(folder, "--database-url", server_database, "--secret", SECRET) as server,
        subprocess.Popen(
            command(server.address, *options.split()),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        assert any(" 10 here" in line or line.startswith("running: 5") for line in process.stderr)
        server.stop(signal.SIGKILL)
        table, errors = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 1
    written = (tmp_path / "result.json").read_text()
    result = json.loads(written)
    assert result["wrong"]["lost_connection"] >= 10
    assert result["opening"]["count"] == 10, "they had been let in"
    [lost] = [line for line in table.splitlines() if line.startswith("lost connection")]
    assert int(lost.split()[2]) == result["wrong"]["lost_connection"]
    assert SECRET not in written + table + errors


def test_a_server_that_is_not_there_is_refused_with_a_sentence() -> None:
    done = crowd("http://127.0.0.1:1", "--people", "2", "--run-s", "1")
    assert done.returncode == 2
    assert "POST /api/guest" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("--url http://127.0.0.1:1 --people 1", "--people"),
        ("--url http://127.0.0.1:1 --vanish-share 2", "--vanish-share"),
        ("--url http://127.0.0.1:1 --people 100000000", "open files"),
        ("--url http://127.0.0.1:1 --json /nowhere/at/all.json", "/nowhere/at"),
        ("--url ws://127.0.0.1:1", "--url expects"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(options: str, why: str) -> None:
    done = CliRunner().invoke(main, ["crowd", *options.split()])
    assert done.exit_code == 2
    assert why in done.output


def test_help_says_what_one_process_can_drive() -> None:
    told = " ".join(CliRunner().invoke(main, ["crowd", "--help"]).output.split())
    assert "frames a second" in told
