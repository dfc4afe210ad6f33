"""Every interleaving of the actions of two or three people, to a depth.

At each step one person does one of the things that their state allows: search, cancel, report that media
flow, skip, end, drop, come back. Before the next step the actors either have their turns or not; if several
are ready, the one that has been here longest runs first in one pass, and the last to come in another. All
such sequences of the depths below are played in one real hall on a jumping clock. After each, partners must
be mutual, no two people who fit may be searching, and pages must have received the true state; when all have
left, every session must have one end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock

from studymatch.rules.lifecycle import State
from studymatch.rules.records import SessionEnded, SessionMatched
from tests.simulation.seams import turns_in_order
from tests.support.people import Building, Tab, a_hall, until_quiet

ALLOWED: dict[str, tuple[str, ...]] = {
    "idle": ("search",),
    "searching": ("cancel", "drop"),
    "connecting": ("connected", "skip", "drop"),
    "connected": ("skip", "end", "drop"),
    "ended": ("search", "end", "drop"),
}


@dataclass
class Choices:
    """A depth-first walk through a tree of choices: each pass ends in the next leaf."""

    taken: list[int] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    at: int = 0

    def choose(self, width: int) -> int:
        if self.at == len(self.taken):
            self.taken.append(0)
            self.widths.append(width)
        self.at += 1
        return self.taken[self.at - 1]

    def next_leaf(self) -> bool:
        """Prepare for the next leaf; returns False after the last one."""
        while self.taken and self.taken[-1] + 1 == self.widths[-1]:
            self.taken.pop()
            self.widths.pop()
        if not self.taken:
            return False
        self.taken[-1] += 1
        self.at = 0
        return True


@dataclass
class Player:
    """One person of one sequence."""

    tab: Tab
    away: bool = False

    def options(self) -> tuple[str, ...]:
        return ("come back",) if self.away else ALLOWED[self.tab.state]

    async def do(self, what: str) -> None:
        match what:
            case "drop":
                self.tab.drop_at_once()
                self.away = True
            case "come back":
                self.tab = await self.tab.come_back()
                self.away = False
            case "search":
                self.tab.say_at_once("search", criteria={"subject": self.tab.person.name})
            case "cancel":
                self.tab.say_at_once("cancel")
            case about:
                self.tab.say_at_once(about, session=self.tab.session)


async def play(building: Building, people: int, depth: int, choices: Choices, subject: str) -> None:
    players = [Player(await building.tab(subject)) for _ in range(people)]
    for _ in range(depth):
        options = [(player, what) for player in players for what in player.options()]
        player, what = options[choices.choose(len(options))]
        await player.do(what)
        if choices.choose(2) == 0:
            await until_quiet()
            check(building)
    await until_quiet()
    check(building)
    for player in players:
        if not player.away:
            await player.do("drop")
    await trio.sleep(16)


def check(building: Building) -> None:
    """Check the properties that hold whenever all actors have had their turns."""
    users = building.hall._users
    free: set[str] = set()
    for person, user in users.items():
        scene = user._inbox.current
        page = next(tab for tab in reversed(building.tabs) if tab.person.id == person)
        if user._inbox.outgoing.present:
            assert (page.state, page.last["session"]) == (scene.state, scene.session)
        if scene.state in (State.CONNECTING, State.CONNECTED):
            assert scene.partner is not None
            theirs = users[scene.partner.id]._inbox.current
            assert theirs.partner is not None
            assert (theirs.session, theirs.partner.id, theirs.state) == (scene.session, person, scene.state)
        elif scene.state is State.SEARCHING and user._inbox.outgoing.present:
            met = {
                users[other].person.id for other in free if other in user._met or person in users[other]._met
            }
            assert free <= met, "two who fit both search"
            free.add(person)


def leaves(choices: Choices) -> Iterator[int]:
    count = 0
    while True:
        yield count
        count += 1
        if not choices.next_leaf():
            return


@pytest.mark.parametrize("last_first", [False, True])
@pytest.mark.parametrize(("people", "depth"), [(2, 5), (3, 3)])
async def test_every_interleaving(
    autojump_clock: MockClock, people: int, depth: int, last_first: bool
) -> None:
    choices = Choices()
    async with a_hall() as building:
        for leaf in leaves(choices):
            with turns_in_order(last_first=last_first):
                await play(building, people, depth, choices, f"sequence {leaf}")
            assert len(building.hall) == 0
            building.tabs.clear()
        assert building.lines.events("crashed") == []
    entries = [entry.record for entry in building.store.entries]
    matched = [record.session for record in entries if isinstance(record, SessionMatched)]
    ended = [record.session for record in entries if isinstance(record, SessionEnded)]
    assert sorted(matched) == sorted(ended)
    assert len(set(matched)) == len(matched) > 0
