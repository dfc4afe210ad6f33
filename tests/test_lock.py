"""The lock files agree with pyproject.toml and with each other, and name no host; checked offline."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Pin:
    version: Version
    hashes: int


def locked(file_name: str) -> dict[NormalizedName, Pin]:
    """The pins of a lock file by canonical name; fails on a line that is no pin."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / file_name).read_text()).replace("\\\n", " ")
    pins: dict[NormalizedName, Pin] = {}
    for line in text.splitlines():
        requirement = Requirement(line.split(" --hash", 1)[0])
        (pinned,) = requirement.specifier
        assert pinned.operator == "==", line
        name = canonicalize_name(requirement.name)
        assert name not in pins, (
            f"{file_name} has {name} twice: one set of versions serves every Python and system"
        )
        pins[name] = Pin(Version(pinned.version), len(SHA256.findall(line)))
    return pins


def declared(group: str) -> list[Requirement]:
    """The run-time requirements of the project, and those of a dependency group with all that it includes."""

    def of_group(name: str) -> list[str]:
        entries = PROJECT["dependency-groups"][name]
        return [
            text
            for entry in entries
            for text in (of_group(entry["include-group"]) if isinstance(entry, dict) else [entry])
        ]

    return [Requirement(text) for text in [*PROJECT["project"]["dependencies"], *of_group(group)]]


@pytest.mark.parametrize(
    ("file_name", "group"), [("requirements.txt", "build"), ("requirements-dev.txt", "dev")]
)
def test_every_declared_package_is_locked_at_a_version_it_allows(file_name: str, group: str) -> None:
    pins = locked(file_name)
    for requirement in declared(group):
        pin = pins.get(canonicalize_name(requirement.name))
        stale = f"{file_name} has {pin and pin.version} for {requirement}: run `make lock`"
        assert pin is not None, stale
        assert pin.version in requirement.specifier, stale


def test_the_development_lock_contains_the_run_time_lock() -> None:
    assert locked("requirements.txt").items() <= locked("requirements-dev.txt").items()


@pytest.mark.parametrize("file_name", ["requirements.txt", "requirements-dev.txt"])
def test_every_pin_has_hashes_and_no_line_names_a_host(file_name: str) -> None:
    assert [name for name, pin in locked(file_name).items() if pin.hashes == 0] == []
    assert "://" not in (ROOT / file_name).read_text()


def test_the_javascript_lock_names_no_registry() -> None:
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text(), (
        "run npm with omit-lockfile-registry-resolved=true"
    )
