"""What `tools.protocol_reference` and `tools.protocol_js` read out of the types of the wire protocol."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, get_args

import msgspec
from msgspec import inspect as types

from studymatch.rules import protocol

PARTS: tuple[type[msgspec.Struct], ...] = (
    protocol.ResumeRequest,
    protocol.Criteria,
    protocol.Identity,
    protocol.ResumeOffer,
    protocol.IceServer,
    protocol.Partner,
    protocol.Sound,
)
"""The structs that frames contain."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a frame, or of a part of one.

    `kind` is its type. A deprecated field stays for older clients; new ones do not read it.
    """

    name: str
    kind: types.Type
    is_optional: bool = False
    description: str = ""
    is_deprecated: bool = False

    @property
    def sentence(self) -> str:
        """The description, which says first if the field is deprecated; "" for none."""
        return f"deprecated: {self.description}" if self.is_deprecated else self.description


SEQ = Field(
    "seq",
    types.IntType(),
    description="rises by one with each frame sent to this person; every server frame has it but the refusal"
    " of a hello",
)
"""The field that `protocol.numbered` adds to what the server sends."""


def seq_of(kind: type[msgspec.Struct]) -> Field:
    """`SEQ` as this frame of the server has it: a hello is refused by an `error` without it."""
    return replace(SEQ, is_optional=kind is protocol.Error)


def members(union: UnionType) -> list[type[msgspec.Struct]]:
    """The frames of one direction: of `protocol.Inbound` or `protocol.Outbound`."""
    return list(get_args(union))


def tag_of(kind: type[msgspec.Struct]) -> str:
    """The frame's `type` on the wire."""
    return str(kind.__struct_config__.tag)


def fields(kind: type[msgspec.Struct]) -> list[Field]:
    """The fields of a struct in the order of the wire, without `type` and `seq`."""
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)
    return [_field(field) for field in info.fields]


def sentence(kind: type[Any]) -> str:
    """The docstring of a type, as one line."""
    return " ".join((inspect.getdoc(kind) or "").split())


def _field(field: types.Field) -> Field:
    kind = field.type
    about: dict[str, Any] = {}
    if isinstance(kind, types.Metadata):
        about = kind.extra_json_schema or {}
        kind = kind.type
    return Field(
        field.encode_name,
        kind,
        is_optional=not field.required,
        description=about.get("description", ""),
        is_deprecated=about.get("deprecated", False),
    )
