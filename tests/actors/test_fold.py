"""Folding: a loop of one actor costs little, is told, and hides nothing of others."""

from __future__ import annotations

from actors.fold import ACTORS_MAX, EVENTS_MAX, QUIET_S, Fold

ADA, BEN = "user ada", "user ben"


def loop(fold: Fold, lines: int, *, actor: str = ADA, event: str = "moved", now: float = 0.0) -> list[object]:
    return [fold.admit("info", actor, event, now) for _ in range(lines)]


def test_the_first_lines_are_written_and_then_one_now_and_again_which_tells_of_the_others() -> None:
    fold = Fold(free=10)
    assert loop(fold, 10) == [{}] * 10
    assert loop(fold, 5) == [{}, {}, None, None, None], "the first of its event, and the one of this second"
    assert fold.admit("info", ADA, "moved", 1.0) == {"folded": {"moved": 3}, "folded_s": 1}
    assert fold.admit("info", ADA, "moved", 1.0) is None
    assert fold.admit("info", ADA, "moved", 2.0) == {"folded": {"moved": 1}, "folded_s": 1}


def test_another_event_of_the_same_actor_is_not_hidden_by_the_loop() -> None:
    fold = Fold(free=10)
    loop(fold, 100)
    assert fold.admit("info", ADA, "left", 0.0) == {}


def test_another_actor_is_not_folded() -> None:
    fold = Fold(free=10)
    loop(fold, 100)
    assert fold.admit("info", BEN, "moved", 0.0) == {}


def test_what_was_folded_is_told_when_the_loop_is_over() -> None:
    fold = Fold(free=10)
    loop(fold, 100)
    assert fold.overdue(1.0) == []
    [(level, actor, told)] = fold.overdue(2 * QUIET_S)
    assert (level, actor) == ("info", ADA)
    assert told["folded"] == {"moved": 88}
    assert fold.overdue(9 * QUIET_S) == []


def test_what_is_remembered_is_bounded() -> None:
    fold = Fold(free=1)
    for number in range(ACTORS_MAX + 10):
        loop(fold, 2, actor=f"user {number}")
    for number in range(EVENTS_MAX + 10):
        fold.admit("info", ADA, f"event {number}", 0.0)
    assert len(fold._loops) == ACTORS_MAX
    assert len(fold._loops[ADA].events) == EVENTS_MAX + 1
