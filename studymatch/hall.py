"""The hall: starts ledger, matcher and the actors of people, and holds the actor of each person.

Nested blocks are the supervision tree: ledger, then matcher, then users; they stop in reverse order. The hall
ensures that each person, by their id, has at most one actor; it decides nothing else.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import trio

from actors import Crew, Door, Intensity, Journal, Mailbox, open_crew, serving
from studymatch.census import Census
from studymatch.ids import new_id
from studymatch.matcher import Matcher
from studymatch.messages import (
    Asked,
    Connection,
    Guest,
    Matched,
    MatcherMessage,
    PageMessage,
    PairMessage,
    PartnerLeft,
    Seeker,
)
from studymatch.pairing import bind
from studymatch.patience import Debt
from studymatch.person.accounts import Accounts
from studymatch.person.saved import SavedPerson, agreed
from studymatch.person.user import Restored, User
from studymatch.recording.ledger import Ledger
from studymatch.rules.close_codes import CloseCode
from studymatch.rules.lifecycle import IN_SESSION, SessionCause, State
from studymatch.rules.people import Person
from studymatch.rules.protocol import (
    Presence,
    ResumeRequest,
)
from studymatch.rules.records import SessionEnded
from studymatch.settings import Settings

INTENSITY = Intensity(restarts=3, period_s=30.0)
"""How many crashes of matcher or ledger are restarted. After more in the period, the process ends."""


TOLD_AT_ONCE, TOLD_EVERY_S = 10, 0.01
"""How many people are sent the count in one step, and the pause between steps: 1000 people a second, a few
percent of a core. With twenty thousand people the number on a page is up to half a minute old."""

ANSWER_LIMIT_S = 1.0
"""How long the matcher may take to answer a health check; one of its turns takes microseconds."""


class HallClosedError(Exception):
    """The hall accepts nobody any more: the server is stopping."""


class ExpiredError(Exception):
    """The token has expired, and the hello does not resume a living actor with its key."""


class Arrived(NamedTuple):
    """A person's actor, and the door through which it hears a new connection of theirs."""

    user: User
    door: Door[PageMessage]


@dataclass(frozen=True, slots=True)
class Chance:
    """The sources of ids and keys, which a test replaces with deterministic ones."""

    new_id: Callable[[], str] = new_id
    new_key: Callable[[], str] = secrets.token_urlsafe


class Hall:
    """The people who are here. Made by `open_hall`. `crew` runs the tasks whose failure affects one
    person."""

    def __init__(
        self,
        crew: Crew,
        matcher: Mailbox[MatcherMessage],
        ledger: Ledger,
        accounts: Accounts,
        settings: Settings,
        chance: Chance,
        journal_for: Callable[[str], Journal],
    ) -> None:
        self.crew = crew
        self.accounts = accounts
        self._matcher = matcher
        self._ledger = ledger
        self._settings = settings
        self._chance = chance
        self._journal_for = journal_for
        self._users: dict[str, User] = {}
        self._closed = False
        self._census = Census(settings.closed_page_grace_s)

    def __len__(self) -> int:
        """The number of people who have an actor, including those who are away."""
        return len(self._users)

    def user(self, person_id: str) -> User | None:
        """The actor of a person, if they are here."""
        return self._users.get(person_id)

    def resumes(self, person: Person, resume: ResumeRequest | None) -> bool:
        """Whether `resume` asks for an actor that is here, with its key."""
        user = self._users.get(person.id)
        return user is not None and _is_asked_for(user, resume)

    async def arrive(
        self, guest: Guest, connection: Connection, resume: ResumeRequest | None, address: str | None = None
    ) -> Arrived:
        """Connect `connection` to the actor of `guest`: the one that `resume` asks for, or a new one.

        Budgets are kept under the id of the guest and under `address`; None: under the id only.

        Without the right key, the hall first ends an actor that the person still has: a page without the key
        cannot go on with its session. Cancelling is safe until this returns.

        Raises:
            HallClosedError: the server is stopping.
            ExpiredError: the token of `guest` has expired, and `resume` finds no living actor.
        """
        while isinstance(met := self.meet(guest, connection, resume, address), trio.Event):
            await met.wait()
        return met

    def meet(
        self, guest: Guest, connection: Connection, resume: ResumeRequest | None, address: str | None = None
    ) -> Arrived | trio.Event:
        """As `arrive`, if that needs no waiting; otherwise the event to wait for before calling again."""
        if self._closed:
            raise HallClosedError
        user = self._users.get(guest.person.id)
        if guest.expired and not self.resumes(guest.person, resume):
            raise ExpiredError
        if user is None:
            self.accounts.here(guest.person.id, address)
            return self._welcome(guest, connection)
        if resume is not None and _is_asked_for(user, resume):
            if (door := user.attach(connection, resume.seq, guest.token)) is not None:
                self.accounts.here(guest.person.id, address)
                return Arrived(user, door)
        else:
            user.leave(CloseCode.CONNECTED_ELSEWHERE)
        return user.gone

    def _welcome(self, guest: Guest, connection: Connection) -> Arrived:
        user = self._admit(guest.person, self._chance.new_key())
        door = user.attach(connection, None, guest.token)
        assert door is not None, "a new actor is not about to end"
        return Arrived(user, door)

    def _admit(self, person: Person, key: str, restored: Restored | None = None) -> User:
        journal = self._journal_for(f"user {person.id}")
        user = User(
            person,
            key,
            matcher=self._matcher,
            ledger=self._ledger.mailbox,
            accounts=self.accounts,
            census=self._census,
            settings=self._settings,
            journal=journal,
            restored=restored,
        )
        self._users[person.id] = user
        self.crew.hire(partial(self._stay, user), journal)
        return user

    def restore(self, people: Iterable[SavedPerson], away_s: float, debts: Iterable[Debt] = ()) -> None:
        """Restore the people whom the last process saved when it stopped, `away_s` seconds ago.

        `debts` are the counts of matches that they, and others, left (`Patience`). All people are away at
        first. If one of the two people of a session is missing, the session ends for the other.
        """
        patience, now = self.accounts.patience, trio.current_time()
        patience.restore(debts, now - away_s)
        saved_people = {saved.person.id: saved for saved in agreed(people)}
        users = {
            person: self._admit(saved.person, saved.key, Restored(saved, away_s))
            for person, saved in saved_people.items()
        }
        seekers = {
            person: Seeker(users[person].person, users[person].open_door())
            for person, saved in saved_people.items()
            if saved.state in IN_SESSION
        }
        for person, seeker in seekers.items():
            saved = saved_people[person]
            if saved.session is None or saved.partner is None:
                continue
            mate = seekers.get(saved.partner.id)
            together = mate is not None and saved_people[mate.person.id].session == saved.session
            if mate is None or not together:
                mate = self._nobody(saved.session, saved.partner, seeker, saved.left)
            elif not seeker.door.linked(mate.door):
                bind(saved.session, seeker, mate, self._ledger.mailbox, patience)
                if saved.state is State.CONNECTED:
                    patience.came_about(saved.session, now)
            users[person].reunite(Matched(saved.session, mate, saved.initiator), seeker.door)

    def _nobody(self, session: str, partner: Person, alone: Seeker, news: PartnerLeft | None) -> Seeker:
        """A stand-in for a partner who is missing after the restart: the session is over.

        `news`: the partner had left before the restart, and that end is recorded already. None: record it
        here.
        """
        if news is None:
            now = trio.current_time()
            self._ledger.mailbox.tell(
                SessionEnded(session=session, cause=SessionCause.RESTARTING, by=None, at=now)
            )
        alone.door.tell(news or PartnerLeft(SessionCause.RESTARTING))
        gone: Door[PairMessage] = Door(Mailbox())
        gone.close()
        return Seeker(partner, gone)

    async def _stay(self, user: User) -> None:
        try:
            await user.run()
        finally:
            del self._users[user.person.id]
            self.accounts.left(user.person.id)
            self._census.gone(user.person.id)
            user.gone.set()

    def presence(self) -> Presence:
        """How many people are here, and how many of them search, in constant time."""
        return self._census.count(trio.current_time())

    async def count_people(self) -> None:
        """Send everybody the count every `presence_every_s`, if they were sent another one last.

        In between, the actors of people who come, or whose state changes, send it themselves.
        """
        while True:
            await trio.sleep(self._settings.presence_every_s)
            await self._tell_all()

    async def _tell_all(self) -> None:
        """Send the count to a few people at a time, so that it delays no frame of a call."""
        presence, told = self.presence(), 0
        for user in list(self._users.values()):
            if user.lacks(presence):
                user.count()
                told += 1
                if told % TOLD_AT_ONCE == 0:
                    await trio.sleep(TOLD_EVERY_S)

    async def not_ready_because(self) -> str | None:
        """Why people cannot be matched, or sessions not recorded, right now; None: both work."""
        answer: Mailbox[int] = Mailbox()
        self._matcher.tell(Asked(answer))
        with trio.move_on_after(ANSWER_LIMIT_S) as asking:
            await answer.receive()
        if asking.cancelled_caught:
            return f"the matcher has not answered for {ANSWER_LIMIT_S:g} s"
        return self._ledger.not_ready_because()

    def debts(self) -> tuple[Debt, ...]:
        """The current counts of matches that people left, to `restore` after a restart."""
        return self.accounts.patience.debts(trio.current_time())

    def hand_over(self) -> tuple[SavedPerson, ...]:
        """Accept nobody any more, and end all actors with the code for a restart, in one synchronous step.

        Returns the state of everybody, to `restore` after a restart. Sessions stay open.
        """
        self._closed = True
        users = list(self._users.values())
        saved_people = tuple(user.save() for user in users)
        for user in users:
            user.leave(CloseCode.RESTARTING)
        return saved_people

    async def deserted(self) -> None:
        """Wait until all actors have ended."""
        for user in list(self._users.values()):
            await user.gone.wait()


def _is_asked_for(user: User, resume: ResumeRequest | None) -> bool:
    return resume is not None and secrets.compare_digest(resume.key.encode(), user.key.encode())


@asynccontextmanager
async def open_hall(
    settings: Settings,
    ledger: Ledger,
    *,
    chance: Chance = Chance(),
    journal_for: Callable[[str], Journal] = Journal,
) -> AsyncIterator[Hall]:
    """A hall for as long as the block is open. It runs `ledger`, which must not run yet.

    Leaving the block cancels all actors that are left (`Hall.hand_over` saves them first), then the ledger
    writes its last records.

    Raises:
        TooManyRestartsError: matcher or ledger crash again and again; it cancels the block.
    """
    mailbox: Mailbox[MatcherMessage] = Mailbox()
    accounts = Accounts(settings)
    matcher = Matcher(
        mailbox,
        ledger.mailbox,
        accounts.patience,
        new_id=chance.new_id,
        apart_s=settings.apart_s,
        journal=journal_for("matcher"),
    )
    try:
        async with (
            serving(ledger.run, journal_for("ledger"), INTENSITY, stop=ledger.mailbox.close),
            serving(matcher.run, journal_for("matcher"), INTENSITY),
            open_crew() as crew,
        ):
            hall = Hall(crew, mailbox, ledger, accounts, settings, chance, journal_for)
            crew.hire(hall.count_people, journal_for("presence"))
            yield hall
    finally:
        mailbox.discard()  # a matcher that crashed last did not handle the messages of its desk
