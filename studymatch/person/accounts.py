"""The rate limits: budgets by person, by address and for everybody, which outlive connections.

The hall owns one `Accounts`. If a connection or an actor owned a budget, a client could renew it by
reconnecting. So budgets are kept under the person's id and their address, and forgotten once they are full.
A person who reaches a limit learns how long to wait, and why. A limit of an address, or of everybody, delays
newcomers and searches, but no call. The caller passes the time. Addresses are kept in memory only, as keys.
"""

from __future__ import annotations

from actors import Budget, Budgets, Rate
from studymatch.patience import Patience
from studymatch.rules.waits import Wait, Why
from studymatch.settings import LimitSettings

STRIKES_PER_S = 1.0
"""Refused frames a second that have no consequence. A client gains nothing by sending at twice the rate."""

MALFORMED_MAX, MALFORMED_PER_S = 10, 0.1
"""Malformed frames of one person, as a burst and a second. No well-behaved client sends as many."""


class Acts:
    """The budgets for one kind of action: by person, by address and for all together."""

    def __init__(self, person: Rate | None, address: Rate, in_all: Rate) -> None:
        self._person: Budgets[str] | None = None if person is None else Budgets(person)
        self._address: Budgets[str] = Budgets(address)
        self._in_all = Budget(in_all)

    def take(
        self, person: str | None, address: str | None, now: float, *, is_known: bool = False
    ) -> Wait | None:
        """Count one action and return None; if a budget is used up, count nothing and return the wait.

        `is_known`: the person is here already, so only their own budget applies.
        """
        if person is not None and self._person is not None:
            if wait_s := self._person.wait_s(person, now):
                return Wait(wait_s, Why.OFTEN)
            if is_known:
                self._person.take(person, now)
                return None
        if address is not None and (wait_s := self._address.wait_s(address, now)):
            return Wait(wait_s, Why.NETWORK_OFTEN)
        if wait_s := self._in_all.wait_s(now):
            return Wait(wait_s, Why.FULL)
        if person is not None and self._person is not None:
            self._person.take(person, now)
        if address is not None:
            self._address.take(address, now)
        self._in_all.take(now)
        return None


class Accounts:
    """The accounts of everybody, by the limits in `settings`. An address of None has no budget."""

    def __init__(self, settings: LimitSettings) -> None:
        each = settings
        self.patience = Patience(settings)
        self._guests = Acts(
            None,
            Rate(each.address_guests_per_s, each.address_guests_burst),
            Rate(each.guests_per_s, each.guests_burst),
        )
        self._hellos = Acts(
            Rate(each.person_hellos_per_s, each.person_hellos_burst),
            Rate(each.address_hellos_per_s, each.address_hellos_burst),
            Rate(each.hellos_per_s, each.hellos_burst),
        )
        self._searches = Acts(
            Rate(each.person_searches_per_s, each.person_searches_burst),
            Rate(each.address_searches_per_s, each.address_searches_burst),
            Rate(each.searches_per_s, each.searches_burst),
        )
        self._frames: Budgets[str] = Budgets(Rate(each.frames_per_s, each.frames_burst))
        self._frames_there: Budgets[str] = Budgets(Rate(each.address_frames_per_s, each.address_frames_burst))
        self._signals: Budgets[str] = Budgets(Rate(each.signals_per_s, each.signals_burst))
        self._strikes: Budgets[str] = Budgets(Rate(STRIKES_PER_S, each.frames_burst))
        self._malformed: Budgets[str] = Budgets(Rate(MALFORMED_PER_S, MALFORMED_MAX))
        self._address_wait_s = each.address_wait_s
        self._waiting: Budgets[str] = Budgets(Rate(1.0, each.address_wait_s))  # seconds that are left to wait

    # Addresses of people

    def here(self, person: str, address: str | None) -> None:
        """A person has connected, or reconnected, from `address`."""
        self.patience.here(person, address)

    def left(self, person: str) -> None:
        """A person has left."""
        self.patience.gone(person)

    # What people do

    def guest(self, address: str | None, now: float) -> Wait | None:
        """Count the request for a new guest from `address`. Returns the wait; None: granted."""
        return self.address_waits(address, now) or self._guests.take(None, address, now)

    def hello(self, person: str | None, address: str | None, now: float, *, resumes: bool) -> Wait | None:
        """Count a hello of `person` (None: the token is not valid). Returns the wait; None: granted.

        `resumes`: the hello resumes a living actor, so that only the person's own budget applies.
        """
        waits = None if resumes else self.address_waits(address, now)
        return waits or self._hellos.take(person, address, now, is_known=resumes)

    def search(self, person: str, now: float) -> Wait | None:
        """Count a search of a person who is here. Returns the wait; None: granted."""
        waits = self.after_skip(person, now)
        return waits or self._searches.take(person, self.patience.address_of(person), now)

    def after_skip(self, person: str, now: float) -> Wait | None:
        """How much longer than usual a person who left a partner waits for the next one. None: no longer."""
        if wait_s := self.patience.wait_s(person, now):
            return Wait(wait_s, Why.SKIPS)
        if wait_s := self.patience.network_wait_s(person, now):
            return Wait(wait_s, Why.NETWORK_SKIPS)
        return None

    # Frames

    def frame(self, person: str, address: str | None, now: float) -> bool:
        """Count a frame. Returns whether it is within the limits of the person and of their address."""
        if not self._frames.take(person, now):
            return False
        if address is not None and not self._frames_there.take(address, now):
            self._frames.give(person)
            return False
        return True

    def signal(self, person: str, now: float) -> bool:
        """Count a signal that is no answer. Returns whether it is within the limit."""
        return self._signals.take(person, now)

    def strike(self, person: str, now: float) -> bool:
        """Count a frame that was refused as too fast. Returns False once there were too many."""
        return self._strikes.take(person, now)

    def malformed(self, person: str, now: float) -> bool:
        """Count a frame that could not be read. Returns False once there were too many."""
        return self._malformed.take(person, now)

    # Addresses that wait

    def hung_up_on(self, address: str | None, now: float) -> None:
        """A connection from `address` was closed for exceeding a limit by far: newcomers from there wait."""
        if address is not None:
            self._waiting.take(address, now, self._address_wait_s)

    def address_waits(self, address: str | None, now: float) -> Wait | None:
        """Whether newcomers from `address` have to wait, and for how long."""
        if address is None:
            return None
        wait_s = self._waiting.wait_s(address, now, self._address_wait_s)
        return Wait(wait_s, Why.NETWORK_OFTEN) if wait_s else None
