"""Encounters in a real hall: matcher, users and ledger on a jumping clock, with tabs as transports."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from studymatch.rules.close_codes import CloseCode
from studymatch.rules.lifecycle import EDGES, SessionCause
from studymatch.rules.pool import Pool
from studymatch.rules.records import SessionConnected, SessionEnded, SessionMatched
from tests.simulation.seams import turns_in_order
from tests.support.people import Building, Tab, a_hall, until_quiet


def ends(building: Building, session: str) -> list[tuple[SessionCause, str | None]]:
    return [(r.cause, r.by) for r in building.records(session) if isinstance(r, SessionEnded)]


def kinds(building: Building, session: str) -> list[type]:
    return [type(record) for record in building.records(session)]


# The plain story


async def test_a_newcomer_is_welcomed_and_idle(clock: MockClock, building: Building) -> None:
    ada = await building.tab("Ada")
    welcome, state, presence = ada.frames
    assert welcome["type"] == "welcome"
    assert welcome["version"] == 1
    assert welcome["user"] == {"id": ada.person.id, "name": "Ada"}
    assert welcome["resumed"] is False
    assert welcome["resume"]["grace_ms"] == 15_000
    assert welcome["heartbeat_ms"] == 25_000
    assert welcome["build"] == "the build"
    assert state["state"] == "idle"
    assert state["session"] is None
    assert state["partner"] is None
    assert [frame["seq"] for frame in ada.frames] == [1, 2, 3]
    assert (presence["online"], presence["searching"]) == (1, 0)


async def test_who_searches_alone_hears_it_ring(clock: MockClock, building: Building) -> None:
    ada = await building.searching("Ada")
    assert ada.last["sound"] == {"name": "ring", "volume": 0.4}
    assert ada.last["cause"] is None
    assert ada.last["deadline_ms"] is None
    assert ada.states == ["idle", "searching"]


async def test_two_who_search_are_matched_without_time_passing(clock: MockClock, building: Building) -> None:
    ada, ben = await building.searching("Ada"), await building.searching("Ben")
    assert trio.current_time() == 0
    for one, other in ((ada, ben), (ben, ada)):
        assert one.states == ["idle", "searching", "connecting"]
        assert one.last["partner"] == {"id": other.person.id, "name": other.person.name, "away": False}
        assert one.last["cause"] == "matched"
        assert one.last["cue"] == "chime"
        assert one.last["sound"] is None
        assert one.last["deadline_ms"] == 15_000
    assert ada.session == ben.session
    assert ada.last["initiator"] is not ben.last["initiator"]


async def test_connected_when_both_have_said_so(clock: MockClock, building: Building) -> None:
    for first_to_say in (0, 1):
        pair = await building.pair()
        one, other = pair[first_to_say], pair[1 - first_to_say]
        await one.about("connected")
        assert {one.state, other.state} == {"connecting"}
        await other.about("connected")
        assert {one.state, other.state} == {"connected"}
        assert one.last["cause"] == "connected"
        assert one.last["cue"] is None
        assert kinds(building, one.session) == [SessionMatched, SessionConnected]
        await one.drop()
        await other.drop()
        await trio.sleep(20)


async def test_signals_and_chat_reach_the_partner_only(clock: MockClock, building: Building) -> None:
    ada, ben = await building.pair()
    carl, dora = await building.call("Carl", "Dora")
    data = {"description": {"type": "offer", "sdp": "v=0"}, "n": [1, None]}
    await ada.about("signal", data=data)
    await ada.about("connected")
    await ben.about("connected")
    await ben.about("chat", text="hello there")
    assert [(f["session"], f["data"]) for f in ben.all("signal")] == [(ben.session, data)]
    assert [(f["from"], f["text"]) for f in ada.all("chat")] == [(ben.person.id, "hello there")]
    for other in (carl, dora):
        assert other.all("signal") == other.all("chat") == []


async def test_skip_ends_it_for_both_and_both_search_again_after_half_a_second(
    clock: MockClock, building: Building
) -> None:
    ada, ben = await building.call()
    session = ada.session
    await trio.sleep(60)
    await ada.about("skip")
    assert (ada.last["cause"], ben.last["cause"]) == ("skipped", "partner_skipped")
    assert ben.last["message"] == f"{ada.person.name} went on to the next person."
    for tab in (ada, ben):
        assert tab.state == "ended"
        assert tab.last["cue"] == "hangup"
        assert tab.last["search_again_ms"] == 500
        assert tab.session == session
    await trio.sleep(0.499)
    assert {ada.state, ben.state} == {"ended"}
    await trio.sleep(0.002)
    assert {ada.state, ben.state} == {"searching"}
    assert ends(building, session) == [(SessionCause.SKIPPED, ada.person.id)]


async def test_two_alone_meet_again_when_both_have_waited_five_seconds(
    clock: MockClock, building: Building
) -> None:
    ada, ben = await building.call()
    await ada.about("skip")
    await trio.sleep(0.5 + 4.99)
    assert {ada.state, ben.state} == {"searching"}
    await trio.sleep(0.02)
    assert {ada.state, ben.state} == {"connecting"}


async def test_somebody_new_is_preferred_to_a_former_partner(clock: MockClock, building: Building) -> None:
    ada, ben = await building.call()
    await ada.about("skip")
    await trio.sleep(1)
    carl = await building.searching("Carl")
    assert carl.state == "connecting"
    assert carl.last["partner"]["id"] in (ada.person.id, ben.person.id)


async def test_end_brings_the_one_who_ended_to_idle_and_the_other_to_the_next_search(
    clock: MockClock,
    building: Building,
) -> None:
    ada, ben = await building.call()
    session = ada.session
    await ada.about("end")
    assert ada.states[-2:] == ["ended", "idle"]
    assert ada.last["cause"] == "ended"
    assert ben.state == "ended"
    assert (ben.last["cause"], ben.last["search_again_ms"]) == ("partner_ended", 500)
    await trio.sleep(1)
    assert (ada.state, ben.state) == ("idle", "searching")
    assert ends(building, session) == [(SessionCause.ENDED, ada.person.id)]


async def test_end_while_ended_calls_off_the_next_search(clock: MockClock, building: Building) -> None:
    ada, ben = await building.call()
    await ada.about("skip")
    await ben.about("end")
    await trio.sleep(1)
    assert (ada.state, ben.state) == ("searching", "idle")


async def test_search_while_ended_does_not_wait_for_the_half_second(
    clock: MockClock, building: Building
) -> None:
    ada, ben = await building.call()
    await ada.about("skip")
    await ben.say("search")
    assert (ada.state, ben.state) == ("ended", "searching")


async def test_cancel_brings_back_to_idle_and_nobody_is_matched_with_who_has_gone(
    clock: MockClock,
    building: Building,
) -> None:
    ada = await building.searching("Ada")
    await ada.say("cancel")
    assert (ada.state, ada.last["cause"], ada.last["sound"]) == ("idle", "cancelled", None)
    ben = await building.searching("Ben")
    assert ben.state == "searching"


async def test_cancel_and_offer_in_the_same_moment(clock: MockClock, building: Building) -> None:
    ada, ben = await building.searching("Ada"), await building.tab("Ben")
    ada.say_at_once("cancel")
    ben.say_at_once("search")
    await until_quiet()
    assert (ada.state, ben.state) in {("idle", "searching"), ("idle", "ended")}, (
        "matched first, or not at all"
    )


@pytest.mark.parametrize("how", ["cancel", "drop", "fresh"])
async def test_a_match_that_somebody_never_hears_of_ends_and_is_recorded(
    clock: MockClock, building: Building, how: str
) -> None:
    """They leave the search in the very moment of the match: whose turn comes first is by chance."""
    missed = 0
    for n in range(40):
        ada = await building.searching("Ada", subject=f"{how} {n}")
        ben = await building.tab("Ben")
        ben.say_at_once("search", criteria={"subject": f"{how} {n}"})
        for _ in range(n % 4):
            await trio.lowlevel.checkpoint()
        if how == "cancel":
            ada.say_at_once("cancel")
        elif how == "drop":
            ada.drop_at_once()
        else:
            await Tab(building, "Ada", ada.person).open()
        await until_quiet()
        missed += "connecting" not in ada.states and "connecting" in ben.states
        await trio.sleep(1)
        assert ada.user is not None
        waits_for_her = ada.user.state == ben.states[-1] == "connecting"  # though her page may not know it
        assert ben.states[-1] == "searching" or waits_for_her
        await ada.drop()
        await ben.drop()
        await trio.sleep(20)
    matched = [e.record.session for e in building.store.entries if isinstance(e.record, SessionMatched)]
    assert all(len(ends(building, session)) == 1 for session in matched)
    assert missed > 0, "the case did not occur"


async def test_people_who_want_different_things_are_not_matched(clock: MockClock, building: Building) -> None:
    ada = await building.searching("Ada", subject="maths")
    ben = await building.searching("Ben", subject="history")
    assert {ada.state, ben.state} == {"searching"}
    carl = await building.searching("Carl", subject=" HISTORY ")
    assert (ada.state, ben.state, carl.state) == ("searching", "connecting", "connecting")
    dora = await building.searching("Dora")
    assert {ada.state, dora.state} == {"connecting"}


async def test_criteria_last_from_one_encounter_to_the_next(clock: MockClock, building: Building) -> None:
    ada = await building.searching("Ada", subject="maths")
    await building.searching("Ben")
    await ada.about("skip")
    await trio.sleep(0.6)
    await building.searching("Carl", subject="history")
    assert ada.state == "searching"


# When a match does not become a call


@pytest.mark.parametrize("ready", ["initiator", "other", "neither", "both_spoke", "one_spoke"])
async def test_a_match_that_does_not_become_a_call_in_time_ends(
    clock: MockClock, building: Building, ready: str
) -> None:
    one, other = await building.pair()
    session = one.session
    speakers = {"initiator": [one], "other": [other], "both_spoke": [one, other], "one_spoke": [other]}
    ready_tabs = speakers.get(ready, [])
    for tab in ready_tabs:
        await tab.about("connected") if ready in ("initiator", "other") else await tab.about("signal", data=1)
    await trio.sleep(14.9)
    assert {one.state, other.state} == {"connecting"}
    await trio.sleep(0.2)
    for tab in (one, other):
        assert tab.state == "ended"
        assert tab.last["cause"] == "connect_timeout"
        assert "could not be set up in time" in tab.last["message"]
        assert (tab.last["search_again_ms"] is None) is (tab not in ready_tabs)
    assert ends(building, session) == [(SessionCause.CONNECT_TIMEOUT, one.person.id)]
    await trio.sleep(1)
    for tab in (one, other):
        assert (tab.state == "ended") is (tab not in ready_tabs)


async def test_failed_ends_it_for_both_and_only_who_was_ready_searches_again(
    clock: MockClock, building: Building
) -> None:
    for failing in (0, 1):
        pair = await building.pair()
        one, other = pair[failing], pair[1 - failing]
        session = one.session
        await one.about("failed", code="no_device")
        assert {one.state, other.state} == {"ended"}
        assert one.last["cause"] == other.last["cause"] == "connect_failed"
        assert "press Find Partner" in one.last["message"]
        assert one.last["search_again_ms"] is None
        assert other.last["search_again_ms"] == 500
        assert ends(building, session) == [(SessionCause.CONNECT_FAILED, one.person.id)]
        await other.say("end", session=session)
        await one.say("end", session=session)
        assert {one.state, other.state} == {"idle"}


async def test_a_report_of_failure_that_crosses_with_the_beginning_of_the_call(
    clock: MockClock, building: Building
) -> None:
    one, other = await building.pair()
    await other.about("connected")
    one.say_at_once("connected", session=one.session)
    other.say_at_once("failed", session=one.session)
    await until_quiet()
    assert {one.state, other.state} == {"ended"}
    assert one.last["cause"] == other.last["cause"] == "connect_failed"


async def test_a_call_does_not_begin_when_the_partner_has_just_left(
    clock: MockClock, building: Building
) -> None:
    for _ in range(20):  # whose turn comes first is by chance
        one, other = await building.pair()
        session = one.session
        await other.about("connected")
        other.say_at_once("skip", session=session)
        one.say_at_once("connected", session=session)
        await until_quiet()
        recorded = kinds(building, session)
        assert recorded in (
            [SessionMatched, SessionEnded],
            [SessionMatched, SessionConnected, SessionEnded],
        )
        assert ("connected" in one.states) is (SessionConnected in recorded)
        for tab in (one, other):
            await tab.drop()
        await trio.sleep(20)


async def test_whoever_is_left_in_the_moment_of_the_limit_searches_again(
    clock: MockClock, building: Building
) -> None:
    """Grace and limit pass at once; whose turn comes first is by chance, and both orders must occur."""
    causes = set()
    for _ in range(40):
        one, other = await building.pair()
        await other.drop()
        await trio.sleep(15.1)
        causes.add(one.last["cause"])
        if one.last["cause"] == "partner_lost":
            assert one.last["search_again_ms"] is not None
        await one.drop()
        await trio.sleep(20)
    assert causes == {"partner_lost", "connect_timeout"}


async def test_saying_connected_twice_does_no_harm(clock: MockClock, building: Building) -> None:
    one, other = await building.pair()
    for _ in range(3):
        other.say_at_once("connected", session=one.session)
    for _ in range(3):
        one.say_at_once("connected", session=one.session)
    await until_quiet()
    assert {one.state, other.state} == {"connected"}
    assert building.lines.events("crashed") == []


async def test_whoever_was_ready_goes_back_to_the_head_with_the_waiting_time_they_had(
    clock: MockClock,
    building: Building,
) -> None:
    ada = await building.searching("Ada", subject="maths")
    await trio.sleep(60)
    ben = await building.searching("Ben")
    assert ada.state == "connecting"
    others = [await building.searching(name, subject="maths", language=name) for name in ("Carl", "Dora")]
    await trio.sleep(1)
    await ben.about("failed")
    await trio.sleep(0.6)
    # Ada has waited 60 s; she is matched with Carl, the oldest of the others, in this very moment.
    assert ada.states[-2:] == ["searching", "connecting"]
    searching = ada.all("state")[-2]
    assert searching["since_ms"] == 60_000
    assert [tab.state for tab in others] == ["connecting", "searching"]


async def test_at_the_head_means_before_those_who_have_waited_longer(
    clock: MockClock, building: Building
) -> None:
    carl = await building.searching("Carl", subject="maths", language="x")
    await trio.sleep(10)
    ada, ben = (
        await building.searching("Ada", subject="history"),
        await building.searching("Ben", subject="history"),
    )
    assert ada.state == "connecting"
    await ben.about("failed")
    await trio.sleep(1)
    assert (ada.state, carl.state) == ("searching", "searching")
    dora = await building.searching("Dora")
    assert dora.last["partner"]["id"] == ada.person.id


async def test_whoever_is_skipped_while_connecting_loses_nothing(
    clock: MockClock, building: Building
) -> None:
    ada = await building.searching("Ada")
    await trio.sleep(30)
    ben = await building.searching("Ben")
    await ben.about("skip")
    await trio.sleep(0.6)
    assert (ada.last["since_ms"], ben.last["since_ms"]) == (30_000, 0)


async def test_a_skip_that_the_partners_failure_overtakes_costs_no_waiting_time(
    clock: MockClock, building: Building
) -> None:
    ben, ada = await building.tab("Ben"), await building.searching("Ada")
    await trio.sleep(30)
    await ben.say("search")
    with turns_in_order(last_first=False):  # Ben's actor is the older one
        ada.say_at_once("skip", session=ada.session)
        ben.say_at_once("failed", session=ben.session, code="no_device")
        await until_quiet()
    assert (ada.last["state"], ada.last["cause"]) == ("ended", "connect_failed")
    await trio.sleep(0.6)
    assert (ada.state, ada.last["since_ms"]) == ("searching", 30_000)


async def test_a_call_that_took_place_starts_a_new_waiting_time(clock: MockClock, building: Building) -> None:
    ada = await building.searching("Ada")
    await trio.sleep(30)
    ben = await building.searching("Ben")
    await ada.about("connected")
    await ben.about("connected")
    await ben.about("skip")
    await trio.sleep(0.6)
    assert (ada.last["since_ms"], ben.last["since_ms"]) == (0, 0)


# Frames that are late, not allowed, or nonsense


async def test_a_frame_about_another_session_is_dropped_in_silence(
    clock: MockClock, building: Building
) -> None:
    ada, ben = await building.call()
    old = ada.session
    await ada.about("skip")
    before = len(ada.frames)
    for kind in ("signal", "connected", "failed", "skip", "end", "chat"):
        await ada.say(kind, session="another", data=1, text="late")
    await trio.sleep(6)
    assert {ada.state, ben.state} == {"connecting"}
    assert ada.session != old
    for kind in ("signal", "skip", "end", "failed", "connected"):
        await ada.say(kind, session=old, data=1)
    assert {ada.state, ben.state} == {"connecting"}
    assert ben.all("signal") == []
    assert not any(frame["type"] == "error" for frame in ada.frames[before:])


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("idle", "cancel"),
        ("idle", "hello"),
        ("searching", "search"),
        ("connecting", "search"),
        ("connecting", "chat"),
        ("connected", "connected"),
        ("connected", "failed"),
        ("connected", "cancel"),
    ],
)
async def test_a_frame_that_means_nothing_now_is_refused_politely_and_changes_nothing(
    clock: MockClock, building: Building, state: str, kind: str
) -> None:
    match state:
        case "idle":
            tab = await building.tab("Ada")
        case "searching":
            tab = await building.searching("Ada")
        case "connecting":
            tab, _ = await building.pair()
        case _:
            tab, _ = await building.call()
    await tab.say(kind, session=tab.last["session"], text="x", data=1, version=1, token="t")
    assert tab.frames[-1]["type"] == "error"
    assert tab.frames[-1]["code"] == "not_now"
    assert tab.frames[-1]["about"] == kind
    assert tab.state == state
    assert building.lines.events("crashed") == []


async def test_a_ping_is_answered_in_every_state(clock: MockClock, building: Building) -> None:
    tabs = [
        await building.tab("Ada"),
        *await building.pair("Ben", "Carl"),
        *await building.call("Dora", "Eve"),
        await building.searching("Finn"),
    ]
    for tab in tabs:
        await tab.say("ping")
        assert tab.frames[-1]["type"] == "pong"


async def test_numbers_rise_by_one_with_every_frame(clock: MockClock, building: Building) -> None:
    ada, ben = await building.call()
    await ben.about("chat", text="hello")
    await ada.say("ping")
    await ada.about("skip")
    await trio.sleep(30)
    assert [frame["seq"] for frame in ada.frames] == list(range(1, len(ada.frames) + 1))


# Both at once


@pytest.mark.parametrize(
    ("first", "second"), [("skip", "skip"), ("end", "end"), ("skip", "end"), ("end", "skip")]
)
async def test_two_who_leave_at_once_end_one_session_once(
    clock: MockClock, building: Building, first: str, second: str
) -> None:
    ada, ben = await building.call()
    session = ada.session
    ada.say_at_once(first, session=session)
    ben.say_at_once(second, session=session)
    await until_quiet()
    [(cause, by)] = ends(building, session)
    leaver = ada if by == ada.person.id else ben
    other = ben if leaver is ada else ada
    assert (
        cause is {"skip": SessionCause.SKIPPED, "end": SessionCause.ENDED}[first if leaver is ada else second]
    )
    told = {
        tab: next(f for f in tab.all("state") if f["state"] == "ended")["cause"] for tab in (leaver, other)
    }
    assert told[leaver] == cause.value
    assert told[other] == f"partner_{cause.value}"
    await trio.sleep(1)
    for tab, wish in ((ada, first), (ben, second)):
        assert tab.state == ("searching" if wish == "skip" else "idle")


async def test_everybody_at_once(clock: MockClock, building: Building) -> None:
    tabs = [await building.tab(f"P{n}") for n in range(50)]
    for tab in tabs:
        tab.say_at_once("search")
    await until_quiet()
    assert {tab.state for tab in tabs} == {"connecting"}
    partners = {tab.person.id: tab.last["partner"]["id"] for tab in tabs}
    assert all(partners[partners[one]] == one for one in partners)
    assert trio.current_time() == 0


# Away, and back


async def test_the_partner_of_who_drops_is_told_at_once_and_again_when_they_are_back(
    clock: MockClock,
    building: Building,
) -> None:
    ada, ben = await building.call()
    await ada.drop()
    assert ben.frames[-1] | {"seq": 0} == {"type": "partner", "session": ben.session, "away": True, "seq": 0}
    await trio.sleep(10)
    back = await ada.come_back()
    assert ben.frames[-1]["away"] is False
    assert back.all("welcome")[0]["resumed"] is True
    assert (back.state, back.session) == ("connected", ben.session)
    assert back.last["since_ms"] == 10_000
    assert back.last["cue"] is None


async def test_the_snapshot_of_who_comes_back_says_that_the_partner_is_away(
    clock: MockClock, building: Building
) -> None:
    ada, ben = await building.call()
    await ada.drop()
    await ben.drop()
    back = await ada.come_back()
    assert back.last["partner"]["away"] is True


@pytest.mark.parametrize("state", ["idle", "searching", "connecting", "connected", "ended"])
async def test_a_dropped_connection_resumes_in_every_state(
    clock: MockClock, building: Building, state: str
) -> None:
    match state:
        case "idle":
            ada = await building.tab("Ada")
        case "searching":
            ada = await building.searching("Ada")
        case "connecting":
            ada, _ = await building.pair()
        case "connected":
            ada, _ = await building.call()
        case _:
            ada, _ = await building.pair()
            await ada.about("failed")
    assert ada.state == state
    before = ada.last
    await trio.sleep(1)
    await ada.drop()
    await trio.sleep(2)
    back = await ada.come_back()
    assert [frame["type"] for frame in back.frames[:2]] == ["welcome", "state"]
    changing = ("seq", "since_ms", "deadline_ms", "cue", "search_again_ms", "search_again_in")
    assert {k: v for k, v in back.last.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert back.last["since_ms"] == 3000
    assert back.last["cue"] is None
    if state == "connecting":
        assert back.last["deadline_ms"] == 12_000


async def test_what_was_said_meanwhile_and_what_was_lost_on_the_way_arrives_once_and_in_order(
    clock: MockClock,
    building: Building,
) -> None:
    ada, ben = await building.pair()
    await ben.about("signal", data="seen")
    seen = ada.seq
    await ben.about("signal", data="lost on the way")
    await ada.drop()
    await ben.about("signal", data="said meanwhile")
    await ben.about("signal", data="and more")
    back = await ada.come_back(seq=seen)
    assert [f["data"] for f in back.all("signal")] == ["lost on the way", "said meanwhile", "and more"]
    assert [f["seq"] for f in back.frames] == list(range(ada.seq + 1, ada.seq + 1 + len(back.frames)))
    await back.drop()
    again = await back.come_back()
    assert again.all("signal") == []


async def test_a_change_of_state_that_nobody_heard_is_heard_on_coming_back(
    clock: MockClock, building: Building
) -> None:
    ada, ben = await building.call()
    await ada.drop()
    await ben.about("chat", text="too late for that")
    await ben.about("end")
    back = await ada.come_back()
    assert (back.state, back.last["cause"], back.last["cue"]) == ("ended", "partner_ended", "hangup")
    assert back.all("chat") == []


async def test_who_does_not_come_back_within_the_grace_is_lost(clock: MockClock, building: Building) -> None:
    ada, ben = await building.call()
    session = ada.session
    await ada.drop()
    await trio.sleep(14.9)
    assert ben.state == "connected"
    await trio.sleep(0.2)
    assert (ben.state, ben.last["cause"], ben.last["cue"]) == ("ended", "partner_lost", "hangup")
    assert ends(building, session) == [(SessionCause.LOST, ada.person.id)]
    assert building.hall.user(ada.person.id) is None
    back = await ada.come_back()
    assert back.all("welcome")[0]["resumed"] is False
    assert back.state == "idle"


async def test_coming_back_lifts_the_deadline_for_good(clock: MockClock, building: Building) -> None:
    ada, ben = await building.call()
    await ada.drop()
    await trio.sleep(14)
    await ada.come_back()
    await trio.sleep(1000)
    assert ben.state == "connected"


async def test_who_is_away_is_not_matched_but_keeps_their_place_and_waiting_time(
    clock: MockClock,
    building: Building,
) -> None:
    ada = await building.searching("Ada", subject="x")
    await trio.sleep(10)
    ben = await building.searching("Ben", subject="y")
    await ada.drop()
    carl = await building.searching("Carl")
    assert carl.last["partner"]["id"] == ben.person.id
    dora = await building.searching("Dora", subject="z")
    await trio.sleep(5)
    back = await ada.come_back()
    assert (back.state, back.last["since_ms"]) == ("searching", 15_000)
    eve = await building.searching("Eve")
    assert eve.last["partner"]["id"] == ada.person.id
    assert dora.state == "searching"


async def test_a_match_in_the_moment_of_the_drop_keeps_them_from_nothing(
    clock: MockClock,
    building: Building,
) -> None:
    """Whose turn comes first is by chance: Ada has left the search already, or leaves a match unheard."""
    ada, ben = await building.searching("Ada"), await building.tab("Ben")
    ben.say_at_once("search")
    ada.drop_at_once()
    await until_quiet()
    was_matched = ben.state != "searching"
    assert ben.states[-3:] == (["searching", "connecting", "ended"] if was_matched else ["idle", "searching"])
    back = await ada.come_back()
    if was_matched:
        assert (back.state, ben.last["cause"]) == ("searching", "partner_lost")
        await trio.sleep(building.settings.search_again_s + building.settings.apart_s + 0.1)
    assert {back.state, ben.state} == {"connecting"}


async def test_the_newest_connection_of_a_person_wins(clock: MockClock, building: Building) -> None:
    ada, ben = await building.call()
    newer = await ada.come_back()
    assert ada.code is CloseCode.CONNECTED_ELSEWHERE
    assert newer.all("welcome")[0]["resumed"] is True
    assert newer.state == "connected"
    assert not [f for f in ben.all("partner") if f["away"]]
    await ada.drop()  # the old connection's end is no news
    await trio.sleep(60)
    assert ben.state == "connected"
    ada.say_at_once("end", session=ada.session)
    await until_quiet()
    assert ben.state == "connected"


@pytest.mark.parametrize("key", ["wrong", ""])
async def test_without_the_right_key_a_person_starts_afresh_and_the_old_session_ends(
    clock: MockClock, building: Building, key: str
) -> None:
    ada, ben = await building.call()
    session = ada.session
    fresh = Tab(building, "Ada", ada.person)
    await (fresh.open(ada, key=key) if key else fresh.open())
    assert ada.code is CloseCode.CONNECTED_ELSEWHERE
    assert fresh.all("welcome")[0]["resumed"] is False
    assert fresh.state == "idle"
    assert ben.last["cause"] == "partner_lost"
    assert len(ends(building, session)) == 1
    assert len(building.hall) == 2


async def test_nobody_is_matched_with_themselves_whatever_they_open(
    clock: MockClock, building: Building
) -> None:
    ada = await building.searching("Ada")
    second = await Tab(building, "Ada", ada.person).open()
    await second.say("search")
    await trio.sleep(60)
    assert second.state == "searching"


async def test_more_than_fits_for_somebody_who_is_away_costs_them_what_does_not_fit_and_not_their_place(
    clock: MockClock,
) -> None:
    async with a_hall(outbox_max=16, signals_burst=16) as building:
        ada, ben = await building.call()
        await ada.drop()
        for n in range(20):
            await ben.about("signal", data=n)
        assert (ada.user and ada.user.state, ben.state) == ("connected", "connected")
        ada = await ada.come_back()
        assert [frame["data"] for frame in ada.all("signal")] == list(range(16))
        [error] = ada.all("error")
        assert error["code"] == "missed"
        assert error["seq"] > ada.all("signal")[-1]["seq"]
        await ben.about("signal", data="and on")
        assert ada.all("signal")[-1]["data"] == "and on"
        assert len(building.lines.events("overflow")) == 1
        [back] = building.lines.events("back")
        assert back["frames_lost"] == 4


async def test_connections_that_drop_and_come_back_are_a_line_each(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, _ = await building.call()
        await ada.drop()
        await trio.sleep(2)
        await ada.come_back()
        [away], [back] = building.lines.events("away"), building.lines.events("back")
        assert (away["actor"], away["cause"], away["session"]) == (
            f"user {ada.person.id}",
            "dropped",
            ada.session,
        )
        assert (back["actor"], back["lasted_ms"], back["session"]) == (away["actor"], 2000, ada.session)


# Crashes


async def test_a_user_that_crashes_is_one_report_and_a_lost_partner(
    clock: MockClock, building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, ben = await building.call()
    carl, dora = await building.call("Carl", "Dora")
    session = ada.session
    assert ada.user is not None
    monkeypatch.setattr(ada.user._inbox, "_is_meant", lambda said: 1 / 0)
    await ada.say("ping")
    assert ada.code is CloseCode.CRASHED
    assert ben.last["cause"] == "partner_lost"
    assert ends(building, session) == [(SessionCause.LOST, ada.person.id)]
    [report] = building.lines.events("crashed")
    assert report["actor"] == f"user {ada.person.id}"
    assert any("to=connected" in event for event in report["recent"])
    assert {carl.state, dora.state} == {"connected"}
    fresh = await ada.come_back()
    assert fresh.state == "idle"


async def test_calls_go_on_and_searches_keep_their_waiting_time_when_the_matcher_crashes(
    clock: MockClock, building: Building, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, ben = await building.call()
    carl = await building.searching("Carl", subject="x")
    await trio.sleep(10)
    dora = await building.searching("Dora", subject="y")
    with monkeypatch.context() as faulty:
        crashes = iter([lambda: 1 / 0])
        offer = Pool.offer
        faulty.setattr(Pool, "offer", lambda *given: next(crashes, lambda: offer(*given))())
        eve = await building.searching("Eve", subject="z")
    assert [line["actor"] for line in building.lines.events("crashed")] == ["matcher"]
    assert eve.state == "searching"
    assert {ada.state, ben.state} == {"connected"}
    await ada.about("chat", text="still here")
    assert ben.all("chat")
    assert {carl.state, dora.state} == {"searching"}
    finn = await building.searching("Finn")
    assert finn.last["partner"]["id"] == carl.person.id
    george = await building.searching("George", subject="z")
    assert george.last["partner"]["name"] == "Eve"


# The end


async def test_everybody_is_told_when_the_hall_closes(clock: MockClock) -> None:
    async with a_hall() as building:
        ada, ben = await building.call()
        carl = await building.searching("Carl")
        session = ada.session
    assert {ada.code, ben.code, carl.code} == {CloseCode.RESTARTING}
    assert ends(building, session) == []
    assert len(building.hall) == 0


async def test_who_only_comes_and_goes_leaves_no_record(clock: MockClock, building: Building) -> None:
    for number in range(20):
        await (await building.searching("Guest", subject=f"{number}")).drop()
    await trio.sleep(60)
    assert building.store.entries == []


async def test_a_match_is_told_with_the_names_of_both(clock: MockClock, building: Building) -> None:
    ada, ben = await building.pair()
    await trio.sleep(1)
    record = building.store.entries[0].record
    assert isinstance(record, SessionMatched)
    named = {record.first: record.first_name, record.second: record.second_name}
    assert named == {ada.person.id: ada.person.name, ben.person.id: ben.person.name}


async def test_an_encounter_is_told_in_five_lines_a_person(clock: MockClock, building: Building) -> None:
    ada, ben = await building.searching("Ada"), await building.searching("Ben")
    await ada.about("connected")
    await ben.about("connected")
    await trio.sleep(2)
    session = ada.session
    await ada.about("skip")
    await trio.sleep(1)
    lines = [line for line in building.lines if line["actor"] == f"user {ada.person.id}"]
    assert [(line["event"], line.get("to"), line.get("cause")) for line in lines] == [
        ("arrived", None, None),
        ("moved", "searching", None),
        ("moved", "connecting", "matched"),
        ("moved", "connected", "connected"),
        ("moved", "ended", "skipped"),
        ("moved", "searching", None),
    ]
    ended = lines[4]
    assert (ended["session"], ended["partner"], ended["lasted_ms"]) == (session, ben.person.id, 2000)


async def test_every_edge_and_every_cause_of_the_table_happens(clock: MockClock, building: Building) -> None:
    """Each way through the table is walked by real people; what nobody walks, the table should not hold."""

    async def ended_by(kind: str, *, call: bool, **fields: str) -> None:
        one, _ = await (building.call() if call else building.pair())
        await one.about(kind, **fields)
        await rest()

    async def rest() -> None:
        for tab in tabs():
            if tab.code is None and tab.user is not None and not tab.user.gone.is_set():
                await tab.drop()
        await trio.sleep(20)

    def tabs() -> list[Tab]:
        return building.tabs

    for call in (False, True):
        await ended_by("skip", call=call)
        await ended_by("end", call=call)
        one, other = await (building.call() if call else building.pair())
        await one.drop()
        await trio.sleep(16)
        await rest()
    await ended_by("failed", call=False)
    one, other = await building.pair()
    await trio.sleep(16)
    await rest()
    for _ in range(30):  # whose turn comes first is by chance
        one, other = await building.pair()
        await other.about("connected")
        one.say_at_once("connected", session=one.session)
        other.say_at_once("failed", session=one.session)
        await rest()
    ada = await building.searching("Ada")
    await ada.say("cancel")
    await rest()
    walked = {(source, target, cause) for source, target, cause in building.moves()}
    legal = {
        (source.value, target.value, cause and cause.value)
        for (source, target), causes in EDGES.items()
        for cause in causes
    }
    assert walked <= legal
    assert {(s, t, c) for s, t, c in legal - walked if c != "restarting"} == set()
