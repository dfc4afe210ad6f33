"""Tests of the drill's verdict and measurements, and that each attack really attacks."""

import os
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from tests.drill.attacks import ATTACKS
from tests.drill.core_time import CoreTime, core_time
from tests.drill.grounds import BEHIND_PROXY, DIRECT, GROUNDS, SMALL, by_ground
from tests.drill.people import Experience
from tests.drill.verdict import KEPT_MAX_BYTES, STRETCH_MAX, Noticed, Pace, row

WELL = Noticed(
    attack="pings",
    quiet=Pace(1.0, 4.0, 5.0, 6.0),
    during=Pace(2.0, 18.0, 1000.0, 2000.0),
    lost=0,
    came=20,
    let_in=18,
    met=15,
    memory_before=2**26,
    memory_most=2**27,
    memory_after=2**26 + KEPT_MAX_BYTES,
    harmed={},
    done={"bytes": 1},
    busy=0.5,
    stretch=1.0,
)


def test_what_is_within_the_limits_is_well() -> None:
    assert WELL.wrongs() == []


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({"during": WELL.during._replace(late=18.1)}, "99th"),
        ({"during": WELL.during._replace(welcome=1001.0)}, "waited 1001 ms"),
        ({"lost": 1}, "lost their call"),
        ({"memory_after": 2**26 + KEPT_MAX_BYTES + 2**20}, "kept 17 MiB"),
        ({"let_in": 16}, "of 20 newcomers 16"),
        ({"harmed": {"hung up on with 4429": 2}}, "hung up on with 4429 2 times"),
        ({"done": {}}, "did nothing"),
    ],
)
def test_each_harm_is_noticed(changed: dict[str, object], wrong: str) -> None:
    (found,) = replace(WELL, **changed).wrongs()  # type: ignore[arg-type]
    assert wrong in found


def test_a_row_has_all_figures() -> None:
    assert row(WELL).split() == [
        "pings",
        "1.0",
        "4.0",
        "2.0",
        "18.0",
        "0",
        "20",
        "18",
        "15",
        "5",
        "1000",
        "2000",
        "64",
        "128",
        "80",
    ]


def test_percentiles_are_of_the_delays_in_milliseconds() -> None:
    experience = Experience(delays=[number / 1000 for number in range(100, 0, -1)])
    assert (experience.delay_ms(0.5), experience.delay_ms(0.99)) == (51.0, 100.0)


def test_where_nobody_is_let_in_the_welcome_never_comes() -> None:
    assert Experience().welcome_ms(0.5) == inf
    assert Experience(welcomes=[0.1, 0.2]).welcome_ms(0.5) == 200.0


@pytest.mark.parametrize(("stretch", "limit_ms"), [(1.0, 18.0), (2.0, 36.0), (3.0, 54.0)])
def test_a_machine_that_is_busy_excuses_so_much(stretch: float, limit_ms: float) -> None:
    slower = replace(WELL, stretch=stretch, during=WELL.during._replace(late=limit_ms))
    assert slower.wrongs() == []
    assert replace(slower, during=slower.during._replace(late=limit_ms + 0.1)).wrongs()


def test_a_machine_that_is_too_busy_tells_nothing_of_delays() -> None:
    noticed = replace(WELL, stretch=STRETCH_MAX + 0.1, let_in=0, lost=1)
    assert not noticed.can_tell
    assert noticed.untold() == noticed.late() != []
    assert replace(noticed, stretch=1.0).untold() == []
    assert noticed.wrongs() == noticed.harm() != []


def test_how_much_slower_a_process_was_is_what_it_waited_for_a_core() -> None:
    assert CoreTime(30, 25).stretch_since(CoreTime(10, 5)) == 2.0
    assert CoreTime(10, 5).stretch_since(CoreTime(10, 5)) == 1.0
    assert core_time(os.getpid()).had >= 0
    assert core_time(2**30) == CoreTime(0, 0)


@pytest.mark.parametrize("changed", [{"lost": 1}, {"harmed": {"hung up on": 1}}])
def test_harm_has_no_excuse(changed: dict[str, object]) -> None:
    harmful = replace(WELL, **changed)  # type: ignore[arg-type]
    assert harmful.harm()
    assert not harmful.late()


def test_memory_that_is_kept_is_looked_at_again_and_no_busy_machine_excuses_it() -> None:
    keeping = replace(WELL, memory_after=2**30, stretch=STRETCH_MAX + 0.1)
    assert (keeping.harm(), keeping.late(), keeping.wrongs()) == ([], [], keeping.kept())


def test_each_attack_has_the_server_that_it_needs() -> None:
    assert by_ground(["pings", "many_direct", "places", "silent"]) == [
        (BEHIND_PROXY, ["pings"]),
        (DIRECT, ["many_direct"]),
        (SMALL, ["places"]),
        (BEHIND_PROXY, ["silent"]),
    ]
    assert [name for name in GROUNDS if name not in ATTACKS] == []


def test_the_reliability_page_names_every_attack() -> None:
    page = Path("docs/reliability.md").read_text()
    assert [name for name in ATTACKS if f"`{name}`" not in page] == []
