"""Writes `docs/protocol.md`: the wire protocol as the code has it.

    python tools/protocol_reference.py            writes the file
    python tools/protocol_reference.py --check    exits with 1 if the file is not what would be written

Frames, fields and limits come from the types in `studymatch.rules.protocol` and their docstrings; which
frame means something in which state, the causes and the cues from `rules.lifecycle`. Prose that belongs to
no type is in `tools/protocol_reference.md`, with a line `{{name}}` for each generated part.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import msgspec
from msgspec import inspect as types

from studymatch.rules import names, protocol
from studymatch.rules.lifecycle import ACCEPTS, CUES, EDGES, causes_in_order

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "protocol.md"
TEMPLATE = ROOT / "tools" / "protocol_reference.md"


def reference() -> str:
    """The whole page."""
    text = TEMPLATE.read_text(encoding="utf-8")
    parts = {
        "client_frames": _client_frames(),
        "server_frames": _server_frames(),
        "structs": _structs(),
        "edges": _edges(),
        "cues": _cues(),
        "close_codes": _close_codes(),
        "limits": _limits(),
    }
    for name, part in parts.items():
        text = text.replace("{{" + name + "}}", part)
    return text


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _members(union: UnionType) -> list[type[msgspec.Struct]]:
    return list(get_args(union))


def _sentence(kind: type[Any]) -> str:
    return " ".join((inspect.getdoc(kind) or "").split())


def _client_frames() -> str:
    rows = []
    for kind in _members(protocol.Inbound):
        tag = str(kind.__struct_config__.tag)
        states = [state.value for state, frames in ACCEPTS.items() if tag in frames]
        where = {"hello": "first", "ping": "any", "leaving": "any"}.get(tag, ", ".join(states))
        rows.append([_shape(kind), where, _sentence(kind)])
    return _table(("frame", "allowed in", "effect"), rows)


def _server_frames() -> str:
    return _table(
        ("frame", "meaning"), ([_shape(kind), _sentence(kind)] for kind in _members(protocol.Outbound))
    )


def _shape(kind: type[msgspec.Struct]) -> str:
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)
    fields = ", ".join(f"{f.encode_name}{'' if f.required else '?'}: {_name(f.type)}" for f in info.fields)
    return f"`{info.tag} {{{fields}}}`"


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
        case types.IntType():
            return "integer"
        case types.FloatType():
            return "number"
        case types.BoolType():
            return "boolean"
        case types.NoneType():
            return "null"
        case types.RawType():
            return "any JSON"
    raise TypeError(f"a type that the reference cannot name: {kind}")


def _structs() -> str:
    kinds = (
        protocol.ResumeRequest,
        protocol.Criteria,
        protocol.Identity,
        protocol.ResumeOffer,
        protocol.IceServer,
        protocol.Partner,
        protocol.Sound,
    )
    rows = []
    for kind in kinds:
        info = types.type_info(kind)
        assert isinstance(info, types.StructType)
        fields = ", ".join(
            f"{f.encode_name}{'' if f.required else '?'}: {_name(f.type)}" for f in info.fields
        )
        rows.append([kind.__name__, f"`{{{fields}}}`", _sentence(kind)])
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
    rows = (
        [str(code.value), *protocol.CLOSE_MEANINGS[code]]
        for code in sorted(protocol.CloseCode, key=lambda code: (code.value < 4000, code.value))
    )
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
    text = reference()
    if "--check" in sys.argv[1:]:
        return int(not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text)
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
