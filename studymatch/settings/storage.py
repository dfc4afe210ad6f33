"""Settings of the database, the data folder, the secrets that sign tokens, and the log."""

from __future__ import annotations

from dataclasses import dataclass

from studymatch.settings.kinds import setting
from studymatch.settings.readings import read_database_url


@dataclass(frozen=True, kw_only=True)
class StorageSettings:
    """Settings of the database, the data folder, the secrets and the log."""

    database_url: str | None = setting(
        None,
        "PostgreSQL to record sessions in, like postgresql://user@host/name. "
        "Without it, a private PostgreSQL is started in the data folder.",
        read=read_database_url,
    )
    data_dir: str | None = setting(
        None,
        "Folder for the private PostgreSQL, the signing key, and records for an unreachable database. "
        "Without it, ~/.local/share/studymatch, or /var/lib/studymatch for root.",
    )
    secret: tuple[str, ...] = setting(
        (),
        "Secret that signs the tokens of guests, at least 16 characters without blanks, the same on every "
        "machine behind one address; may be given several times (in the environment with blanks between): "
        "the first signs, and tokens signed by any of them are valid. Other users of this machine can see a "
        "command line. Without one, a secret is generated and kept in the data folder.",
    )
    secret_file: tuple[str, ...] = setting(
        (),
        "File with such secrets, one per line, used after those of --secret; may be given several times (in "
        "the environment with : between).",
    )
    log_level: str = setting(
        "info", "Least severe kind of line to write.", choices=("debug", "info", "warning", "error")
    )
    log_format: str = setting(
        "auto",
        "Lines for people (console), one JSON object a line (json), or by whether the output is a terminal.",
        choices=("auto", "console", "json"),
    )
