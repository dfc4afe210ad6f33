"""One setting: its default, its help and the values it accepts, in the metadata of a dataclass field.

The unit is the last part of the name (`_s`: seconds), or in the help. This module checks values, so the error
is the same for the command line, the environment and a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, field
from typing import Any

from studymatch.settings.readings import shown

MOST = 1e12
"""The largest number that is accepted: as many bytes, frames or seconds are as good as no limit."""

TEXT_MOST = 4096
"""The most characters of a text: as many as a path can have."""

CONFIDENTIAL = ("secret", "database_url")
"""Settings whose values no error quotes."""

SECRET_LEAST = 16
"""The least characters of a secret: 16 of base64 are 96 bits. Generated secrets have 43."""


def setting(
    default: Any,
    help: str,  # noqa: A002
    *,
    least: float | None = None,
    most: float = MOST,
    choices: tuple[str, ...] = (),
    read: Callable[[str], str] | None = None,
) -> Any:
    """A field of a settings class: its default, its help, and the values that it accepts."""
    metadata = {"help": help, "least": least, "most": most, "choices": choices, "read": read}
    if isinstance(default, tuple):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


class SettingError(ValueError):
    """A setting that cannot be used. The text names it, the expected values and the given one."""


def expected(setting: Field[Any]) -> str:
    """The values that a setting accepts, in words that follow "expects"."""
    least, most, choices = (setting.metadata[key] for key in ("least", "most", "choices"))
    if choices:
        return f"one of {', '.join(choices)}"
    if least is not None:
        kind = "a whole number" if setting.type == "int" else "a number"
        return f"{kind} from {plain(least)} to {plain(most)}"
    return f"a text that can be seen, of at most {TEXT_MOST} characters"


def check(setting: Field[Any], value: Any) -> None:
    """Check a value, or each of several, against the limits and choices of the setting."""
    least, most, choices = (setting.metadata[key] for key in ("least", "most", "choices"))
    if least is not None and not least <= value <= most:
        raise _not_expected(setting, value)
    if choices and value not in choices:
        raise _not_expected(setting, value)
    for text in value if isinstance(value, tuple) else (value,):
        if isinstance(text, str) and setting.name != "secret" and not _is_seen(text):
            raise _not_expected(setting, text)


def read(setting: Field[Any], value: Any) -> Any:
    """Parse a text, or each of several, with the parser of the setting."""
    read_one = setting.metadata["read"]
    try:
        return tuple(map(read_one, value)) if isinstance(value, tuple) else read_one(value)
    except ValueError as error:
        raise SettingError(f"{option(setting.name)} expects {error}") from None


def _is_seen(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text) <= TEXT_MOST


def _not_expected(setting: Field[Any], value: object) -> SettingError:
    got = "" if setting.name in CONFIDENTIAL else f", got {shown(value)}"
    return SettingError(f"{option(setting.name)} expects {expected(setting)}{got}")


def plain(number: float) -> str:
    """A number in at most 13 significant digits."""
    return f"{number:.13g}"


def check_secret(secret: str, where: str) -> str:
    """Returns `secret`, if it is long enough and printable.

    Raises:
        SettingError: it is too short or too long, or has blanks or invisible characters, such as the zeros
            that a power failure leaves in a file. The text begins with `where`, and holds no secret.
    """
    length = len(secret.strip())
    if length < SECRET_LEAST:
        raise SettingError(f"{where} expects at least {SECRET_LEAST} characters, got {length}")
    if length > TEXT_MOST:
        raise SettingError(f"{where} expects at most {TEXT_MOST} characters, got {length}")
    if " " in secret or not secret.isprintable():
        raise SettingError(f"{where} expects characters that can be seen, and no blanks among them")
    return secret


def option(name: str) -> str:
    """The command line option of the setting `name`."""
    return "--" + name.replace("_", "-")
