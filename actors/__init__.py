"""A small actor runtime on trio: mailboxes, doors, supervision, a journal, rates.

An actor here is one trio task that owns its state and reads one mailbox. Three rules make the rest
simple: telling is synchronous and never blocks; an actor awaits its own mailbox and its own clock
only; and an address can be made to die with a scope (a *door*), so late news cannot arrive.

Nothing in this package knows what the actors are about.
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
