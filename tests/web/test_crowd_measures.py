"""What the crowd works out from what it saw, checked against brute force and by hand."""

from __future__ import annotations

import os
import socket
from collections import Counter
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crowd.conductor import Run, Sample
from crowd.measures import PRECISION, Histogram, Waits
from crowd.plan import HERD, RAMP, Plan
from crowd.results import OVERTAKEN_S, document, fairness
from crowd.server_watch import Usage, listener, usage
from crowd.target import TargetError, find
from crowd.text_report import as_text, seconds, size

DURATIONS = st.floats(1e-6, 1e4)


@given(st.lists(DURATIONS, min_size=1), st.floats(0.001, 1))
def test_a_histogram_knows_the_quantiles_to_within_its_precision(
    durations: list[float], share: float
) -> None:
    exact = sorted(durations)[max(1, ceil(share * len(durations))) - 1]
    told = Histogram(durations).quantile(share)
    assert told is not None
    assert abs(told - exact) <= 1.1 * PRECISION * exact + 1e-6
    assert told <= max(durations)


@given(st.lists(DURATIONS), st.lists(DURATIONS))
def test_adding_histograms_is_adding_what_they_count(these: list[float], those: list[float]) -> None:
    whole, part = Histogram(these), Histogram(those)
    whole.merge(part)
    both = Histogram([*these, *those])
    assert (whole.count, whole.worst_s, whole.buckets) == (both.count, both.worst_s, both.buckets)
    assert whole.total_s == pytest.approx(both.total_s)


def test_an_empty_histogram_has_no_quantile() -> None:
    assert Histogram().quantile(0.5) is None


WAITS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 2)),
    max_size=30,
    unique_by=lambda wait: wait[0],
)


WAITS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 2)),
    max_size=30,
    unique_by=lambda wait: wait[0],
)


@given(WAITS)
def test_who_was_overtaken_by_somebody_who_wanted_the_same(waits: list[tuple[int, int, int]]) -> None:
    measured = Waits()
    for began, lasted, subject in waits:
        measured.add(began, began + lasted, subject)
    overtaken = 0
    for began, lasted, subject in waits:
        later = [start + took for start, took, other in waits if start > began and other == subject]
        overtaken += bool(later) and began + lasted - min(later) > OVERTAKEN_S
    told = fairness(measured)
    assert told["overtaken_by"]["count"] == overtaken
    assert told["overtaken_share"] == (overtaken / len(waits) if waits else None)


def sample(at_s: float, cpu_s: float, rss: int, **counts: int) -> Sample:
    told = {"arrived": 100, "begun": 0, "ended": 0, "frames": 0, "wrong": 0} | counts
    return Sample(at_s=at_s, server=Usage(cpu_s, rss), states=Counter(), crowd_busy_s=cpu_s / 10, **told)


def a_run(arrive: str) -> Run:
    """100 people; the server used 1 s to connect them, 2 s in the first 10 s and 4 s in the second 10 s."""
    run = Run(Plan(target=find("http://127.0.0.1:1"), people=100, arrive=arrive), 1, started=1000.0)
    run.marks = {
        "begun": sample(-5, 1.0, 50_000_000, arrived=0),
        "pressed": sample(0, 2.0, 51_000_000),
        "closed": sample(20, 8.0, 52_000_000, frames=20_000),
    }
    if arrive == HERD:
        run.marks["connected"] = run.marks["pressed"]
    else:
        run.marks["ramped"] = sample(10, 4.0, 51_500_000, frames=10_000)
    run.samples = [sample(0, 2.0, 51_000_000), sample(10, 4.0, 53_000_000), sample(20, 8.0, 52_000_000)]
    for second in range(1, 20):
        for _ in range(5):
            run.measures.begun.append(1000.0 + second)
            run.measures.ended.append(1000.0 + second + 0.5)
    for began, ended in ((1000.0, 1000.2), (1000.0, 1000.4), (1001.0, 1001.6)):
        run.measures.first_waits.add(began, ended)
    run.measures.next_waits.add(1005.0, 1005.1)
    run.measures.next_waits.add(1019.0, 1025.0)
    run.measures.relayed(1001.0, 1001.01)
    return run


def test_a_herd_is_measured_from_the_press_to_the_close() -> None:
    told = document(a_run(HERD))
    server = told["server"]
    assert server["cpu"] == pytest.approx(6.0)
    assert server["cpu_share"] == pytest.approx(0.3)
    assert server["cpu_per_call"] == pytest.approx(6.0 / 95)
    assert server["cpu_per_frame"] == pytest.approx(6.0 / 20_000)
    assert server["cpu_per_connection"] == pytest.approx(0.01)
    assert server["memory_per_user_connected"] == pytest.approx(10_000)
    assert server["memory_per_user"] == pytest.approx(30_000)
    assert told["crowd"]["busy_share"] == pytest.approx(0.03)


def test_a_ramp_is_measured_from_the_end_of_the_arrivals() -> None:
    """So that the cost of connecting is no part of the cost of a call."""
    told = document(a_run(RAMP))
    assert told["calls"]["begun_in_window"] == 50
    assert told["calls"]["ended_in_window"] == 50
    assert told["server"]["cpu_per_call"] == pytest.approx(4.0 / 50)
    assert told["server"]["cpu_per_connection"] is None


def test_the_time_to_match_tells_first_and_later_searches_apart() -> None:
    told = document(a_run(HERD))["time_to_match"]
    assert told["first"]["count"] == 3
    assert told["first"]["median"] == pytest.approx(0.4)
    assert told["first"]["worst"] == pytest.approx(0.6)
    assert told["next"]["count"] == 1, (
        "what ends after the close is no time to match: nobody presses any more"
    )


def test_the_table_names_every_counter_and_its_examples() -> None:
    run = a_run(HERD)
    run.measures.note("ghost", "Ada got a signal by Bob for Eve")
    text = as_text(document(run))
    assert "never matched" in text
    assert "Ada got a signal by Bob for Eve" in text


def test_what_could_not_be_measured_is_not_told() -> None:
    run = a_run(HERD)
    run.marks["closed"] = Sample(20, None, Counter(), 100, 0, 0, 0, 0, 0.0)
    told = document(run)
    assert told["server"] is None
    assert "server: " not in as_text(told)


def test_whoever_listens_is_found_and_measured() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert listener(listening.getsockname()[1]) == os.getpid()
    found = usage(os.getpid())
    assert found is not None
    assert found.cpu_s > 0
    assert found.rss_bytes > 1_000_000
    assert usage(2**22 + 1) is None, "there is no such process"


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "https://study.example", "http://", "http://127.0.0.1:x"])
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(TargetError, match="--url"):
        find(url)


def test_one_address_is_not_asked_for_more_ports_than_it_has() -> None:
    target = find("http://127.0.0.1:8000")
    sources = Counter(target.source(number) for number in range(60_000))
    assert max(sources.values()) <= 20_000
    assert all(source is not None and source.startswith("127.0.0.") for source in sources)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.0000015, "1.5 µs"),
        (0.01234, "12.3 ms"),
        (0.9999, "1 s"),
        (1234.0, "1,234 s"),
    ],
)
def test_durations_are_told_in_a_unit_that_is_easily_read(value: float | None, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (12.0, "12 B"), (21_500.0, "21.5 KB"), (2e6, "2 MB")]
)
def test_sizes_are_told_in_a_unit_that_is_easily_read(value: float | None, text: str) -> None:
    assert size(value) == text
