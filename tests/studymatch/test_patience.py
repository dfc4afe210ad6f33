"""Who pays for matches that do not become calls, and that a restart forgets none of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from studymatch import handover
from studymatch.handover import Handover
from studymatch.patience import SAVED_MAX, Debt, Patience
from studymatch.rules.records import Node
from studymatch.settings import Settings
from tests.support.people import Building, Tab, a_hall
from tests.support.told import Told

NODE = Node("00000000-0000-7000-a000-000000000001", "test")


@pytest.fixture
def clock() -> MockClock:
    return MockClock(autojump_threshold=0)


async def skips(building: Building, tab: Tab, times: int) -> None:
    """Somebody skips so many people in the moment of the match."""
    await tab.say("search")
    for number in range(times):
        await trio.sleep(1)
        partner = await building.searching(f"partner {number}")
        await tab.about("skip")
        await partner.about("end")


def wait_s(building: Building, tab: Tab) -> float:
    return building.hall.accounts.patience.wait_s(tab.person.id, trio.current_time())


@pytest.mark.parametrize("restarts", [1, 2])
async def test_a_restart_does_not_end_the_wait(clock: MockClock, restarts: int) -> None:
    """Each takes two seconds of it, and the page is told what is left."""
    async with a_hall(skips_burst=1, skip_wait_s=16.0) as building:
        ada = await building.tab("Ada")
        await skips(building, ada, 2)
        assert ada.last["search_again_ms"] == 16_000
    for _ in range(restarts - 1):
        async with a_hall(after=building, away_s=2.0) as building:
            pass
    async with a_hall(after=building, away_s=2.0) as again:
        ada = await ada.come_back(again)
        assert ada.last["search_again_ms"] == 16_000 - 2000 * restarts
        await ada.say("search")
        assert (ada.state, ada.all("error")[-1]["code"]) == ("ended", "wait")
        await trio.sleep(16.1 - 2 * restarts)
        assert ada.state == "searching"


@pytest.mark.parametrize("how", ["skip", "end", "failed", "close"])
@pytest.mark.parametrize(
    ("partner", "after_s", "pays"),
    [
        ("answers", 0.0, True),
        ("answers", 6.0, True),
        ("is silent", 0.0, True),
        ("is silent", 4.9, True),
        ("is silent", 5.0, False),
        ("is away", 0.0, False),
        ("is away", 6.0, False),
        ("was away, and is back", 1.0, True),
    ],
)
@pytest.mark.parametrize("role", ["calls", "is called", "should call, and does not"])
async def test_nobody_pays_for_leaving_a_partner_who_is_not_there(
    clock: MockClock, how: str, partner: str, after_s: float, pays: bool, role: str
) -> None:
    async with a_hall() as building:
        initiator, other = await building.pair()
        ada, ben = (other, initiator) if role == "is called" else (initiator, other)
        if role == "calls":
            await ada.about("signal", data="an offer")
        if partner == "answers":
            await ben.about("signal", data="an answer")
        elif partner != "is silent":
            await ben.drop()
        if partner == "was away, and is back":
            await ben.come_back()
        await trio.sleep(after_s)
        if how == "close":
            await Tab(building, "Ada", ada.person).open()
        else:
            await ada.about(how)
        if role == "should call, and does not" and partner == "is silent":
            pays = True
        assert [debt.person for debt in building.hall.debts()] == ([ada.person.id] if pays else [])


async def test_who_has_left_before_the_restart_waits_too(clock: MockClock) -> None:
    async with a_hall(skips_burst=1, skip_wait_s=16.0, grace_s=1.0) as building:
        ada = await building.tab("Ada")
        await skips(building, ada, 2)
        await ada.drop()
        await trio.sleep(2)
        assert building.hall.user(ada.person.id) is None
    async with a_hall(after=building) as again:
        assert wait_s(again, ada) == pytest.approx(14)


async def test_a_skip_from_a_call_costs_nothing_after_a_restart_either(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, _ = await building.call()
    async with a_hall(after=building) as again:
        ada = await ada.come_back(again)
        await ada.about("skip")
        assert again.hall.debts() == ()


@pytest.mark.parametrize(
    ("left", "wait_s", "expected_s"),
    [(3.0, 5.0, 5.0), (1e300, 1e300, 60.0), (-7.0, -7.0, 0.0), (0.0, 1e9, 60.0)],
)
def test_nothing_that_was_saved_is_more_than_could_be_open(
    left: float, wait_s: float, expected_s: float
) -> None:
    """Whatever the file says: nobody waits longer than for the worst that can be done."""
    patience = Patience(Settings())
    patience.restore([Debt("ada", left, wait_s)], now=1000.0)
    assert patience.wait_s("ada", 1000.0) == pytest.approx(expected_s)
    patience.matched("s", "ada", "ben")
    patience.over("s", ("ada",), 1000.0)
    assert patience.wait_s("ada", 1000.0) <= 60.0


def test_of_many_those_who_wait_longest_are_saved() -> None:
    patience = Patience(Settings())
    patience.restore([Debt(f"{n}", 1.0 + n % 2, float(n % 2)) for n in range(2 * SAVED_MAX)], now=0.0)
    assert {debt.wait_s for debt in patience.debts(0.0)} == {1.0}
    assert len(patience.debts(0.0)) == SAVED_MAX
    assert patience.debts(1e6) == ()


async def test_what_a_server_left_that_knew_of_no_debts_is_taken_up(tmp_path: Path) -> None:
    path = tmp_path / "handover.json"
    saved = msgspec.to_builtins(Handover(NODE, 1000.0, ()))
    del saved["debts"]
    path.write_bytes(msgspec.json.encode(saved))
    assert handover.take(path, 1000.0, Told()) == Handover(NODE, 1000.0, ())
