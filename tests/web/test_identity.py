"""Guests: tokens that are recognised, expire, and cannot be made by others."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from itsdangerous import URLSafeTimedSerializer

from studymatch.messages import Guest
from studymatch.rules.people import Person
from web.identity import SALT, Identities


def test_a_guest_is_recognised_by_their_token() -> None:
    identities = Identities(("a secret of ours",), 60)
    person, token = identities.new_guest("Zoë")
    assert identities.recognise(token) == Guest(person)
    assert person.name == "Zoë"


def test_every_guest_is_somebody_else() -> None:
    identities = Identities(("a secret of ours",), 60)
    assert len({identities.new_guest("Ada")[0].id for _ in range(100)}) == 100


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "\ud800", "ü" * 10])
def test_what_is_no_token_is_nobody(token: str) -> None:
    assert Identities(("a secret of ours",), 60).recognise(token) is None


def test_a_token_that_was_changed_or_signed_by_others_is_nobody() -> None:
    _, token = Identities(("a secret of theirs",), 60).new_guest("Ada")
    ours = Identities(("a secret of ours",), 60)
    assert ours.recognise(token) is None
    _, mine = ours.new_guest("Ada")
    assert ours.recognise(mine[:-2] + ("AA" if mine[-2:] != "AA" else "BB")) is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the wall clock to so many seconds after the beginning of the test."""
    began = float(int(time.time()))
    clock = [began]
    monkeypatch.setattr("time.time", lambda: clock[0])

    def show(seconds: float) -> None:
        clock[0] = began + seconds

    return show


def test_a_token_expires(clock: Callable[[float], None]) -> None:
    identities = Identities(("a secret of ours",), 60)
    person, token = identities.new_guest("Ada")
    clock(59)
    guest = identities.recognise(token)
    assert guest is not None
    assert (guest.person, guest.expired) == (person, False)
    clock(62)
    guest = identities.recognise(token)
    assert guest is not None
    assert (guest.person, guest.expired) == (person, True)


@pytest.mark.parametrize(("ahead_s", "expired"), [(1, False), (2, False), (60, False), (61, True)])
def test_a_clock_that_is_ahead_is_forgiven_a_minute(
    clock: Callable[[float], None], ahead_s: float, expired: bool
) -> None:
    """The clock of another machine is ahead; or this one was set back."""
    identities = Identities(("a secret of ours",), 600)
    clock(ahead_s)
    person, token = identities.new_guest("Ada")
    clock(0)
    guest = identities.recognise(token)
    assert guest is not None
    assert (guest.person, guest.expired) == (person, expired)
    assert (guest.token is not None) is expired


def test_a_token_is_replaced_in_the_second_half_of_its_life(clock: Callable[[float], None]) -> None:
    identities = Identities(("a secret of ours",), 1000)
    person, token = identities.new_guest("Ada")
    clock(499)
    assert identities.recognise(token) == Guest(person)
    clock(501)
    guest = identities.recognise(token)
    assert guest is not None
    assert guest.token is not None
    clock(1400)
    assert identities.recognise(guest.token) is not None
    assert not identities.recognise(guest.token).expired  # type: ignore[union-attr]


ID = "01890a5d-ac96-774b-bcce-b302099a8057"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        {},
        "ab",
        [],
        [ID],
        [ID, "Ada", "Ben"],
        ["ada", "Ada"],
        ["", "Ada"],
        [7, "Ada"],
        [ID.upper(), "Ada"],
        ["{" + ID + "}", "Ada"],
        [ID.replace("-", ""), "Ada"],
        [ID, None],
        [ID, ""],
        [ID, "A\x00da"],
        [ID, "\u3164"],
        [ID, "x" * 41],
        {ID: "Ada", "Ada": ID},
        [[ID], ["Ada"]],
    ],
    ids=ascii,
)
def test_what_was_signed_is_checked_for_its_form(payload: object) -> None:
    """Another version, or who knows the secret, may have signed what the database would refuse."""
    signed = URLSafeTimedSerializer("a secret of ours", salt=SALT).dumps(payload)
    assert Identities(("a secret of ours",), 60).recognise(signed) is None


def test_a_name_that_a_former_version_signed_is_read_as_this_one_would() -> None:
    signed = URLSafeTimedSerializer("a secret of ours", salt=SALT).dumps([ID, "Zoe\u0308\u200b"])
    assert Identities(("a secret of ours",), 60).recognise(signed) == Guest(Person(ID, "Zoë"))


@pytest.mark.parametrize("stamp", [2**40, 2**62, 0])
def test_a_time_that_no_clock_shows_is_no_reason_to_fail(stamp: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(URLSafeTimedSerializer.default_signer, "get_timestamp", lambda _: stamp)
    _, token = Identities(("a secret of ours",), 60).new_guest("Ada")
    monkeypatch.undo()
    guest = Identities(("a secret of ours",), 60).recognise(token)
    assert guest is None or guest.expired


def test_secrets_follow_one_another_and_nobody_becomes_a_stranger() -> None:
    """First the new one is known everywhere, then it signs, then the old one is forgotten."""
    old, new = "the old secret", "the new secret"
    _, by_old = Identities((old,), 60).new_guest("Ada")
    prepared, turned = Identities((old, new), 60), Identities((new, old), 60)
    _, by_new = turned.new_guest("Ben")
    assert all(one.recognise(token) for one in (prepared, turned) for token in (by_old, by_new))
    assert Identities((new,), 60).recognise(by_new)
    assert Identities((new,), 60).recognise(by_old) is None
    assert Identities((old,), 60).recognise(prepared.new_guest("Carl")[1]), "the first signs"
