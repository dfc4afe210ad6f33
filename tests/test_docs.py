"""The pages that are made from the code are what the code makes of them today."""

from __future__ import annotations

from pathlib import Path

from studymatch.rules.lifecycle import diagram
from studymatch.rules.protocol import Inbound, Outbound
from tools import protocol_reference

ROOT = Path(__file__).parent.parent


def test_the_protocol_reference_is_up_to_date() -> None:
    assert protocol_reference.TARGET.read_text() == protocol_reference.reference(), (
        "docs/protocol.md is out of date: run python tools/protocol_reference.py"
    )


def test_the_protocol_reference_names_every_frame() -> None:
    page = protocol_reference.reference()
    assert "{{" not in page
    for kind in (*Inbound.__args__, *Outbound.__args__):
        assert f"`{kind.__struct_config__.tag} {{" in page


def test_the_diagram_in_the_readme_is_drawn_from_the_table() -> None:
    assert f"```mermaid\n{diagram()}\n```" in (ROOT / "README.md").read_text()
