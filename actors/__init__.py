"""A small actor runtime on trio: mailboxes, doors, supervision, a journal, rates.

An actor here is one trio task that owns its state and reads one mailbox. Three rules hold: `tell` is
synchronous and never blocks; an actor awaits only its own mailbox and its own clock; and an address can
be bound to a scope (a *door*), so that no message arrives after the scope has ended.

This package knows nothing about the product.
"""

from actors.door import Door, link
from actors.journal import Journal
from actors.mailbox import Mailbox
from actors.rate import Budget, Budgets, Rate
from actors.supervisor import (
    Backoff,
    Crew,
    Intensity,
    TooManyRestartsError,
    keep_running,
    keep_trying,
    open_crew,
    open_helpers,
    serving,
)
from actors.tracebacks import let_go

__all__ = [
    "Backoff",
    "Budget",
    "Budgets",
    "Crew",
    "Door",
    "Intensity",
    "Journal",
    "Mailbox",
    "Rate",
    "TooManyRestartsError",
    "keep_running",
    "keep_trying",
    "let_go",
    "link",
    "open_crew",
    "open_helpers",
    "serving",
]
