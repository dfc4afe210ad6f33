"""Every setting with its default, its unit and its purpose.

Each part of the program has a class with the settings that it needs: `person`, `limits`, `edge`, `storage`.
`Settings` has them all. The command line is generated from its fields: ``grace_s`` is the option
``--grace-s`` and the environment variable ``STUDYMATCH_GRACE_S``. `relations` has the constraints between two
settings; `kinds` checks single values, and `readings`, `origins` and `ice` parse them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from difflib import get_close_matches

from studymatch.settings.edge import EdgeSettings
from studymatch.settings.kinds import (
    CONFIDENTIAL,
    SettingError,
    check,
    check_secret,
    expected,
    option,
    plain,
    read,
)
from studymatch.settings.limits import LimitSettings
from studymatch.settings.person import PersonSettings
from studymatch.settings.relations import RELATIONS, Relation
from studymatch.settings.storage import StorageSettings

__all__ = [
    "CONFIDENTIAL",
    "EdgeSettings",
    "LimitSettings",
    "PersonSettings",
    "SettingError",
    "Settings",
    "StorageSettings",
    "check_secret",
    "expected",
    "option",
    "unknown_variables",
]


@dataclass(frozen=True, kw_only=True)
class Settings(LimitSettings, PersonSettings, StorageSettings, EdgeSettings):
    """The settings of one process of studymatch.

    Raises:
        SettingError: a value is out of its range, or contradicts another.
    """

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            check(setting, value)
            if value is not None and setting.metadata["read"]:
                object.__setattr__(self, setting.name, read(setting, value))
        for secret in self.secret:
            check_secret(secret, "--secret")
        for relation in RELATIONS:
            _check_relation(relation, getattr(self, relation.name), getattr(self, relation.other))


def _check_relation(relation: Relation, value: float, other: float) -> None:
    least = relation.bound(other)
    if value < least:
        raise SettingError(
            f"{option(relation.name)} expects at least {plain(least)} with "
            f"{option(relation.other)} {plain(other)}, got {plain(value)}: {relation.why}"
        )


def unknown_variables(environment: Iterable[str]) -> dict[str, str | None]:
    """The variables that look like settings but are none, each with the setting that was probably meant."""
    known = [f"STUDYMATCH_{setting.name.upper()}" for setting in fields(Settings)]
    ours = [name for name in environment if name.upper().startswith("STUDYMATCH_") and name not in known]
    return {
        name: next(iter(get_close_matches(name.upper(), known, n=1, cutoff=0.85)), None)
        for name in ours
        if not name.startswith("STUDYMATCH_CROWD_")
    }
