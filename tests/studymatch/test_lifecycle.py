"""The table of states, by table: legal moves, illegal moves, and that the data agree with each other."""

from __future__ import annotations

from itertools import product

import pytest

from studymatch.rules import sentences
from studymatch.rules.lifecycle import (
    ACCEPTS,
    CUES,
    EDGES,
    SEEN_BY_LEAVER,
    SEEN_BY_PARTNER,
    SOUNDS,
    Cause,
    IllegalMoveError,
    SessionCause,
    State,
    move,
)
from studymatch.rules.protocol import Hello, Inbound, Leaving, Ping, kind_of
from tools.state_diagram import diagram

CAUSES: list[Cause | None] = [None, *Cause]


@pytest.mark.parametrize(("source", "target"), list(product(State, State)))
def test_a_move_is_legal_exactly_where_the_table_says_so(source: State, target: State) -> None:
    for cause in CAUSES:
        if cause in EDGES.get((source, target), frozenset()):
            assert move(source, target, cause) is target
        else:
            with pytest.raises(IllegalMoveError):
                move(source, target, cause)


def test_an_illegal_move_says_what_was_expected_and_what_came() -> None:
    with pytest.raises(IllegalMoveError, match="idle to searching expects a cause out of None; got skipped"):
        move(State.IDLE, State.SEARCHING, Cause.SKIPPED)
    with pytest.raises(IllegalMoveError, match="no way from idle to connected"):
        move(State.IDLE, State.CONNECTED, Cause.CONNECTED)


def test_the_five_states_follow_each_other_as_the_protocol_says() -> None:
    assert set(EDGES) == {
        (State.IDLE, State.SEARCHING),
        (State.SEARCHING, State.IDLE),
        (State.SEARCHING, State.CONNECTING),
        (State.CONNECTING, State.CONNECTED),
        (State.CONNECTING, State.ENDED),
        (State.CONNECTED, State.ENDED),
        (State.ENDED, State.SEARCHING),
        (State.ENDED, State.IDLE),
    }


def test_every_cause_occurs() -> None:
    assert {cause for causes in EDGES.values() for cause in causes} == set(CAUSES)


@pytest.mark.parametrize("seen", [SEEN_BY_LEAVER, SEEN_BY_PARTNER])
def test_whatever_a_session_ends_for_is_an_end_that_the_table_knows(
    seen: dict[SessionCause, Cause],
) -> None:
    for session_cause, cause in seen.items():
        assert cause in EDGES[State.CONNECTING, State.ENDED]
        if session_cause is not SessionCause.CONNECT_TIMEOUT:  # the initiator's clock stops on connecting
            assert cause in EDGES[State.CONNECTED, State.ENDED]


def test_every_end_has_a_sentence_for_people() -> None:
    for cause in EDGES[State.CONNECTING, State.ENDED] | EDGES[State.CONNECTED, State.ENDED]:
        assert cause is not None
        for searches_again in (True, False):
            sentence = sentences.of_ending(cause, "Ada", searches_again=searches_again)
            assert sentence.endswith(".")
    with pytest.raises(ValueError, match="not the end of a session"):
        sentences.of_ending(Cause.MATCHED, "Ada", searches_again=True)


def test_every_frame_that_is_not_legal_always_means_something_in_some_state() -> None:
    kinds = {kind.__struct_config__.tag for kind in Inbound.__args__ if kind not in (Hello, Ping, Leaving)}
    assert set.union(*map(set, ACCEPTS.values())) == kinds
    assert set(ACCEPTS) == set(State)
    assert kind_of(Ping()) == "ping"


def test_only_the_search_has_a_looping_sound_and_only_changes_have_cues() -> None:
    assert dict(SOUNDS) == {State.SEARCHING: ("ring", 0.4)}
    assert {cause for cause, cue in CUES.items() if cue == "chime"} == {Cause.MATCHED}
    assert set(CUES.values()) == {"chime", "hangup"}


def test_the_diagram_has_every_edge_and_every_cause() -> None:
    drawn = diagram()
    for (source, target), causes in EDGES.items():
        [line] = [line for line in drawn.splitlines() if line.strip().startswith(f"{source} --> {target}:")]
        for cause in causes:
            assert cause is None or cause in line
