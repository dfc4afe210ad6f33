"""Makes `web/static/js/protocol.js`: the wire protocol as types and tables for the page.

Each frame and each part of one becomes a `@typedef` with the name that it has in `studymatch.rules.protocol`.
Comments cost the page nothing (`web.static_files` serves code without them). Tables do, so they hold what the
page uses and no more. `tools.protocol_reference` writes the file, formatted as prettier would format it.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from enum import StrEnum
from types import UnionType

import msgspec
from msgspec import inspect as types

from studymatch.rules import protocol
from studymatch.rules.close_codes import AFTER_CLOSE, CLOSE_MEANINGS, AfterClose, CloseCode
from studymatch.rules.lifecycle import Cause, State
from tools.protocol_types import PARTS, Field, fields, members, sentence, seq_of, tag_of

HEAD = """/**
 * What the page and the server say to each other, as types and tables: the page's copy of the wire protocol.
 * Data only: nothing here runs, waits or remembers.
 *
 * Generated from studymatch/rules/protocol.py and studymatch/rules/lifecycle.py. Change those, and then run
 * python -m tools.protocol_reference
 */
"""
WIDTH = 110


def module() -> str:
    """The whole file."""
    parts = [
        HEAD,
        *(_choice(kind) for kind in (State, Cause, AfterClose)),
        *(_struct(kind, fields(kind)) for kind in PARTS),
        *(_frame(kind, fields(kind)) for kind in members(protocol.Inbound)),
        _union("ClientFrame", "What a client may say.", protocol.Inbound),
        *(_frame(kind, [seq_of(kind), *fields(kind)]) for kind in members(protocol.Outbound)),
        _union("ServerFrame", sentence(protocol.ServerFrame), protocol.Outbound),
        _constant("VERSION", protocol.VERSION, "The version of the protocol."),
        _constant("CHAT_MAX_CHARS", protocol.CHAT_MAX_CHARS, "The longest chat text, in code points."),
        _states(),
        _close_codes(),
        _after_close(),
    ]
    return "\n".join(parts)


def _comment(*paragraphs: str, tags: Iterable[str] = ()) -> str:
    """A JSDoc comment: paragraphs, then lines with a tag, each wrapped."""
    lines = [line for text in paragraphs for line in textwrap.wrap(text, WIDTH - 3)]
    for tag in tags:
        lines += textwrap.wrap(tag, WIDTH - 3, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(["/**", *(f" * {line}" for line in lines), " */"]) + "\n"


def _choice(kind: type[StrEnum]) -> str:
    values = " | ".join(f'"{member.value}"' for member in kind)
    return _comment(sentence(kind), tags=[f"@typedef {{{values}}} {kind.__name__}"])


def _frame(kind: type[msgspec.Struct], content: list[Field]) -> str:
    return _struct(kind, content, f'@property {{"{tag_of(kind)}"}} type')


def _struct(kind: type[msgspec.Struct], content: list[Field], *first: str) -> str:
    never_null = kind.__struct_config__.omit_defaults
    tags = [_property(field, never_null=never_null) for field in content]
    return _comment(sentence(kind), tags=[f"@typedef {{object}} {kind.__name__}", *first, *tags])


def _property(field: Field, *, never_null: bool) -> str:
    """`never_null`: of an optional field, which is left out instead."""
    is_optional = field.is_optional or field.is_deprecated
    name = f"[{field.name}]" if is_optional else field.name
    kind = _name(field.kind)
    if field.is_optional and never_null:
        kind = kind.removesuffix(" | null")
    return f"@property {{{kind}}} {name} {field.sentence}".rstrip()


def _name(kind: types.Type) -> str:
    match kind:
        case types.UnionType(types=options):
            return " | ".join(_name(option) for option in options)
        case types.StructType(cls=cls) | types.EnumType(cls=cls):
            return cls.__name__
        case types.ListType(item_type=item):
            return f"{_name(item)}[]"
        case types.StrType():
            return "string"
        case types.IntType() | types.FloatType():
            return "number"
        case types.BoolType():
            return "boolean"
        case types.NoneType():
            return "null"
        case types.RawType():
            return "unknown"
    raise TypeError(f"a type that the page cannot name: {kind}")


def _union(name: str, about: str, union: UnionType) -> str:
    names = " | ".join(kind.__name__ for kind in members(union))
    return _comment(about, tags=[f"@typedef {{{names}}} {name}"])


def _constant(name: str, value: int, about: str) -> str:
    return f"/** {about} */\nexport const {name} = {value};\n"


def _states() -> str:
    states = ", ".join(f'"{state.value}"' for state in State)
    return f"/** @type {{readonly State[]}} */\nexport const STATES = [{states}];\n"


def _close_codes() -> str:
    lines = [f"/** {sentence(CloseCode)} */", "export const CLOSE_CODES = {"]
    for code, (why, _) in CLOSE_MEANINGS.items():
        lines += [f"  /** {why} */", f"  {code.name}: {code.value},"]
    return "\n".join([*lines, "};"]) + "\n"


def _after_close() -> str:
    meanings = [f"`{then.value}`: it {meaning}." for then, meaning in AFTER_CLOSE.items()]
    head = _comment(
        "What the client does then. After any other code the connection was lost: it comes back soon.",
        *meanings,
        tags=["@type {ReadonlyMap<number, AfterClose>}"],
    )
    rows = (f'  [CLOSE_CODES.{code.name}, "{then.value}"],' for code, (_, then) in CLOSE_MEANINGS.items())
    return head + "\n".join(["export const AFTER_CLOSE = new Map([", *rows, "]);"]) + "\n"
