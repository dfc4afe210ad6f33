"""A small actor runtime on trio: mailboxes, doors, supervision, a journal.

An actor here is one trio task that owns its state and reads one mailbox. Three rules make the rest
simple: telling is synchronous and never blocks; an actor awaits its own mailbox and its own clock
only; and an address can be made to die with a scope (a *door*), so late news cannot arrive.

Nothing in this package knows what the actors are about.
"""

from actors.journal import Journal
from actors.mailbox import Door, Mailbox, link
from actors.supervisor import Crew, Intensity, TooManyRestartsError, keep_running, open_crew, serving

__all__ = [
    "Crew",
    "Door",
    "Intensity",
    "Journal",
    "Mailbox",
    "TooManyRestartsError",
    "keep_running",
    "link",
    "open_crew",
    "serving",
]
