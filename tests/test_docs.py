"""The documents agree with the code and with each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from studymatch.rules.protocol import Inbound, Outbound
from tools import protocol_js, protocol_reference
from tools.protocol_types import PARTS
from tools.state_diagram import diagram

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


def pages() -> Iterator[Path]:
    for pattern in ("*.md", "docs/*.md", "benchmarks/results/*.md", ".github/**/*.md"):
        yield from ROOT.glob(pattern)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_between_the_pages_leads_somewhere() -> None:
    broken = []
    for page in pages():
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = link.partition("#")
            target = (page.parent / path) if path else page
            is_ours = not link.startswith(("http:", "https:", "mailto:"))
            if is_ours and not (target.exists() and (not anchor or anchor in anchors(target))):
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert broken == []


A_PATH = re.compile(r"`((?:actors|benchmarks|crowd|docs|studymatch|tests|tools|web)/[\w./-]*)`")


def test_every_file_that_a_page_names_is_there() -> None:
    named = {(page.name, path) for page in pages() for path in A_PATH.findall(page.read_text())}
    assert [(page, path) for page, path in sorted(named) if not (ROOT / path).exists()] == []


LOGGED_BY = ("info", "warning", "error", "tell")


def calls() -> Iterator[ast.Call]:
    """Every call in the product that has an argument."""
    for package in ("actors", "studymatch", "web"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.walk(ast.parse(path.read_text()))
            yield from (node for node in tree if isinstance(node, ast.Call) and node.args)


def events() -> Iterator[str]:
    """The events that the product logs; of a sentence with a value in it, the part before the value."""
    for call in calls():
        name = getattr(call.func, "attr", getattr(call.func, "id", "")).lstrip("_")
        first = call.args[0]
        for option in (first.body, first.orelse) if isinstance(first, ast.IfExp) else (first,):
            match option:
                case ast.Constant(value=str(text)) if name in LOGGED_BY:
                    yield re.split("[:%;]", text)[0].strip()


def test_every_event_of_the_log_is_explained() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    found = {*events(), "crashed", "folded", "lines lost"}
    assert {"moved", "arrived", "database unavailable", "unusable"} < found
    is_sentence = re.compile(r"(\w+\W){3}").match
    unexplained = {event for event in found if (event if is_sentence(event) else f"`{event}`") not in page}
    assert unexplained == set()


def test_the_first_commands_of_the_readme_are_run_and_test() -> None:
    blocks = re.findall(r"^    (\S.*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert blocks[0].startswith("git clone ")
    assert [block.split("#")[0].strip() for block in blocks[1:3]] == ["make run", "make test"]
