"""The pages that are made from the code are what the code makes of them today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from studymatch.rules.lifecycle import diagram
from studymatch.rules.protocol import Inbound, Outbound
from tools import protocol_js, protocol_reference
from tools.protocol_types import PARTS

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("path", protocol_reference.TARGETS, ids=lambda path: path.name)
def test_what_is_generated_from_the_protocol_is_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == protocol_reference.TARGETS[path](), (
        f"{path.relative_to(ROOT)} is out of date: run python -m tools.protocol_reference"
    )


def test_the_protocol_reference_names_every_frame() -> None:
    page = protocol_reference.reference()
    assert "{{" not in page
    for kind in (*Inbound.__args__, *Outbound.__args__):
        assert f"`{kind.__struct_config__.tag} {{" in page


def test_the_page_has_a_type_for_every_frame_and_what_it_contains() -> None:
    module = protocol_js.module()
    for kind in (*Inbound.__args__, *Outbound.__args__, *PARTS):
        assert f"@typedef {{object}} {kind.__name__}\n" in module
    assert " * @property {string | null} session the pairing this is about;" in module
    assert " * @property {number | null} [search_again_in] deprecated: " in module
    assert " * @property {string} [token]\n" in module, "left out where there is none, and never null"
    assert " * @property {number} [seq] " in module, "a hello is refused without a number"


def test_the_diagram_of_states_is_drawn_from_the_table() -> None:
    assert f"```mermaid\n{diagram()}\n```" in (ROOT / "docs" / "architecture.md").read_text()


PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
"""All that readers of the project are led to."""

A_PATH = re.compile(r"`((?:actors|benchmarks|crowd|docs|studymatch|tests|tools|web)/[\w./-]*)`")
A_LINK = re.compile(r"\]\(([\w./-]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = {ROOT / path for path in A_PATH.findall(text)} | {
        page.parent / path for path in A_LINK.findall(text)
    }
    assert [path for path in named if not path.exists()] == []
