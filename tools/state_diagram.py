"""Prints the table of states as a Mermaid diagram, for `docs/architecture.md`.

python -m tools.state_diagram
"""

from __future__ import annotations

import sys

from studymatch.rules.lifecycle import EDGES, Cause, State


def diagram() -> str:
    """The table of moves as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.IDLE}"]
    for (source, target), causes in EDGES.items():
        label = ", ".join(
            cause or ("search" if source is State.IDLE else "search again")
            for cause in causes_in_order(causes)
        )
        lines.append(f"    {source} --> {target}: {label}")
    return "\n".join(lines)


def causes_in_order(causes: frozenset[Cause | None]) -> list[Cause | None]:
    """The given causes in the order in which `Cause` lists them, no cause first."""
    order: list[Cause | None] = [None, *Cause]
    return [cause for cause in order if cause in causes]


if __name__ == "__main__":
    sys.stdout.write(f"{diagram()}\n")
