"""Nobody who leaves leaves anything behind that waits for the collector: every state, every way, both paths.

The collector looks at everything once an hour, and one attacker can come and leave often in a second.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import pytest
import trio
import trio.testing

from actors import Door
from studymatch.pairing import Pairing
from studymatch.person.answers import Answers
from studymatch.person.inbox import Inbox
from studymatch.person.outgoing import Outgoing
from studymatch.person.session import Session
from studymatch.person.user import User
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.outbox import Outbox
from studymatch.rules.pool import Ticket
from tests.support.leftovers import all_set_aside, without_collector
from tests.support.lobby import Lobby, Person, a_lobby
from tests.support.raw_client import BINARY, CLOSE, TEXT
from web.conversation import Conversation
from web.reception import QueueSocket
from web.server import accept

Way = Callable[[Lobby, Person], Awaitable[None]]

SETTINGS: dict[str, Any] = {"outbox_max": 20, "signals_burst": 20, "presence_every_s": 10_000.0}
PERSONAL = {
    f"{kind.__module__}.{kind.__qualname__}"
    for kind in (
        *(User, Inbox, Session, Pairing, Outgoing, Outbox, Ticket, Door, Answers),
        *(Conversation, QueueSocket),
    )
} | {"web.server.direct.DirectSocket", "web.server.connection.Connection"}
STATES = ("idle", "searching", "connecting", "connected", "ended")


@pytest.fixture(scope="module", autouse=True)
def cheap_collections() -> Iterator[None]:
    with all_set_aside():
        yield


@pytest.fixture
def clock() -> trio.testing.MockClock:
    """Jumps soon: both ends of a connection are in this process."""
    return trio.testing.MockClock(autojump_threshold=0.01)


@pytest.fixture(params=["direct", "ordinary"], autouse=True)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "ordinary":
        monkeypatch.setattr(accept, "IS_OFFERED", False)


async def says_goodbye(_: Lobby, person: Person) -> None:
    await person.send_frame(CLOSE, b"\x03\xe8")
    await person.ended()


async def closes_the_connection(_: Lobby, person: Person) -> None:
    await person.stream.aclose()


async def vanishes(_: Lobby, person: Person) -> None:
    person.reset()


async def comes_back_and_vanishes(lobby: Lobby, person: Person) -> None:
    person.reset()
    await trio.sleep(1)
    back = await lobby.come_in(person, resume=True)
    back.reset()


async def falls_silent(_: Lobby, person: Person) -> None:
    await person.ended()


async def opens_a_second_tab(lobby: Lobby, person: Person) -> None:
    other = await lobby.come_in(person)
    await person.ended()
    other.reset()


async def is_replaced_by_a_connection_with_the_key(lobby: Lobby, person: Person) -> None:
    other = await lobby.come_in(person, resume=True)
    await person.ended()
    other.reset()


async def sends_nonsense(_: Lobby, person: Person) -> None:
    for _attempt in range(20):
        await person.say("dance")
    await person.ended()


async def sends_too_much(_: Lobby, person: Person) -> None:
    try:
        for _attempt in range(1000):
            await person.say("ping")
        await person.ended()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await person.stream.aclose()


async def sends_a_message_that_is_too_large(_: Lobby, person: Person) -> None:
    with suppress(trio.BrokenResourceError):  # it may be refused by its head
        await person.send_frame(TEXT, b"x" * 70_000)
    await person.ended()


async def sends_binary_and_breaks_the_protocol(_: Lobby, person: Person) -> None:
    await person.send_frame(BINARY, b"\x00")
    await person.send(b"\xff\xff\xff\xff")
    await person.ended()


async def crashes(lobby: Lobby, person: Person) -> None:
    lobby.user(person)._inbox.mailbox.tell(object())  # type: ignore[arg-type]
    await person.ended()


async def crashes_where_a_frame_is_settled(_: Lobby, person: Person) -> None:
    def crash(*_: Any) -> bool:
        raise ValueError("planned")

    with patch.object(Inbox, "_is_meant", crash):
        await person.say("ping")
        await person.ended()


async def is_told_to_leave(lobby: Lobby, person: Person) -> None:
    lobby.user(person).leave(CloseCode.CONNECTED_ELSEWHERE)
    await person.ended()


async def loses_the_matcher(lobby: Lobby, person: Person) -> None:
    lobby.building.hall._matcher.tell(object())  # type: ignore[arg-type]
    await trio.sleep(31)  # three in thirty seconds are forgiven
    person.reset()


WAYS: tuple[Way, ...] = (
    says_goodbye,
    closes_the_connection,
    vanishes,
    comes_back_and_vanishes,
    falls_silent,
    opens_a_second_tab,
    is_replaced_by_a_connection_with_the_key,
    sends_nonsense,
    sends_too_much,
    sends_a_message_that_is_too_large,
    sends_binary_and_breaks_the_protocol,
    crashes,
    crashes_where_a_frame_is_settled,
    is_told_to_leave,
    loses_the_matcher,
)


async def somebody(lobby: Lobby, state: str) -> tuple[Person, Person | None]:
    """Somebody in this state, and their partner, if they have one."""
    if state in ("idle", "searching"):
        person = await lobby.come_in()
        if state == "searching":
            await person.say("search")
            await person.until("state", state="searching")
        return person, None
    person, partner = await (lobby.pair() if state == "connecting" else lobby.call())
    if state == "ended":
        await person.about("skip")
        await person.until("state", state="ended")
    return person, partner


async def leave(lobby: Lobby, state: str, way: Way) -> None:
    """Be in this state, and leave in this way; the partner vanishes afterwards."""
    person, partner = await somebody(lobby, state)
    if partner is None:
        await way(lobby, person)
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_alive, partner)
            await way(lobby, person)
            nursery.cancel_scope.cancel()
        partner.reset()
    await lobby.deserted()


async def keep_alive(partner: Person) -> None:
    while True:
        await trio.sleep(10)
        await partner.say("ping")


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_who_leaves_is_gone_at_once(way: Way, clock: trio.testing.MockClock) -> None:
    async with a_lobby(**SETTINGS) as lobby:
        await leave(lobby, "connected", way)  # whatever is made once is made here
        await leave(lobby, "ended", way)
        for state in STATES:
            with without_collector() as leftovers:
                await leave(lobby, state, way)
            assert leftovers.found == {}, f"somebody who {way.__name__} while {state}"


async def says_nothing(_: Lobby, person: Person) -> None:
    await person.ended()


async def has_a_forged_token(_: Lobby, person: Person) -> None:
    for token in ("forged", person.page.token[:-1], person.page.token.replace(".", ".x", 1), "", "a.b.c"):
        await person.say("hello", version=1, token=token)
    await person.ended()


async def has_an_expired_token(lobby: Lobby, person: Person) -> None:
    with patch.object(lobby.identities, "_life_s", -3600.0):
        await person.say("hello", version=1, token=person.page.token)
        await person.ended()


async def says_something_else(_: Lobby, person: Person) -> None:
    await person.say("search")
    await person.ended()


async def says_no_text(_: Lobby, person: Person) -> None:
    await person.send_frame(BINARY, b"\x00")
    await person.ended()


@pytest.mark.parametrize(
    "way",
    [
        says_nothing,
        has_a_forged_token,
        has_an_expired_token,
        says_something_else,
        says_no_text,
        says_goodbye,
        closes_the_connection,
        vanishes,
        sends_a_message_that_is_too_large,
    ],
    ids=lambda way: way.__name__,
)
async def test_who_never_came_in_is_gone_at_once(way: Way, clock: trio.testing.MockClock) -> None:
    async with a_lobby(**SETTINGS) as lobby:
        for _ in range(2):
            with without_collector() as leftovers:
                await way(lobby, await lobby.knock())
                await lobby.deserted()
        assert leftovers.found == {}


async def test_who_did_not_read_while_the_partner_talked_is_gone_at_once(
    clock: trio.testing.MockClock,
) -> None:
    """Away, with more waiting than is kept."""
    async with a_lobby(**SETTINGS) as lobby:
        for _ in range(2):
            with without_collector() as leftovers:
                person, partner = await lobby.call()
                person.reset()
                await partner.until("partner", away=True)
                for number in range(30):
                    await partner.about("chat", text=f"word {number}")
                await partner.until("state", state="ended")
                partner.reset()
                await lobby.deserted()
        assert leftovers.found == {}


async def test_a_hall_that_closes_leaves_nobody_behind(clock: trio.testing.MockClock) -> None:
    """Handed over, restored, and closed by force: whatever else a server consists of, people are gone."""
    for _ in range(2):
        with without_collector() as leftovers:
            async with a_lobby(**SETTINGS, search_again_s=10_000.0) as lobby:
                people = [await somebody(lobby, state) for state in (*STATES[2:], *STATES[:2])]
                lobby.building.saved_people = lobby.building.hall.hand_over()
                await lobby.reception.deserted()
                for person, partner in people:
                    await person.ended()
                    if partner is not None:
                        await partner.ended()
            async with a_lobby(after=lobby.building, **SETTINGS) as second:
                person, _partner = people[0]
                (await second.come_in(person, resume=True)).reset()
                await trio.sleep(1)
            del lobby, second, people, person
        assert PERSONAL & leftovers.found.keys() == set()
