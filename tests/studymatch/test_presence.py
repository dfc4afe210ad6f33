"""How many people are here: what a page is told of it, and when."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from studymatch.census import Census
from studymatch.rules.protocol import Presence
from tests.support.people import Building, Tab, a_hall


def counts(tab: Tab) -> list[tuple[int, int]]:
    """What a page was told."""
    return [(frame["online"], frame["searching"]) for frame in tab.all("presence")]


async def test_it_is_told_only_when_it_changed(clock: MockClock, building: Building) -> None:
    ada = await building.searching("Ada")
    await trio.sleep(60)
    assert counts(ada) == [(1, 0), (1, 1)]
    await building.tab("Ben")
    await trio.sleep(60)
    assert counts(ada) == [(1, 0), (1, 1), (2, 1)]


async def test_newcomers_are_told_at_once(clock: MockClock, building: Building) -> None:
    await building.searching("Ada")
    ben = await building.tab("Ben")
    assert [frame["type"] for frame in ben.frames] == ["welcome", "state", "presence"]
    assert counts(ben) == [(2, 1)]


async def test_people_who_search_are_counted_in_what_they_are_told_at_once(
    clock: MockClock, building: Building
) -> None:
    ada = await building.tab("Ada")
    await ada.say("search")
    assert [frame["type"] for frame in ada.frames[-2:]] == ["state", "presence"]
    assert counts(ada)[-1] == (1, 1)
    await ada.say("cancel")
    assert counts(ada)[-1] == (1, 0)
    assert trio.current_time() == 0


async def test_people_in_a_session_are_told_after_it(clock: MockClock, building: Building) -> None:
    ada, ben = await building.call()
    before = len(counts(ada))
    await building.tab("Carl")
    await trio.sleep(60)
    assert len(counts(ada)) == before
    await ben.about("end")
    assert counts(ada)[before:] == [(3, 0)]
    told = [(frame["type"], frame.get("state")) for frame in ada.frames[-2:]]
    assert told == [("state", "ended"), ("presence", None)]


async def test_what_one_person_was_told_in_between_is_corrected(clock: MockClock, building: Building) -> None:
    """Ben was here for so short a time that the count for everybody is the same before and after."""
    ada = await building.tab("Ada")
    await trio.sleep(6)
    ben = await building.tab("Ben")
    await ada.say("search")
    assert counts(ada)[-1] == (2, 1)
    await ben.say("leaving")
    await ben.drop()
    await ada.say("cancel")
    await ada.drop()
    ada = await ada.come_back()
    assert counts(ada)[-1] == (1, 0)
    await trio.sleep(6)
    assert counts(ada)[-1] == (1, 0)


async def test_people_who_stay_are_told_of_a_count_that_went_and_came_back(
    clock: MockClock, building: Building
) -> None:
    ada = await building.tab("Ada")
    await trio.sleep(5.5)
    ben = await building.tab("Ben")
    await ada.say("search")
    await ada.say("cancel")
    await ben.say("leaving")
    await ben.drop()
    assert counts(ada)[-1] == (2, 0)
    await trio.sleep(5)
    assert counts(ada)[-1] == (1, 0)


@pytest.mark.parametrize(("away_s", "told"), [(1, []), (4.5, []), (9, [(1, 0)])])
async def test_a_line_that_is_back_soon_changes_no_count(
    clock: MockClock, building: Building, away_s: float, told: list[tuple[int, int]]
) -> None:
    ada, ben = await building.tab("Ada"), await building.tab("Ben")
    await trio.sleep(10)
    before = len(counts(ada))
    await ben.drop()
    await trio.sleep(away_s)
    assert counts(ada)[before:] == told
    await ben.come_back()
    await trio.sleep(5)
    assert counts(ada)[-1] == (2, 0)


async def test_a_tab_that_takes_a_new_name_counts_once(clock: MockClock, building: Building) -> None:
    ada = await building.searching("Ada")
    await ada.say("leaving")
    await ada.drop()
    ben = await building.searching("Ben")
    assert counts(ben)[-1] == (1, 1)


async def test_after_a_restart_everybody_counts_from_the_beginning(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, _ = await building.searching("Ada"), await building.tab("Ben")
    async with a_hall(after=building, away_s=2.0) as again:
        back = await ada.come_back(again)
        assert counts(back) == [(2, 1)]
        await trio.sleep(10)
        assert counts(back) == [(2, 1), (1, 1)]


PEOPLE = st.sampled_from(["Ada", "Ben", "Eve"])
ACTS = st.lists(st.tuples(st.sampled_from(["here", "search", "rest", "away", "gone", "wait"]), PEOPLE))


@given(ACTS)
def test_the_census_counts_like_somebody_who_looks_at_everybody(acts: list[tuple[str, str]]) -> None:
    census, now = Census(away_s=5.0), 0.0
    here: dict[str, bool] = {}
    away: dict[str, float] = {}
    for act, person in acts:
        match act:
            case "here":
                census.here(person, searching=False)
                here[person] = False
                away.pop(person, None)
            case "search" | "rest" if person in here:
                census.moved(person, searching=act == "search")
                here[person] = act == "search"
            case "away" if person in here and person not in away:
                census.away(person, now)
                away[person] = now
            case "gone":
                census.gone(person)
                here.pop(person, None)
                away.pop(person, None)
            case "wait":
                now += 2.0
        counted = [searches for name, searches in here.items() if now < away.get(name, now) + 5.0]
        assert census.count(now) == Presence(len(counted), sum(counted))
        here = {name: it for name, it in here.items() if now < away.get(name, now) + 5.0}
        away = {name: since for name, since in away.items() if name in here}
