"""Mailboxes and doors: order, cancellation, late news, and links that ring exactly once."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from actors import Door, Mailbox, link
from actors.mailbox import TURNS_BEFORE_YIELD


async def test_messages_arrive_in_order_and_telling_wakes_the_reader() -> None:
    mailbox: Mailbox[int] = Mailbox()
    received: list[int] = []

    async def read() -> None:
        while len(received) < 4:
            received.append(await mailbox.receive())

    async with trio.open_nursery() as nursery:
        mailbox.tell(1)
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        assert received == [1]
        assert all(mailbox.tell(n) for n in (2, 3, 4))
    assert received == [1, 2, 3, 4]


async def test_a_cancelled_receive_has_taken_nothing() -> None:
    mailbox: Mailbox[str] = Mailbox()
    with trio.move_on_after(0) as scope:
        await mailbox.receive()
    assert scope.cancelled_caught
    mailbox.tell("kept")
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.receive()
    assert scope.cancelled_caught
    assert await mailbox.receive() == "kept"


async def test_a_message_told_in_the_step_of_the_cancellation_is_not_lost() -> None:
    mailbox: Mailbox[str] = Mailbox()
    scope = trio.CancelScope()
    received = []

    async def read() -> None:
        with scope:
            received.append(await mailbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        mailbox.tell("either")
        scope.cancel()
    assert received == [], "who has been told to stop has no further turn"
    assert mailbox.receive_nowait_all(10) == ["either"]


async def test_only_one_reader() -> None:
    mailbox: Mailbox[str] = Mailbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.receive)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await mailbox.receive()
        mailbox.tell("done")


async def test_a_closed_mailbox_gives_what_it_holds_and_then_ends() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.tell(1)
    mailbox.close()
    assert mailbox.tell(2) is False
    assert await mailbox.receive() == 1
    with pytest.raises(trio.EndOfChannel):
        await mailbox.receive()


async def test_closing_wakes_a_waiting_reader() -> None:
    mailbox: Mailbox[int] = Mailbox()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def read() -> None:
            with pytest.raises(trio.EndOfChannel):
                await mailbox.receive()

        await trio.testing.wait_all_tasks_blocked()
        mailbox.close()


@pytest.mark.parametrize("settles", [False, True])
async def test_a_busy_reader_lets_others_run(settles: bool) -> None:
    mailbox: Mailbox[int] = Mailbox()
    turns_of_others, last = 0, 10 * TURNS_BEFORE_YIELD - 1

    async def other() -> None:
        nonlocal turns_of_others
        while True:
            turns_of_others += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        for n in range(10 * TURNS_BEFORE_YIELD):
            mailbox.tell(n)
        while await mailbox.receive(lambda n: settles and n != last) != last:
            pass
        nursery.cancel_scope.cancel()
    assert 9 <= turns_of_others <= 12


async def test_what_came_through_a_door_is_dropped_once_the_door_is_closed() -> None:
    mailbox: Mailbox[str] = Mailbox()
    with Door(mailbox) as door:
        assert door.tell("in time")
        assert await mailbox.receive() == "in time"
        assert door.tell("late")
    assert door.tell("too late") is False
    mailbox.tell("meant")
    assert await mailbox.receive() == "meant"
    assert mailbox.receive_nowait_all(10) == []


async def test_a_reader_woken_by_a_message_that_is_late_by_then_goes_on_waiting() -> None:
    mailbox: Mailbox[str] = Mailbox()
    received: list[str] = []

    async def read() -> None:
        received.append(await mailbox.receive())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        with Door(mailbox) as door:
            door.tell("late")
        await trio.testing.wait_all_tasks_blocked()
        assert received == []
        mailbox.tell("meant")
    assert received == ["meant"]


def linked_pair() -> tuple[Mailbox[str], Door[str], Mailbox[str], Door[str]]:
    one: Mailbox[str] = Mailbox()
    other: Mailbox[str] = Mailbox()
    first, second = Door(one), Door(other)
    assert link(first, second, first_hears="second left", second_hears="first left")
    return one, first, other, second


def test_a_door_that_closes_rings_the_door_it_is_linked_with() -> None:
    one, first, other, second = linked_pair()
    first.close()
    assert other.receive_nowait_all(10) == ["first left"]
    second.close()
    assert one.receive_nowait_all(10) == []


async def test_a_door_rings_when_its_scope_crashes_or_is_cancelled() -> None:
    mailbox: Mailbox[str] = Mailbox()
    with Door(mailbox) as watcher:
        with pytest.raises(ZeroDivisionError), Door(Mailbox[str]()) as door:  # noqa: PT012
            link(watcher, door, first_hears="crashed", second_hears="")
            raise ZeroDivisionError
        with trio.move_on_after(0), Door(Mailbox[str]()) as door:
            link(watcher, door, first_hears="cancelled", second_hears="")
            await trio.sleep_forever()
        assert mailbox.receive_nowait_all(10) == ["crashed", "cancelled"]


def test_of_two_who_sever_at_once_exactly_one_was_it() -> None:
    one, first, other, second = linked_pair()
    assert first.sever(second, "goodbye")
    assert not second.sever(first, "goodbye too")
    first.close()
    second.close()
    assert other.receive_nowait_all(10) == []  # told through a door that has closed since
    assert one.receive_nowait_all(10) == []


def test_news_given_on_severing_replace_the_ring() -> None:
    _, first, other, second = linked_pair()
    first.sever(second, "goodbye")
    first.close()
    assert other.receive_nowait_all(10) == ["goodbye"]


@pytest.mark.parametrize("how", ["close", "sever", "crash"])
def test_what_is_to_be_done_when_a_link_breaks_is_done_once_in_the_same_step(how: str) -> None:
    first, second = Door(Mailbox[str]()), Door(Mailbox[str]())
    breaks: list[tuple[Door[str], str]] = []
    link(
        first,
        second,
        first_hears="second left",
        second_hears="first left",
        broken=lambda door, news: breaks.append((door, news)),
    )
    match how:
        case "close":
            second.close()
        case "sever":
            second.sever(first, "goodbye")
        case _:
            with suppress(ZeroDivisionError), second:
                raise ZeroDivisionError
    assert breaks == [(second, "goodbye" if how == "sever" else "second left")]
    second.close()
    first.close()
    assert len(breaks) == 1


def test_unlinking_breaks_nothing() -> None:
    first, second = Door(Mailbox[str]()), Door(Mailbox[str]())
    breaks: list[str] = []
    link(first, second, first_hears="", second_hears="", broken=lambda _, news: breaks.append(news))
    first.unlink(second)
    first.close()
    second.close()
    assert breaks == []


def test_unlinking_says_nothing() -> None:
    one, first, other, second = linked_pair()
    assert first.unlink(second)
    assert not first.unlink(second)
    first.close()
    second.close()
    assert one.receive_nowait_all(10) == other.receive_nowait_all(10) == []


def test_a_desk_rings_everybody_and_everybody_rings_the_desk() -> None:
    mailbox: Mailbox[str] = Mailbox()
    desk = Door(mailbox)
    inboxes: list[Mailbox[str]] = [Mailbox() for _ in range(3)]
    doors = [Door(inbox) for inbox in inboxes]
    for n, door in enumerate(doors):
        link(door, desk, first_hears="closed", second_hears=f"{n} left")
    doors[1].close()
    assert mailbox.receive_nowait_all(10) == ["1 left"]
    desk.close()
    assert [inbox.receive_nowait_all(10) for inbox in inboxes] == [["closed"], [], ["closed"]]


def test_linking_with_a_closed_door_links_nothing() -> None:
    mailbox: Mailbox[str] = Mailbox()
    first, second = Door(mailbox), Door(Mailbox[str]())
    second.close()
    assert not link(first, second, first_hears="never", second_hears="never")
    assert not first.linked(second)
    assert mailbox.receive_nowait_all(10) == []


def test_a_door_is_linked_neither_with_itself_nor_twice() -> None:
    _, first, _, second = linked_pair()
    with pytest.raises(ValueError, match="itself"):
        link(first, first, first_hears="", second_hears="")
    with pytest.raises(ValueError, match="already"):
        link(second, first, first_hears="", second_hears="")


@given(st.data())
def test_however_doors_are_linked_and_closed_no_ring_is_lost_or_doubled(data: st.DataObject) -> None:
    inboxes: list[Mailbox[int]] = [Mailbox() for _ in range(5)]
    doors = [Door(inbox) for inbox in inboxes]
    linked: set[frozenset[int]] = set()
    for _ in range(data.draw(st.integers(0, 30))):
        a = data.draw(st.integers(0, 4))
        b = data.draw(st.integers(0, 4).filter(lambda n: n != a))  # noqa: B023
        pair = frozenset({a, b})
        match data.draw(st.sampled_from(["link", "unlink", "close"])):
            case "link" if pair not in linked:
                both_open = doors[a].open and doors[b].open
                assert link(doors[a], doors[b], first_hears=b, second_hears=a) is both_open
                if both_open:
                    linked.add(pair)
            case "unlink":
                assert doors[a].unlink(doors[b]) is (pair in linked)
                linked.discard(pair)
            case "close":
                doors[a].close()
                rung = {n for link_ in linked if a in link_ for n in link_ if n != a}
                linked = {link_ for link_ in linked if a not in link_}
                for n, inbox in enumerate(inboxes):
                    assert inbox.receive_nowait_all(10) == ([a] if n in rung else [])
        assert all(doors[x].linked(doors[y]) for x, y in map(tuple, linked))


async def test_what_waits_can_be_looked_at_and_stays() -> None:
    mailbox: Mailbox[str] = Mailbox()
    mailbox.tell("first")
    with Door(mailbox) as closed:
        closed.tell("not wanted any more")
    mailbox.tell("last")
    assert mailbox.waiting() == ["first", "last"]
    assert mailbox.receive_nowait_all(10) == ["first", "last"]


class Settling:
    """A reader that settles small letters where it waits, and is woken by all else."""

    def __init__(self) -> None:
        self.mailbox: Mailbox[str] = Mailbox()
        self.settled: list[str] = []
        self.received: list[str] = []
        self.error: Exception | None = None
        self.scope = trio.CancelScope()

    def settle(self, message: str) -> bool:
        if message == "crash":
            raise RuntimeError(message)
        if message == "leave":
            self.scope.cancel()
        if message == "talk to yourself":
            for more in "first", "SECOND", "third":
                assert self.mailbox.tell(more)
            assert "first" not in self.settled, "one turn at a time"
        if message.isupper():
            return False
        self.settled.append(message)
        return True

    async def read(self) -> None:
        with self.scope:
            try:
                while True:
                    self.received.append(await self.mailbox.receive(self.settle))
            except RuntimeError as error:
                self.error = error


async def test_what_a_waiting_reader_settles_is_done_when_it_has_been_told(nursery: trio.Nursery) -> None:
    reader = Settling()
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    assert reader.mailbox.tell("a")
    assert reader.settled == ["a"]
    reader.mailbox.tell("B")
    reader.mailbox.tell("c")
    assert reader.settled == ["a"], "it stands behind the one that has woken the reader"
    await trio.testing.wait_all_tasks_blocked()
    assert (reader.settled, reader.received) == (["a", "c"], ["B"])
    nursery.cancel_scope.cancel()


async def test_what_was_told_before_the_reader_waits_is_settled_in_order() -> None:
    reader = Settling()
    for message in "a", "B", "c":
        reader.mailbox.tell(message)
    assert await reader.mailbox.receive(reader.settle) == "B"
    assert reader.settled == ["a"]
    reader.mailbox.close()
    with pytest.raises(trio.EndOfChannel):
        await reader.mailbox.receive(reader.settle)
    assert reader.settled == ["a", "c"]


async def test_a_message_that_is_not_settled_is_asked_about_once(nursery: trio.Nursery) -> None:
    mailbox: Mailbox[str] = Mailbox()
    asked: list[str] = []

    def settle(message: str) -> bool:
        asked.append(message)
        return False

    nursery.start_soon(mailbox.receive, settle)
    await trio.testing.wait_all_tasks_blocked()
    mailbox.tell("A")
    await trio.testing.wait_all_tasks_blocked()
    assert asked == ["A"]


async def test_what_is_told_in_the_turn_of_settling_waits_its_turn(nursery: trio.Nursery) -> None:
    reader = Settling()
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    reader.mailbox.tell("talk to yourself")
    assert reader.settled == ["talk to yourself"]
    await trio.testing.wait_all_tasks_blocked()
    assert reader.settled == ["talk to yourself", "first", "third"]
    assert reader.received == ["SECOND"]
    nursery.cancel_scope.cancel()


async def test_who_fails_to_settle_crashes_and_not_who_told(nursery: trio.Nursery) -> None:
    reader = Settling()
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    assert reader.mailbox.tell("crash")
    assert reader.mailbox.tell("a")
    await trio.testing.wait_all_tasks_blocked()
    assert str(reader.error) == "crash"
    assert reader.mailbox.waiting() == ["a"]


@pytest.mark.parametrize("then", ["a", "A", None])
async def test_who_is_cancelled_in_the_turn_of_settling_has_no_further_turn(
    nursery: trio.Nursery, then: str | None
) -> None:
    reader = Settling()
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    reader.mailbox.tell("leave")
    if then is not None:
        reader.mailbox.tell(then)
    await trio.testing.wait_all_tasks_blocked()
    assert reader.scope.cancelled_caught
    assert (reader.settled, reader.received) == (["leave"], [])
    assert reader.mailbox.waiting() == ([] if then is None else [then])


async def test_who_is_cancelled_settles_nothing_more(nursery: trio.Nursery) -> None:
    reader = Settling()
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    reader.scope.cancel()
    reader.mailbox.tell("a")
    await trio.testing.wait_all_tasks_blocked()
    assert (reader.settled, reader.mailbox.waiting()) == ([], ["a"])


async def test_a_refused_message_whose_door_closes_before_the_reader_wakes_is_dropped(
    nursery: trio.Nursery,
) -> None:
    reader = Settling()
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    with Door(reader.mailbox) as door:
        door.tell("LATE")
    reader.mailbox.tell("a")
    await trio.testing.wait_all_tasks_blocked()
    assert (reader.settled, reader.received) == (["a"], [])
    nursery.cancel_scope.cancel()


async def test_closing_in_the_turn_of_settling_wakes_the_reader(nursery: trio.Nursery) -> None:
    mailbox: Mailbox[str] = Mailbox()

    def settle(_: str) -> bool:
        mailbox.close()
        return True

    @nursery.start_soon
    async def read() -> None:
        with pytest.raises(trio.EndOfChannel):
            await mailbox.receive(settle)

    await trio.testing.wait_all_tasks_blocked()
    mailbox.tell("close")


class Collecting:
    """A reader that collects small messages in place, and writes them down before it waits."""

    def __init__(self) -> None:
        self.mailbox: Mailbox[str] = Mailbox()
        self.collected: list[str] = []
        self.written: list[list[str]] = []
        self.received: list[str] = []
        self.error: Exception | None = None

    def collect(self, message: str) -> bool:
        if message.islower():
            self.collected.append(message)
        return message.islower()

    def write(self) -> None:
        if "crash" in self.collected:
            raise RuntimeError("crash")
        if self.collected:
            self.written.append(self.collected)
            self.collected = []

    async def read(self) -> None:
        try:
            while True:
                self.received.append(await self.mailbox.receive(self.collect, self.write))
                self.collected.append(f"after {self.received[-1]}")
        except RuntimeError as error:
            self.error = error


async def test_a_reader_finishes_what_it_collected_before_it_waits(nursery: trio.Nursery) -> None:
    reader = Collecting()
    for message in "a", "B", "c":
        reader.mailbox.tell(message)
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    assert reader.written == [["a", "after B", "c"]], "once for all that was there"
    reader.mailbox.tell("d")
    assert reader.written[1:] == [["d"]], "in place, and then it goes on waiting"
    reader.mailbox.tell("E")
    reader.mailbox.tell("f")
    assert reader.written[2:] == [], "it is awake, and not yet about to wait"
    await trio.testing.wait_all_tasks_blocked()
    assert reader.written[2:] == [["after E", "f"]]
    nursery.cancel_scope.cancel()


async def test_late_messages_keep_no_reader_from_finishing(nursery: trio.Nursery) -> None:
    """All that is left in the mailbox came through a door that has closed, and will be dropped."""
    reader = Collecting()
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    with Door(reader.mailbox) as door:
        reader.mailbox.tell("A")
        door.tell("late")
    await trio.testing.wait_all_tasks_blocked()
    assert (reader.received, reader.written) == (["A"], [["after A"]])
    nursery.cancel_scope.cancel()


async def test_what_a_reader_tells_itself_before_it_waits_is_received(nursery: trio.Nursery) -> None:
    mailbox: Mailbox[str] = Mailbox()
    to_say = ["A"]

    def say() -> None:
        while to_say:
            mailbox.tell(to_say.pop())

    handled: list[str] = []

    def handle(message: str) -> bool:
        if message == "b":
            to_say.append("C")
        handled.append(message)
        return message.islower()

    received: list[str] = []

    async def read() -> None:
        while True:
            received.append(await mailbox.receive(handle, say))

    nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()
    assert received == ["A"]
    mailbox.tell("b")
    await trio.testing.wait_all_tasks_blocked()
    assert (handled, received) == (["A", "b", "C"], ["A", "C"])
    nursery.cancel_scope.cancel()


async def test_who_fails_to_finish_crashes_and_not_who_told(nursery: trio.Nursery) -> None:
    reader = Collecting()
    nursery.start_soon(reader.read)
    await trio.testing.wait_all_tasks_blocked()
    assert reader.mailbox.tell("crash")
    await trio.testing.wait_all_tasks_blocked()
    assert str(reader.error) == "crash"
