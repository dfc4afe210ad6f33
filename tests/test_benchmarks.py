"""The benchmarks: the peer's dialect, the figures, and that the page is what the results make of it today."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import psycopg
import pytest

from benchmarks import database, database_page, pool, wire
from benchmarks.contestants import CONTESTANTS, NODE, OURS, PEER, ROOT, UNALTERED, running
from benchmarks.figures import FIGURES, middle, middle_run, ratio
from benchmarks.pages import PAGE, PLOTS, claims, figures_table, page, plots, read
from benchmarks.plans import NESTED, PRODUCT, logged, outline, shape, whole_tables
from benchmarks.socketio import SocketIO
from crowd.dialect import Heard
from crowd.wire import accepted, handshake
from studymatch.recording import store
from tests.support.database import postgres_server

__all__ = ["postgres_server"]

RESULTS = ROOT / "benchmarks" / "results"


def heard(payload: bytes) -> tuple[Heard | None, list[bytes]]:
    """What the dialect makes of a packet, and what it answers."""
    answers: list[bytes] = []
    return SocketIO().read(payload, answers.append), answers


@pytest.mark.parametrize(("packet", "answer"), [(b'0{"sid":"x","pingInterval":25000}', b"40"), (b"2", b"3")])
def test_what_engine_io_wants_is_answered(packet: bytes, answer: bytes) -> None:
    assert heard(packet) == (None, [answer])


def test_the_events_of_the_peer_are_told_as_states() -> None:
    joined, _ = heard(b'40{"sid":"abc"}')
    assert joined is not None
    assert joined.user is not None
    assert (joined.type, joined.state, joined.user.id) == ("welcome", "idle", "abc")
    matched, _ = heard(b'42["matched",{"session":"s","initiator":true,"partner":{"id":"b"}}]')
    assert matched is not None
    assert matched.partner is not None
    assert (matched.type, matched.state, matched.session) == ("state", "connecting", "s")
    assert (matched.initiator, matched.partner.id) == (True, "b")
    ended, _ = heard(b'42["ended",{"session":"s","cause":"partner_skipped"}]')
    assert ended is not None
    assert (ended.type, ended.state, ended.cause) == ("state", "ended", "partner_skipped")
    signal, _ = heard(b'42["signal",{"session":"s","data":{"t":1.5,"n":2,"by":"b","to":"a"}}]')
    assert signal is not None
    assert signal.data is not None
    assert (signal.type, signal.data.n, signal.data.by) == ("signal", 2, "b")


def test_what_is_no_packet_is_refused() -> None:
    with pytest.raises(msgspec.DecodeError, match="expected a packet"):
        heard(b"5probe")


def test_what_is_said_is_an_event() -> None:
    dialect = SocketIO()
    said = [
        dialect.search(None),
        dialect.signal("s", b'{"n":1}'),
        dialect.connected("s"),
        dialect.skip("s"),
    ]
    assert all(packet.startswith(b"42") for packet in said)
    assert [json.loads(packet[2:])[0] for packet in said] == ["search", "signal", "connected", "skip"]


def runs(key: str, *values: float | None) -> list[dict[str, Any]]:
    return [{key: value} for value in values]


def test_a_ratio_is_of_runs_that_took_turns() -> None:
    ours, theirs = runs("x", 1.0, 4.0, 9.0), runs("x", 2.0, 2.0, 3.0)
    assert ratio(ours, theirs, "x") == 2.0
    assert ratio(runs("x", None), runs("x", 1.0), "x") is None
    assert ratio(runs("x", 1.0), runs("x", 0.0), "x") is None


def test_the_middle_of_several_runs() -> None:
    assert middle(runs("x", 3.0, None, 1.0, 2.0), "x") == 2.0
    assert middle(runs("x", None), "x") is None
    assert middle_run(runs("x", 3.0, 1.0, 2.0), "x") == {"x": 2.0}


def a_result(pattern: str = "herd", people: int = 1000) -> dict[str, Any]:
    def of(value: float) -> list[dict[str, Any]]:
        figures: dict[str, Any] = dict.fromkeys((figure.key for figure in FIGURES), value)
        return [figures | {"waits": [[0.5, value]], "course": [[0, value, value, value]]}]

    machine = {"cpu": "A", "cores": 2, "memory_gb": 4, "system": "Linux 6", "python": "3.11", "node": "24"}
    return {
        "pattern": pattern,
        "people": people,
        "command": "python -m benchmarks.compare",
        "date": "2026-11-24",
        "machine": machine | {"socket.io": "4"},
        "runs": {OURS.name: of(0.001), UNALTERED.name: of(0.004), NODE.name: of(0.002)},
    }


def test_a_table_has_every_figure_of_its_pattern_and_the_ratio() -> None:
    table = figures_table(a_result())
    assert table[0] == "|  | studymatch | on unaltered Hypercorn | socket.io on Node | ours ÷ peer |"
    assert "| CPU of a call | 1 ms | 4 ms | 2 ms | 0.50 |" in table
    assert len(table) == 2 + sum("herd" in figure.patterns.split() for figure in FIGURES)


def test_the_claims_are_answered_with_what_was_measured() -> None:
    lines = claims([a_result(), a_result("ramp")])
    assert "| 1,000 | 3 s | 1 ms, 1 ms | 1 ms, 1 ms | 25 % | 0.1 % | 0.1 % | 2 MB | 0 B |" in lines
    assert not any("10,000" in line for line in lines), "what was not measured is not told"


def test_the_page_and_its_plots_are_up_to_date() -> None:
    found = read(RESULTS)
    assert found, "there is something to show"
    why = "run python -m benchmarks.compare --draw"
    assert page(found) == PAGE.read_text(encoding="utf-8"), why
    drawn = {path.stem: path.read_text(encoding="utf-8") for path in PLOTS.glob("*.svg")}
    assert plots(found) == drawn, why


def test_results_are_of_contestants_that_there_are() -> None:
    for result in read(RESULTS):
        assert set(result["runs"]) <= set(CONTESTANTS)
        for figures in (run for each in result["runs"].values() for run in each):
            assert {figure.key for figure in FIGURES} <= set(figures)


def test_the_peer_is_locked_without_the_host_of_a_registry() -> None:
    lock = (PEER / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert json.loads(lock)["packages"][""]["dependencies"] == {"socket.io": "4.8.4"}
    assert (PEER / ".npmrc").read_text() == (ROOT / ".npmrc").read_text()


def test_the_unaltered_stack_is_unaltered() -> None:
    """It agrees to compress, which ours never does."""
    with running(UNALTERED) as server, socket.create_connection(_address(server.url), timeout=20) as client:
        request, key = handshake(urlsplit(server.url).netloc, "/ws", deflate=True)
        client.sendall(request)
        data = b""
        while (answer := accepted(data, key)) is None:
            data += client.recv(4096)
    assert answer.deflate
    assert not Path(f"/proc/{server.pid}").exists(), "it has stopped"


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


# The database

PLAN = {
    "Query Text": f"\n{store.RENEW_LEASE}".replace("%s", "$1"),
    "Plan": {
        "Node Type": "ModifyTable",
        "Operation": "Update",
        "Relation Name": "node",
        "Actual Rows": 0,
        "Actual Loops": 1,
        "Shared Hit Blocks": 1234,
        "Shared Read Blocks": 5,
        "Plans": [
            {"Node Type": "Seq Scan", "Relation Name": "node", "Actual Rows": 700, "Actual Loops": 1},
            {
                "Node Type": "Index Scan",
                "Index Name": "session_pkey",
                "Relation Name": "session",
                "Actual Rows": 1,
                "Actual Loops": 700,
            },
        ],
    },
    "Triggers": [{"Trigger Name": "session_left_seats", "Time": 1.5, "Calls": 1}],
}


def in_the_log(told: dict[str, Any]) -> str:
    return f"LOG:  duration: 2.500 ms  plan:\n{json.dumps(told, indent=2)}".replace("\n", "\n\t") + "\n"


def test_plans_are_found_in_the_log_of_postgresql_by_the_statements_of_the_product() -> None:
    others = in_the_log(PLAN | {"Query Text": "select"}) + "LOG:  something else\n"
    (found,) = logged(others + in_the_log(PLAN) + others)
    assert (found.name, found.took_s, found.plan) == ("renew lease", 0.0025, PLAN)


def test_a_plan_is_told_in_a_few_lines() -> None:
    assert outline(PLAN) == [
        "Update on node: 0 rows (1,234 pages in memory, 5 read)",
        "  Seq Scan on node: 700 rows",
        "  Index Scan using session_pkey on session: 1 rows × 700",
        "trigger session_left_seats: 1 calls, 1.5 ms",
    ]
    assert shape(PLAN) == "Update on node\n  Seq Scan on node\n  Index Scan using session_pkey on session"
    assert whole_tables(PLAN) == ["node"]


@pytest.fixture
def explaining(postgres_server: str) -> None:
    with psycopg.connect(postgres_server) as connection:
        try:
            connection.execute("load 'auto_explain'")
        except psycopg.errors.UndefinedFile:
            pytest.skip("this PostgreSQL comes without auto_explain, which the distributions' has")


@pytest.mark.usefixtures("explaining")
async def test_the_database_is_measured_with_every_statement_of_the_product() -> None:
    result = await database.measure(1000, run_s=1.0, scale=0.02)
    seen = {name: found for call in result["calls"].values() for name, found in call["statements"].items()}
    assert set(seen) == {*PRODUCT.values(), *NESTED.values()}
    assert all(found["plan"] and 0 < found["median"] <= found["worst"] for found in seen.values())
    assert result["ledger"]["sessions"] > 0
    assert result["ledger"]["share_postgres"] > 0


def test_pages_without_stored_results_have_the_form_that_is_written() -> None:
    def form(text: str) -> str:
        return re.sub(r"[\d.]+ µs", "…", text)

    sizes = [(size, [1.0, 1.0, 1.0]) for size in pool.SIZES]
    assert form(pool.page(sizes)) == form(pool.PAGE.read_text(encoding="utf-8"))
    reading = {name: [1e-6] * len(wire.SIZES) for name in wire.READERS}
    written = wire.page(reading, dict.fromkeys(wire.PATHS, 1e-6))
    assert form(written) == form(wire.PAGE.read_text(encoding="utf-8"))


def test_the_page_tells_what_was_found_of_the_database() -> None:
    result = json.loads(database.RESULT.read_text(encoding="utf-8"))
    text = database_page.PAGE.read_text(encoding="utf-8")
    assert database_page.page(result) == text, "run python -m benchmarks.database --draw"
