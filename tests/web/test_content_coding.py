"""Which coding a client gets: the best of those that it likes best, and never one that it refuses."""

from __future__ import annotations

import gzip

import brotli  # type: ignore[import-untyped]  # it ships no types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.content_coding import CODINGS, IDENTITY, choose, in_all_codings

ALL = (*CODINGS, IDENTITY)
CHOICES = {
    "": IDENTITY,
    "br": "br",
    "gzip": "gzip",
    "gzip, deflate, br, zstd": "br",
    "GZIP": "gzip",
    "br;q=0.5, gzip": "gzip",
    "br;q=0.5, gzip;q=0.5": "br",
    "br;q=0, gzip;q=0.1": "gzip",
    "br;q=0, *": "gzip",
    "*": "br",
    "*;q=0": IDENTITY,
    "br;q=0, gzip;q=0": IDENTITY,
    "gzip;q=0.5, identity": IDENTITY,
    "gzip;q=0.5, identity;q=0.4": "gzip",
    "gzip, identity": "gzip",
    "identity;q=1, *;q=0": IDENTITY,
    "identity;q=0": IDENTITY,
    "deflate, zstd": IDENTITY,
    "br;q=nonsense": IDENTITY,
    ",;=,": IDENTITY,
}


@pytest.mark.parametrize("said", CHOICES)
def test_the_coding_that_is_chosen(said: str) -> None:
    assert choose(said, ALL) == CHOICES[said]


def test_a_file_without_codings_goes_as_it_is() -> None:
    assert choose("br", [IDENTITY]) == IDENTITY


@given(st.text(max_size=40))
def test_whatever_is_said_there_is_a_choice(said: str) -> None:
    assert choose(said, ALL) in ALL


@pytest.mark.parametrize("slow", [True, False])
def test_each_coding_gives_the_text_back_in_fewer_bytes(slow: bool) -> None:
    text = b"Find someone to study with. " * 20
    coded = in_all_codings(text, slow=slow)
    assert list(coded) == ["br", "gzip", IDENTITY]
    assert (brotli.decompress(coded["br"]), gzip.decompress(coded["gzip"])) == (text, text)
    assert max(len(coded["br"]), len(coded["gzip"])) < len(text)


def test_what_does_not_get_shorter_stays_as_it_is() -> None:
    assert in_all_codings(b"x") == {IDENTITY: b"x"}
