"""Frames: what is read, what is refused and how, and that relayed data stay as they are."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studymatch.rules.close_codes import AFTER_CLOSE, CLOSE_MEANINGS, AfterClose, CloseCode
from studymatch.rules.lifecycle import State
from studymatch.rules.person_state import PersonState
from studymatch.rules.protocol import (
    SIGNAL_MAX_BYTES,
    Chat,
    ChatFrom,
    Connected,
    Criteria,
    Failed,
    Hello,
    Malformed,
    Ping,
    Search,
    Signal,
    SignalFrom,
    decode,
    encode,
    numbered,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_frames_are_read() -> None:
    hello = decode('{"type":"hello","version":1,"token":"t","resume":{"key":"k","seq":4},"new":"field"}')
    assert isinstance(hello, Hello)
    assert hello.resume is not None
    assert hello.resume.seq == 4
    assert decode('{"type":"ping"}') == Ping()
    assert decode('{"type":"search"}') == Search()
    assert decode('{"type":"connected","session":"s"}') == Connected("s")
    assert decode('{"type":"failed","session":"s","code":"no_device"}') == Failed("s", "no_device")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("", "expected one JSON object"),
        ("hello", "expected one JSON object"),
        (b'\xff{"type":"ping"}', "expected one JSON object"),
        ('{"type":"ping"} and more', "expected one JSON object"),
        ("[]", "Expected `object`, got `array`"),
        ("{}", "missing required field `type`"),
        ('{"type":"dance"}', "Invalid value 'dance'"),
        ('{"type":"state"}', "Invalid value 'state'"),
        ('{"type":"skip"}', "missing required field `session`"),
        ('{"type":"skip","session":7}', "Expected `str`, got `int`"),
        ('{"type":"chat","session":"s","text":""}', "length >= 1"),
        ('{"type":"chat","session":"s","text":"' + "x" * 2001 + '"}', "length <= 2000"),
        ('{"type":"search","criteria":{"subject":"' + "x" * 61 + '"}}', "length <= 60"),
        ('{"type":"hello","version":1,"token":"t","resume":{"key":"k","seq":-1}}', ">= 0"),
        ('{"type":"signal","session":"s","data":"' + "x" * SIGNAL_MAX_BYTES + '"}', "more than 49152 bytes"),
        ('{"type":"signal","session":"s"}', "missing required field `data`"),
    ],
)
def test_what_is_not_a_frame_is_refused_with_what_was_expected(message: str | bytes, expected: str) -> None:
    with pytest.raises(Malformed, match="(?i)" + expected.replace("`", ".")):
        decode(message)


def test_deep_nesting_is_refused_and_does_no_harm() -> None:
    with pytest.raises(Malformed):
        decode('{"type":"search","criteria":' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}")


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_whatever_comes_is_read_or_refused_and_nothing_else(message: str | bytes) -> None:
    with suppress(Malformed):
        decode(message)


@given(JSON)
def test_signals_are_relayed_unread_and_unchanged(data: Any) -> None:
    sent = json.dumps(data)
    frame = decode('{"type":"signal","session":"s","data":' + sent + "}")
    assert isinstance(frame, Signal)
    relayed = numbered(encode(SignalFrom("s", frame.data)), 3)
    assert sent.encode() in relayed
    assert json.loads(relayed) == {"type": "signal", "session": "s", "data": data, "seq": 3}


@given(
    st.text(min_size=1, max_size=2000).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text))
)
def test_chat_survives_the_way(text: str) -> None:
    frame = decode(json.dumps({"type": "chat", "session": "s", "text": text}))
    assert isinstance(frame, Chat)
    told = json.loads(numbered(encode(ChatFrom("s", "ada", frame.text)), 9))
    assert told == {"type": "chat", "session": "s", "from": "ada", "text": text, "seq": 9}


@given(st.floats(0, 1e6), st.none() | st.floats(-100, 100))
def test_the_next_search_is_told_in_milliseconds_under_both_of_its_names(
    now: float, wait_s: float | None
) -> None:
    scene = PersonState(State.ENDED, since=now, search_again_at=None if wait_s is None else now + wait_s)
    told = json.loads(encode(scene.snapshot(now, cue=None)))
    assert told["search_again_in"] == told["search_again_ms"]
    if wait_s is None:
        assert told["search_again_ms"] is None
    else:
        assert told["search_again_ms"] == pytest.approx(max(0, wait_s * 1000), abs=1)


def test_criteria_are_compared_without_regard_to_case_and_white_space() -> None:
    assert Criteria(subject="  Maths ", language="").named() == {"subject": "maths"}
    assert Criteria().named() == {}


def test_every_close_code_has_a_meaning() -> None:
    assert set(CLOSE_MEANINGS) == set(CloseCode)
    assert set(AFTER_CLOSE) == set(AfterClose) == {then for _, then in CLOSE_MEANINGS.values()}
