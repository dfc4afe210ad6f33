"""Guests: tokens that are recognised, expire, and cannot be made by others; and the key that signs them."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from web.identity import Identities, load_secret


def test_a_guest_is_recognised_by_their_token() -> None:
    identities = Identities("a secret of ours", 60)
    person, token = identities.new_guest("Zoë")
    assert identities.recognise(token) == person
    assert person.name == "Zoë"


def test_every_guest_is_somebody_else() -> None:
    identities = Identities("a secret of ours", 60)
    assert len({identities.new_guest("Ada")[0].id for _ in range(100)}) == 100


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "\ud800", "ü" * 10])
def test_what_is_no_token_is_nobody(token: str) -> None:
    assert Identities("a secret of ours", 60).recognise(token) is None


def test_a_token_that_was_changed_or_signed_by_others_is_nobody() -> None:
    _, token = Identities("a secret of theirs", 60).new_guest("Ada")
    ours = Identities("a secret of ours", 60)
    assert ours.recognise(token) is None
    _, mine = ours.new_guest("Ada")
    assert ours.recognise(mine[:-2] + ("AA" if mine[-2:] != "AA" else "BB")) is None


def test_a_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    identities = Identities("a secret of ours", 60)
    person, token = identities.new_guest("Ada")
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 59)
    assert identities.recognise(token) == person
    monkeypatch.setattr("time.time", lambda: now + 62)
    assert identities.recognise(token) is None


def test_the_key_is_made_once_and_readable_by_its_owner_only(tmp_path: Path) -> None:
    secret = load_secret(tmp_path)
    assert len(secret) >= 32
    assert load_secret(tmp_path) == secret
    [file] = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
