"""The secrets that sign the tokens of guests: from options, from files, or generated in the data folder.

Several secrets allow rotation: the first signs, and tokens signed with any of them are valid. Somebody who
guesses a secret can impersonate everybody, so a file that a full disk or a power failure has left empty,
blank or full of zeros is never used as a secret.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from studymatch.settings import SettingError, StorageSettings, check_secret
from studymatch.state_files import read_plainly, write_whole

SECRET_FILE = "signing.key"


def signing_secrets(settings: StorageSettings, data_dir: Path) -> tuple[str, ...]:
    """The secrets of `--secret`, then those of `--secret-file`; without any, those kept in `data_dir`.

    Raises:
        SettingError: one cannot be used or read. The text holds no part of a secret.
        OSError: there is none yet, and the new one cannot be written.
    """
    in_files = (secret for file in settings.secret_file for secret in _in_file(Path(file), "--secret-file"))
    return (*settings.secret, *in_files) or kept_secrets(data_dir)


def kept_secrets(folder: Path) -> tuple[str, ...]:
    """The secrets kept in `folder`. The first call generates one.

    Raises:
        SettingError: the file exists and cannot be used. A new secret would invalidate all tokens, so the
            operator has to decide.
        OSError: the first secret cannot be written; no file is left behind.
    """
    path = folder / SECRET_FILE
    if not path.exists() and not path.is_symlink():
        write_whole(path, secrets.token_urlsafe(32).encode() + b"\n")
    try:
        return _in_file(path, "the signing key")
    except SettingError as error:
        raise SettingError(
            f"{error}. Put the former file back; or remove this one, and everybody who was here before is"
            " a new guest"
        ) from None


def _in_file(path: Path, what: str) -> tuple[str, ...]:
    """One secret for each line of the file; blank lines, and blanks round a secret, do not count."""
    try:
        text = read_plainly(path).decode("utf-8-sig")
    except OSError as error:
        raise SettingError(f"{what} {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingError(f"{what} {path} expects a secret in each line; this is no text") from None
    lines = [line.strip() for line in text.split("\n")]
    return tuple(check_secret(line, f"{what} {path}") for line in lines if line) or (
        check_secret("", f"{what} {path}"),
    )
