"""Supervision: restart, giving up, crash reports, and stopping in order."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
import trio

from actors import (
    Backoff,
    Intensity,
    Mailbox,
    TooManyRestartsError,
    keep_running,
    open_crew,
    open_helpers,
    serving,
)
from actors.testing import Lines
from tests.support.leftovers import without_collector


async def test_a_service_is_run_again_at_once_and_finishes_when_it_returns(
    lines: Lines, autojump_clock: trio.testing.MockClock
) -> None:
    runs = []

    async def run() -> None:
        runs.append(trio.current_time())
        if len(runs) < 3:
            raise RuntimeError(f"crash {len(runs)}")

    await keep_running(run, lines.journal("service"), Intensity(restarts=3))
    assert runs == [0, 0, 0]
    assert [line["error"] for line in lines.events("crashed")] == [
        "RuntimeError('crash 1')",
        "RuntimeError('crash 2')",
    ]


async def test_a_service_that_crashes_too_often_takes_its_supervisor_down(
    lines: Lines, autojump_clock: trio.testing.MockClock
) -> None:
    async def run() -> None:
        await trio.sleep(1)
        raise RuntimeError("again")

    with pytest.RaisesGroup(
        pytest.RaisesExc(TooManyRestartsError, match="crashed 4 times in 30 s")
    ) as caught:
        async with serving(run, lines.journal("service"), Intensity(restarts=3, period_s=30)):
            await trio.sleep_forever()
    assert isinstance(caught.value.exceptions[0].__cause__, RuntimeError)
    assert trio.current_time() == 4


async def test_crashes_long_ago_are_forgiven(lines: Lines, autojump_clock: trio.testing.MockClock) -> None:
    async def run() -> None:
        await trio.sleep(11)
        raise RuntimeError("now and then")

    with trio.move_on_after(1000):
        await keep_running(run, lines.journal("service"), Intensity(restarts=3, period_s=30))
    assert len(lines.events("crashed")) == 90


async def test_what_others_can_do_without_is_run_again_for_ever_with_growing_pauses(
    lines: Lines, autojump_clock: trio.testing.MockClock
) -> None:
    """Each life lasts a second, until one is sound."""
    begun: list[float] = []

    async def run() -> None:
        begun.append(trio.current_time())
        await trio.sleep(60 if len(begun) == 6 else 1)
        raise RuntimeError("the database stopped")

    with trio.move_on_after(200):
        async with serving(run, lines.journal("service"), Backoff(first_s=2, most_s=10, sound_s=60)):
            await trio.sleep_forever()
    from_one_to_the_next = [after - before for before, after in pairwise(begun)]
    assert from_one_to_the_next[:9] == [1 + 2, 1 + 4, 1 + 8, 1 + 10, 1 + 10, 60 + 2, 1 + 4, 1 + 8, 1 + 10]
    assert len(lines.events("crashed")) == len(begun) > 9


async def test_a_cancellation_is_not_a_crash(lines: Lines) -> None:
    async with serving(trio.sleep_forever, lines.journal("service"), Intensity()):
        pass
    assert lines.events("crashed") == []


async def test_a_service_with_a_stop_of_its_own_finishes_its_work(lines: Lines) -> None:
    mailbox: Mailbox[int] = Mailbox()
    done: list[int] = []

    async def run() -> None:
        try:
            while True:
                done.append(await mailbox.receive())
        except trio.EndOfChannel:
            return

    async with serving(run, lines.journal("service"), Intensity(), stop=mailbox.close):
        for n in range(50):
            mailbox.tell(n)
    assert done == list(range(50))


async def test_services_stop_in_reverse_order(lines: Lines) -> None:
    stopped: list[str] = []

    def service(name: str):  # type: ignore[no-untyped-def]
        async def run() -> None:
            try:
                await trio.sleep_forever()
            finally:
                stopped.append(name)

        return serving(run, lines.journal(name), Intensity())

    async with service("ledger"), service("matcher"), open_crew() as crew:

        async def member() -> None:
            try:
                await trio.sleep_forever()
            finally:
                stopped.append("member")

        crew.hire(member, lines.journal("member"))
        await trio.lowlevel.checkpoint()
    assert stopped == ["member", "matcher", "ledger"]


async def test_a_crew_member_that_crashes_is_reported_and_nobody_else_notices(
    lines: Lines, autojump_clock: trio.testing.MockClock
) -> None:
    finished = []

    async def sound() -> None:
        await trio.sleep(2)
        finished.append("sound")

    journal = lines.journal("member 7")

    async def faulty() -> None:
        journal.note("tripped", over="a wire")
        await trio.sleep(1)
        raise ValueError("fell")

    async with open_crew() as crew:
        crew.hire(sound, lines.journal("member 8"))
        crew.hire(faulty, journal)
        await trio.sleep(3)
    assert finished == ["sound"]
    [report] = lines.events("crashed")
    assert report["actor"] == "member 7"
    assert report["recent"] == ["-1.000s tripped over=a wire"]
    assert report["error"] == "ValueError('fell')"


class Known:
    """What a helper knows."""


async def help_with(known: Known) -> None:
    await trio.sleep_forever()


async def crash_once(crashes: list[Exception]) -> None:
    """Crash in the block, with helpers there, and in a block in another; the second time return."""
    async with open_helpers() as outer:
        outer.start_soon(help_with, Known())
        async with open_helpers() as inner:
            inner.start_soon(help_with, Known())
            await trio.testing.wait_all_tasks_blocked()
            if crashes:
                raise crashes.pop()


async def test_a_service_that_crashes_with_helpers_leaves_no_cycle(lines: Lines) -> None:
    with without_collector() as leftovers:
        await keep_running(
            partial(crash_once, [ValueError("planned")]), lines.journal("service"), Intensity()
        )
    assert leftovers.found.keys() & {f"{__name__}.Known", "frame of crash_once"} == set()
