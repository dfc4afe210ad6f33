"""More bugs to plant: when somebody leaves or a page is closed, and in the count of people."""

from __future__ import annotations

from typing import Any

from studymatch.census import Census
from studymatch.person.inbox import Inbox
from studymatch.person.session import Session
from studymatch.person.user import User
from studymatch.rules.lifecycle import SessionCause
from tests.simulation.planting import Plant, on


def a_reload_is_not_waited_for() -> Any:
    return on(Inbox, "_grace_s", lambda self: 0.0 if self.leaving else self.settings.grace_s)


def a_closed_page_is_waited_for_like_a_lost_one() -> Any:
    return on(Inbox, "_grace_s", lambda self: self.settings.grace_s)


def a_page_that_stays_is_taken_for_gone() -> Any:
    """Frames that it sends afterwards do not cancel its `leaving`."""
    original = Inbox.handle_in_place

    def settles(self: Inbox, message: Any) -> bool:
        before = self.leaving
        settled = original(self, message)
        self.leaving = self.leaving or before
        return settled

    return on(Inbox, "handle_in_place", settles)


def everybody_who_is_lost_has_ended_it() -> Any:
    original = User._cut_short

    def cut_short(self: User) -> SessionCause | None:
        return original(self) and SessionCause.ENDED

    return on(User, "_cut_short", cut_short)


def people_who_are_away_count_for_ever() -> Any:
    return on(Census, "_forget", lambda *_: None)


def people_who_are_back_are_counted_away() -> Any:
    return on(Census, "here", lambda self, person, *, searching: self._put(person, searching))


def people_who_search_are_told_later() -> Any:
    """They get the count only with the next one for everybody."""
    original = Inbox.enter

    def enter(self: Inbox, current: Any) -> None:
        with on(Inbox, "_count", lambda _: None):
            original(self, current)

    return on(Inbox, "enter", enter)


def a_count_that_came_back_is_not_told() -> Any:
    """A person who got another count in between keeps that one."""
    return on(Inbox, "lacks", lambda self, presence: self.outgoing.counted is None)


def an_overtaken_skip_costs_the_waiting_time() -> Any:
    """The partner's page failed in the same moment, and was first."""
    original = Session._leave

    def leave(self: Session, cause: SessionCause, wish: Any, overtaken: Any, **ready: bool) -> Any:
        is_skip = cause is SessionCause.SKIPPED
        return original(self, cause, wish, wish if is_skip else overtaken, **ready)

    return on(Session, "_leave", leave)


CROWDS: tuple[Plant, ...] = (
    a_reload_is_not_waited_for,
    a_closed_page_is_waited_for_like_a_lost_one,
    a_page_that_stays_is_taken_for_gone,
    everybody_who_is_lost_has_ended_it,
    people_who_are_away_count_for_ever,
    people_who_are_back_are_counted_away,
    people_who_search_are_told_later,
    a_count_that_came_back_is_not_told,
    an_overtaken_skip_costs_the_waiting_time,
)
