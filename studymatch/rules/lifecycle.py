"""The five states of a person, the legal moves between them, and the causes of each move.

Theory of operation
-------------------
A person is in exactly one `State`. `EDGES` lists every legal move with the causes that it can have. Every
change of state calls `move`, which raises `IllegalMoveError` for a move that is not in the table. Tables also
say which frames a browser may send in which state (`ACCEPTS`), which sound belongs to a state (`SOUNDS`) and
which to a cause (`CUES`).

This module is pure: no clock, no tasks, no I/O. ``python -m tools.state_diagram`` draws the diagram in
`docs/architecture.md` from it, and tests compare the diagram and the page's states with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """The state of a person. The values go over the wire."""

    IDLE = "idle"
    SEARCHING = "searching"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    ENDED = "ended"


IN_SESSION = frozenset({State.CONNECTING, State.CONNECTED})
"""The states in which a person has a partner."""


class Cause(StrEnum):
    """Why a state was left, as one person sees it. The values go over the wire.

    The cause is None for a move that the person asked for and that needs no explanation (a search begins).
    """

    MATCHED = "matched"
    CONNECTED = "connected"
    SKIPPED = "skipped"
    PARTNER_SKIPPED = "partner_skipped"
    ENDED = "ended"
    PARTNER_ENDED = "partner_ended"
    PARTNER_LOST = "partner_lost"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    CANCELLED = "cancelled"
    RESTARTING = "restarting"


class SessionCause(StrEnum):
    """Why a session ended, as the ledger records it. A session ends once, for one cause."""

    SKIPPED = "skipped"
    ENDED = "ended"
    LOST = "lost"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    RESTARTING = "restarting"
    NODE_LOST = "node_lost"


_S, _C, _SC = State, Cause, SessionCause

EDGES: Mapping[tuple[State, State], frozenset[Cause | None]] = MappingProxyType(
    {
        (_S.IDLE, _S.SEARCHING): frozenset({None}),
        (_S.SEARCHING, _S.IDLE): frozenset({_C.CANCELLED}),
        (_S.SEARCHING, _S.CONNECTING): frozenset({_C.MATCHED}),
        (_S.CONNECTING, _S.CONNECTED): frozenset({_C.CONNECTED}),
        (_S.CONNECTING, _S.ENDED): frozenset(
            {
                _C.SKIPPED,
                _C.PARTNER_SKIPPED,
                _C.ENDED,
                _C.PARTNER_ENDED,
                _C.PARTNER_LOST,
                _C.CONNECT_TIMEOUT,
                _C.CONNECT_FAILED,
                _C.RESTARTING,
            }
        ),
        # A partner may report a failure before they learn that both are connected, so a call that has just
        # begun can still end with CONNECT_FAILED.
        (_S.CONNECTED, _S.ENDED): frozenset(
            {
                _C.SKIPPED,
                _C.PARTNER_SKIPPED,
                _C.ENDED,
                _C.PARTNER_ENDED,
                _C.PARTNER_LOST,
                _C.CONNECT_FAILED,
                _C.RESTARTING,
            }
        ),
        (_S.ENDED, _S.SEARCHING): frozenset({None}),
        (_S.ENDED, _S.IDLE): frozenset({_C.ENDED}),
    }
)
"""Every legal move: from, to, and the causes that can bring it about."""

ACCEPTS: Mapping[State, frozenset[str]] = MappingProxyType(
    {
        _S.IDLE: frozenset({"search"}),
        _S.SEARCHING: frozenset({"cancel"}),
        _S.CONNECTING: frozenset({"signal", "connected", "failed", "skip", "end"}),
        _S.CONNECTED: frozenset({"signal", "chat", "skip", "end"}),
        _S.ENDED: frozenset({"search", "end"}),
    }
)
"""The frames that are accepted in each state. `ping` and `leaving` are accepted in all of them."""

SOUNDS: Mapping[State, tuple[str, float]] = MappingProxyType({_S.SEARCHING: ("ring", 0.4)})
"""The looping sound that belongs to a state, and its volume from 0 to 1."""

CUES: Mapping[Cause, str] = MappingProxyType(
    {
        _C.MATCHED: "chime",
        _C.SKIPPED: "hangup",
        _C.PARTNER_SKIPPED: "hangup",
        _C.PARTNER_ENDED: "hangup",
        _C.PARTNER_LOST: "hangup",
        _C.CONNECT_TIMEOUT: "hangup",
        _C.CONNECT_FAILED: "hangup",
    }
)
"""The sound to play once when a state is left for this cause."""


SEEN_BY_LEAVER: Mapping[SessionCause, Cause] = MappingProxyType(
    {
        _SC.SKIPPED: _C.SKIPPED,
        _SC.ENDED: _C.ENDED,
        _SC.CONNECT_TIMEOUT: _C.CONNECT_TIMEOUT,
        _SC.CONNECT_FAILED: _C.CONNECT_FAILED,
    }
)
"""The cause that the person who ended a session sees. (A person who was lost sees none.)"""

SEEN_BY_PARTNER: Mapping[SessionCause, Cause] = MappingProxyType(
    {
        _SC.SKIPPED: _C.PARTNER_SKIPPED,
        _SC.ENDED: _C.PARTNER_ENDED,
        _SC.LOST: _C.PARTNER_LOST,
        _SC.CONNECT_TIMEOUT: _C.CONNECT_TIMEOUT,
        _SC.CONNECT_FAILED: _C.CONNECT_FAILED,
        _SC.RESTARTING: _C.RESTARTING,
    }
)
"""The cause that their partner sees."""


class IllegalMoveError(Exception):
    """The table has no such move: a bug in the caller."""


def move(source: State, target: State, cause: Cause | None) -> State:
    """Go from `source` to `target` because of `cause`; returns `target`.

    Raises:
        IllegalMoveError: `EDGES` has no such move, or not for this cause. Nothing has changed.
    """
    causes = EDGES.get((source, target))
    if causes is None:
        raise IllegalMoveError(f"there is no way from {source} to {target}")
    if cause not in causes:
        expected = ", ".join(sorted(str(legal) for legal in causes))
        raise IllegalMoveError(f"{source} to {target} expects a cause out of {expected}; got {cause}")
    return target
