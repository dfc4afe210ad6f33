"""Patches of the product for one run, through which the oracle observes and planned crashes happen.

Each patch calls the code that it replaces, and adds an observation or a crash at a point where a crash can
really happen. No patch changes a decision of the product.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from weakref import proxy

import trio
from trio.testing import MockClock

from actors import Door, Mailbox
from actors.mailbox import Address, InPlace
from actors.testing import Lines
from studymatch.matcher import Matcher
from studymatch.messages import (
    ChatSent,
    MatcherMessage,
    PairMessage,
    Refused,
    Seeker,
    SignalSent,
    UserMessage,
)
from studymatch.pairing import Pairing
from studymatch.person.inbox import Inbox, Turn, nothing
from studymatch.person.inbox import InPlace as InPlaceTurn
from studymatch.person.session import Session
from studymatch.rules.pool import Pool, Ticket, TicketId
from studymatch.rules.protocol import Inbound, NumberedFrame
from studymatch.rules.records import LedgerMessage

if TYPE_CHECKING:
    from tests.simulation.world import World


class WatchedLines(Lines):
    """The journal of the run, which also adds its lines to the story."""

    def __init__(self, story: Callable[[str], None]) -> None:
        super().__init__()
        self._story = story

    def append(self, line: dict[str, Any]) -> None:
        super().append(line | {"at": f"{trio.current_time():.3f}"})
        left_out = ("level", "file", "exception")  # names of files differ between runs
        said = " ".join(f"{name}={value}" for name, value in line.items() if name not in left_out)
        self._story(said)


class LedgersMailbox(Mailbox[LedgerMessage]):
    """The ledger's mailbox, which shows each record to the oracle."""

    __slots__ = ("_world",)

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def tell(self, message: LedgerMessage) -> bool:
        taken = super().tell(message)
        if taken:
            self._world.recorded(message)
        return taken

    async def receive(
        self,
        in_place: InPlace[LedgerMessage] | None = None,
        before_waiting: Callable[[], None] | None = None,
    ) -> LedgerMessage:
        self._world.trouble.crash_here("the ledger", "crashes where it waits")
        return await super().receive(in_place, before_waiting)


class UsersMailbox(Mailbox[UserMessage]):
    """A user's mailbox: the user can crash or be cancelled when it waits, gets or takes a message."""

    __slots__ = ("_inbox", "_world")

    def __init__(self, world: World, inbox: Inbox) -> None:
        super().__init__()
        self._world = world
        self._inbox = proxy(inbox)  # a weak reference: a real mailbox does not refer to its inbox

    def tell_at(self, address: Address | None, message: UserMessage) -> bool:
        taken = super().tell_at(address, message)
        if taken:
            self._world.trouble.user_told(self._inbox)
        return taken

    async def receive(
        self,
        in_place: InPlace[UserMessage] | None = None,
        before_waiting: Callable[[], None] | None = None,
    ) -> UserMessage:
        self._world.trouble.user_waits(self._inbox)

        def handle_or_crash(message: UserMessage) -> bool:
            self._world.trouble.user_took(self._inbox)
            return in_place is not None and in_place(message)

        return await super().receive(handle_or_crash, before_waiting)


def clock_that_tells(at_rest: Callable[[], None]) -> MockClock:
    """Trio's jumping clock, which calls `at_rest` when all tasks wait, before it jumps."""
    clock = MockClock(autojump_threshold=0)
    jump = clock._autojump

    def tell_and_jump() -> None:
        at_rest()
        jump()

    clock._autojump = tell_and_jump  # type: ignore[method-assign]
    return clock


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Draw trio's scheduling from the seed, by trio's own hooks for that, which are not public."""
    internals: Any = trio._core._run
    before = internals._ALLOW_DETERMINISTIC_SCHEDULING
    internals._ALLOW_DETERMINISTIC_SCHEDULING = True
    internals._r.seed(seed)
    try:
        yield
    finally:
        internals._ALLOW_DETERMINISTIC_SCHEDULING = before


@contextmanager
def turns_in_order(*, last_first: bool) -> Iterator[None]:
    """Of several ready tasks, always run the oldest first, or always the youngest; nothing is random."""
    internals: Any = trio._core._run
    age = operator.attrgetter("_counter")
    # Trio takes the tasks of a batch from its end.
    with (
        patch.object(internals, "_ALLOW_DETERMINISTIC_SCHEDULING", True),
        patch.object(internals._r, "shuffle", lambda tasks: tasks.sort(key=age, reverse=not last_first)),
    ):
        yield


def _watched_pool(world: World) -> type[Pool[Seeker]]:
    class WatchedPool(Pool[Seeker]):
        def offer(self, ticket: Ticket[Seeker], now: float) -> Ticket[Seeker] | None:
            world.trouble.pool_turn(self, before=True)
            partner = super().offer(ticket, now)
            world.trouble.pool_turn(self, before=False)
            return partner

        def withdraw(self, ticket_id: TicketId) -> Ticket[Seeker] | None:
            world.trouble.pool_turn(self, before=True)
            ticket = super().withdraw(ticket_id)
            world.trouble.pool_turn(self, before=False)
            return ticket

        def pair_due(self, now: float) -> list[tuple[Ticket[Seeker], Ticket[Seeker]]]:
            world.trouble.pool_turn(self, before=True)
            pairs = super().pair_due(now)
            world.trouble.pool_turn(self, before=False)
            return pairs

    return WatchedPool


@contextmanager
def watching_what_is_dealt_with(world: World) -> Iterator[None]:
    """Record each numbered frame that is handled: answered, relayed, or taken as the actor's next turn."""
    is_meant, passes_on, next_turn = Inbox._is_meant, Session._passes_on, Inbox.next

    def dealt_with(inbox: Inbox, said: Turn | Refused) -> None:
        if isinstance(said, NumberedFrame | Refused) and said.n is not None:
            world.dealt_with[inbox.key, said.n] += 1

    def watched_is_meant(inbox: Inbox, said: Inbound | Refused) -> bool:
        meant = is_meant(inbox, said)
        if not meant:
            dealt_with(inbox, said)
        return meant

    def watched_passes_on(session: Session, turn: Turn) -> bool:
        passed_on = passes_on(session, turn)
        if passed_on:
            dealt_with(session._inbox, turn)
        return passed_on

    async def watched_next(inbox: Inbox, in_place: InPlaceTurn = nothing) -> Turn:
        turn = await next_turn(inbox, in_place)
        dealt_with(inbox, turn)
        return turn

    with (
        patch.object(Inbox, "_is_meant", watched_is_meant),
        patch.object(Session, "_passes_on", watched_passes_on),
        patch.object(Inbox, "next", watched_next),
    ):
        yield


@contextmanager
def watching(world: World) -> Iterator[None]:
    """The product, observed by `world`."""
    make_inbox, tell = Inbox.__init__, Pairing.tell
    matcher_run, matcher_turn, pair = Matcher.run, Matcher._turn, Matcher._pair

    def watched_inbox(inbox: Inbox, *given: Any) -> None:
        make_inbox(inbox, *given)
        inbox.mailbox = UsersMailbox(world, inbox)

    def watched_tell(pairing: Pairing, message: PairMessage) -> None:
        if isinstance(message, SignalSent | ChatSent) and pairing._door.linked(pairing._partners_door):
            said = bytes(message.data) if isinstance(message, SignalSent) else message.text
            words = json.loads(said)
            world.accepted[words["in"], words["by"]].append(words["n"])
            world.spoke_at.setdefault((words["in"], words["by"]), trio.current_time())
        tell(pairing, message)

    def watched_pair(
        matcher: Matcher, desk: Door[Any], first: Ticket[Seeker], second: Ticket[Seeker]
    ) -> None:
        pair(matcher, desk, first, second)
        world.pairs.append((first.door, second.door))

    async def watched_run(matcher: Matcher) -> None:
        try:
            await matcher_run(matcher)
        finally:
            world.pool = None

    def watched_turn(
        matcher: Matcher, pool: Pool[Seeker], desk: Door[MatcherMessage], message: MatcherMessage
    ) -> None:
        matcher_turn(matcher, pool, desk, message)
        world.trouble.crash_here("the matcher", "crashes where it waits")

    with ExitStack() as patches:
        patches.enter_context(watching_what_is_dealt_with(world))
        patches.enter_context(patch.object(Inbox, "__init__", watched_inbox))
        patches.enter_context(patch.object(Pairing, "tell", watched_tell))
        patches.enter_context(patch.object(Matcher, "run", watched_run))
        patches.enter_context(patch.object(Matcher, "_pair", watched_pair))
        patches.enter_context(patch.object(Matcher, "_turn", watched_turn))
        patches.enter_context(patch("studymatch.matcher.Pool", _watched_pool(world)))
        patches.enter_context(patch("web.server.poller.select", SimpleNamespace(epoll=world.kernel.epoll)))
        patches.enter_context(patch("web.server.poller.perf_counter", world.kernel.perf_counter))
        patches.enter_context(patch("web.server.poller.report", world.connection_failed))
        yield
