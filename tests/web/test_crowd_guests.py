"""How the crowd comes by its guests where the server has a budget for them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from email.message import Message
from typing import Any

import pytest

from crowd.guests import NoGuestError, registered
from crowd.target import find

PLACE = find("http://127.0.0.1:1")
NAMES = ["Ada", "Bob"]


class Answer:
    """What a server answers."""

    def __init__(self, status: int, retry_after: str | None = None) -> None:
        self.status = status
        self.headers = Message()
        if retry_after is not None:
            self.headers["Retry-After"] = retry_after

    def read(self) -> bytes:
        return json.dumps({"user": {"id": "1"}, "token": "t"}).encode()


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the crowd slept, each time; it takes no time."""
    slept: list[float] = []
    monkeypatch.setattr("crowd.guests.time.sleep", slept.append)
    return slept


def server_that_says(monkeypatch: pytest.MonkeyPatch, answers: Iterator[Answer]) -> None:
    def nothing(*_: Any) -> None:
        pass

    monkeypatch.setattr(http.client.HTTPConnection, "request", nothing)
    monkeypatch.setattr(http.client.HTTPConnection, "getresponse", lambda _: next(answers))


@pytest.mark.parametrize(
    ("retry_after", "wait_s"), [("7", 7.0), ("0", 1.0), (None, 1.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 1.0)]
)
def test_who_is_told_429_comes_again_when_the_server_wants(
    monkeypatch: pytest.MonkeyPatch, slept: list[float], retry_after: str | None, wait_s: float
) -> None:
    answers = [Answer(201), Answer(429, retry_after), Answer(429, retry_after), Answer(201)]
    server_that_says(monkeypatch, iter(answers))
    assert len(list(registered(PLACE, iter(NAMES)))) == 2
    assert slept == [wait_s, wait_s]


def test_who_is_told_429_on_and_on_gives_up_and_says_whose_budget_it_is(
    monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    server_that_says(monkeypatch, iter(lambda: Answer(429, "7"), None))
    with pytest.raises(NoGuestError, match=r"budget for one address.*--secret"):
        list(registered(PLACE, iter(NAMES)))
    assert sum(slept) <= 60


def test_who_is_refused_otherwise_does_not_come_again(
    monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    server_that_says(monkeypatch, iter([Answer(403)]))
    with pytest.raises(NoGuestError, match="expected 201, got 403"):
        list(registered(PLACE, iter(NAMES)))
    assert slept == []
