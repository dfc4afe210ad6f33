"""The identity of a server in its database: its data folder, its node, and the node before it.

The file ``node.json`` in the folder keeps them. A folder can be copied together with its machine while its
server runs. So the file also holds the boot id of the machine and the inode of the folder. If these still
match, the process that holds the lock on the folder knows that the node before it has ended.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from uuid import UUID

import msgspec

from studymatch.ids import new_id
from studymatch.rules.records import Node
from studymatch.state_files import Tell, decode, read_or_set_aside, set_aside, write_whole

FILE = "node.json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class NodeFile(msgspec.Struct, frozen=True):
    """The file: the UUID of the folder, the id of the last node on it, and where it ran: see `_location`.

    The keys in the file are older than the names here, and stay: a folder outlives a version.
    """

    home: UUID
    node: UUID = msgspec.field(name="life")
    location: str | None = msgspec.field(name="place")


def move_in(folder: Path, node: str, name: str, tell: Tell) -> Node:
    """The node with the id `node`, on a folder that this process has locked. `name` is for people.

    If the file is lost or cannot be written, other servers only take longer to see that a node has ended.
    """
    path, location = folder / FILE, _location(folder)
    before = decode(data, _decoder) if (data := read_or_set_aside(path, tell)) is not None else None
    if before is None and data is not None:
        set_aside(path, "it does not identify a server", tell)
    home = new_id() if before is None else str(before.home)
    try:
        write_whole(path, msgspec.json.encode(NodeFile(UUID(home), UUID(node), location)))
    except OSError as error:
        tell("not written", file=str(path), why=error.strerror)
    is_over = before is not None and location is not None and before.location == location
    return Node(node, name, home, str(before.node) if before is not None and is_over else None)


_decoder = msgspec.json.Decoder(NodeFile)


def _location(folder: Path) -> str | None:
    """What a copy of the folder does not share: the boot id of the machine, the file system, the inode."""
    with suppress(OSError):
        status = folder.stat()
        return f"{BOOT_ID.read_text().strip()} {status.st_dev} {status.st_ino}"
    return None
