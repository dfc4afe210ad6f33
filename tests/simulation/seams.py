"""Where the oracle looks on, and where crashes are planned: the product, patched for one run.

What is patched calls what it replaces and adds a look or a crash, at a place where a crash can really
happen; what the product decides stays its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from actors import Door
from studymatch.matcher import Matcher
from studymatch.messages import PairMessage, Seeker, SignalSent
from studymatch.pairing import Pairing
from studymatch.pool import Pool, Ticket, TicketId
from studymatch.stage import Stage, Turn

if TYPE_CHECKING:
    from tests.simulation.world import World


@contextmanager
def watching(world: World) -> Iterator[None]:
    """The product, with `world` looking on."""
    next_turn, tell, pair = Stage.next, Pairing.tell, Matcher._pair

    async def watched_next(stage: Stage) -> Turn:
        turn = await next_turn(stage)
        world.user_turn(stage)
        return turn

    def watched_tell(pairing: Pairing, message: PairMessage) -> None:
        if isinstance(message, SignalSent) and pairing._door.linked(pairing._partners_door):
            data = json.loads(bytes(message.data))
            world.accepted[data["session"], data["from"]].append(data["n"])
        tell(pairing, message)

    def watched_pair(
        matcher: Matcher, desk: Door[Any], first: Ticket[Seeker], second: Ticket[Seeker]
    ) -> None:
        pair(matcher, desk, first, second)
        world.pairs.append((first.door, second.door))

    class WatchedPool(Pool[Seeker]):
        def offer(self, ticket: Ticket[Seeker], now: float) -> Ticket[Seeker] | None:
            world.pool_turn(self, before=True)
            partner = super().offer(ticket, now)
            world.pool_turn(self, before=False)
            return partner

        def withdraw(self, ticket_id: TicketId) -> Ticket[Seeker] | None:
            world.pool_turn(self, before=True)
            ticket = super().withdraw(ticket_id)
            world.pool_turn(self, before=False)
            return ticket

    with ExitStack() as patches:
        patches.enter_context(patch.object(Stage, "next", watched_next))
        patches.enter_context(patch.object(Pairing, "tell", watched_tell))
        patches.enter_context(patch.object(Matcher, "_pair", watched_pair))
        patches.enter_context(patch("studymatch.matcher.Pool", WatchedPool))
        yield
