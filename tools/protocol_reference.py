"""Writes `docs/protocol.md` and `web/static/js/protocol.js`: the wire protocol as the code has it.

    python -m tools.protocol_reference            writes both files
    python -m tools.protocol_reference --check    exits with 1 if one of them is not what would be written

Frames, fields and limits come from the types in `studymatch.rules.protocol`, their docstrings and
descriptions; which frame means something in which state, the causes and the cues from `rules.lifecycle`.
Prose that belongs to no type is in `tools/protocol_reference.md`, with a line `{{name}}` for each generated
part. `tools.protocol_js` makes the page's module.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import inspect as types

from studymatch.rules import names, protocol
from studymatch.rules.close_codes import AFTER_CLOSE, CLOSE_MEANINGS, CloseCode
from studymatch.rules.lifecycle import ACCEPTS, CUES, EDGES
from tools import protocol_js
from tools.protocol_types import PARTS, SEQ, fields, members, sentence, tag_of
from tools.state_diagram import causes_in_order

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "tools" / "protocol_reference.md"


def reference() -> str:
    """The whole page."""
    text = TEMPLATE.read_text(encoding="utf-8")
    parts = {
        "client_frames": _client_frames(),
        "server_frames": _server_frames(),
        "state_fields": _state_fields(),
        "structs": _structs(),
        "edges": _edges(),
        "cues": _cues(),
        "close_codes": _close_codes(),
        "limits": _limits(),
    }
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    return text


TARGETS = {
    ROOT / "docs" / "protocol.md": reference,
    ROOT / "web" / "static" / "js" / "protocol.js": protocol_js.module,
}
"""Each file that is generated, and what makes its text."""

PLAIN_NAMES: dict[type[types.Type], str] = {
    types.IntType: "integer",
    types.FloatType: "number",
    types.BoolType: "boolean",
    types.NoneType: "null",
    types.RawType: "any JSON",
}
"""The types that have the same name whatever their limits are."""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _client_frames() -> str:
    rows = []
    for kind in members(protocol.Inbound):
        tag = tag_of(kind)
        states = [state.value for state, frames in ACCEPTS.items() if tag in frames]
        where = {"hello": "first", "ping": "any", "leaving": "any"}.get(tag, ", ".join(states))
        rows.append([_shape(kind), where, sentence(kind)])
    return _table(("frame", "allowed in", "effect"), rows)


def _server_frames() -> str:
    return _table(
        ("frame", "meaning"), ([_shape(kind), sentence(kind)] for kind in members(protocol.Outbound))
    )


def _state_fields() -> str:
    rows = ([f"`{field.name}`", field.sentence] for field in (SEQ, *fields(protocol.Snapshot)))
    return _table(("field of `state`", "meaning"), rows)


def _shape(kind: type[msgspec.Struct]) -> str:
    return f"`{tag_of(kind)} {_content(kind)}`"


def _content(kind: type[msgspec.Struct]) -> str:
    inside = ", ".join(f"{f.name}{'?' if f.is_optional else ''}: {_name(f.kind)}" for f in fields(kind))
    return f"{{{inside}}}"


def _name(kind: types.Type) -> str:
    match kind:
        case types.UnionType(types=options):
            return " | ".join(_name(option) for option in options)
        case types.StructType(cls=cls) | types.EnumType(cls=cls):
            return cls.__name__
        case types.ListType(item_type=item):
            return f"[{_name(item)}]"
        case types.StrType(max_length=None):
            return "string"
        case types.StrType(min_length=least, max_length=most):
            return f"string({least or 0}..{most})"
        case _ if (name := PLAIN_NAMES.get(type(kind))) is not None:
            return name
    raise TypeError(f"a type that the reference cannot name: {kind}")


def _structs() -> str:
    rows = ([kind.__name__, f"`{_content(kind)}`", sentence(kind)] for kind in PARTS)
    return _table(("name", "fields", "meaning"), rows)


def _edges() -> str:
    rows = (
        [
            source.value,
            target.value,
            ", ".join(f"`{c}`" if c else "(the person's wish)" for c in causes_in_order(causes)),
        ]
        for (source, target), causes in EDGES.items()
    )
    return _table(("from", "to", "cause"), rows)


def _cues() -> str:
    cues: dict[str, list[str]] = {}
    for cause, cue in CUES.items():
        cues.setdefault(cue, []).append(f"`{cause}`")
    return _table(("cue", "causes"), ([f"`{cue}`", ", ".join(causes)] for cue, causes in cues.items()))


def _close_codes() -> str:
    rows = []
    for code in sorted(CloseCode, key=lambda code: (code.value < 4000, code.value)):
        why, then = CLOSE_MEANINGS[code]
        rows.append([str(code.value), why, AFTER_CLOSE[then]])
    return _table(("code", "meaning", "the client then"), rows)


def _limits() -> str:
    return _table(
        ("what", "limit"),
        (
            ["a message from a browser", f"{protocol.FRAME_MAX_BYTES} bytes"],
            ["`signal.data`, as JSON", f"{protocol.SIGNAL_MAX_BYTES} bytes"],
            ["`chat.text`", f"1 to {protocol.CHAT_MAX_CHARS} characters"],
            [
                "a name",
                f"1 to {names.NAME_MAX_CHARS} code points in NFC, after white space is folded and "
                "what cannot be seen is stripped",
            ],
            ["a criterion", f"{protocol.CRITERION_MAX_CHARS} characters"],
        ),
    )


def main() -> int:
    for path, make in TARGETS.items():
        text = make()
        if "--check" not in sys.argv[1:]:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
