"""Imports go down only: one table says which package may import what, third-party packages included.

The sources are read and not imported, so that an import inside a function or under TYPE_CHECKING counts too.
"""

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# From the lowest to the highest: what each room may import besides itself and the standard library. A name
# with a dot, and each of `OURS`, is a room above in this table; every other name is a third-party package.
ROOMS = {
    "actors": words("trio outcome structlog msgspec"),
    "studymatch.state_files": words("msgspec"),
    "studymatch.rules": words("msgspec sortedcontainers"),
    "studymatch.postgres": words("actors studymatch.state_files trio psycopg psycopg_pool"),
    "studymatch.recording": words(
        "actors studymatch.state_files studymatch.rules studymatch.postgres trio msgspec psycopg"
    ),
    "studymatch.ids": words(""),
    "studymatch.settings": words("studymatch.rules studymatch.postgres msgspec"),
    "studymatch.census": words("studymatch.rules"),
    "studymatch.messages": words("actors studymatch.rules msgspec"),
    "studymatch.patience": words("actors studymatch.settings msgspec"),
    "studymatch.pairing": words("actors studymatch.rules studymatch.messages studymatch.patience trio"),
    "studymatch.person": words(
        "actors studymatch.rules studymatch.settings studymatch.census studymatch.messages"
        " studymatch.patience studymatch.pairing trio msgspec"
    ),
    "studymatch.matcher": words(
        "actors studymatch.rules studymatch.messages studymatch.patience studymatch.pairing trio"
    ),
    "studymatch.residence": words("studymatch.state_files studymatch.rules studymatch.ids msgspec"),
    "studymatch.handover": words(
        "studymatch.state_files studymatch.rules studymatch.patience studymatch.person msgspec"
    ),
    "studymatch.hall": words(
        "actors studymatch.rules studymatch.recording studymatch.ids studymatch.settings studymatch.census"
        " studymatch.messages studymatch.patience studymatch.pairing studymatch.person studymatch.matcher"
        " trio"
    ),
    "studymatch": words(""),
    "web.server": words("actors trio hypercorn h11 wsproto websockets"),
    "crowd": words("msgspec"),
    "web": words(
        "actors studymatch web.server crowd"
        " trio msgspec hypercorn quart quart_trio werkzeug itsdangerous click brotli"
    ),
}
OURS = words("actors studymatch web crowd")

# Parts of the standard library that only the edge and the crowd need, or that belong to another event loop.
NETWORK = words("asyncio html http socket socketserver ssl wsgiref xmlrpc")
MAY_USE_NETWORK = words("web.server web crowd")

PURE = "studymatch.rules"
PURE_MAY_IMPORT = words(
    "__future__ abc bisect collections dataclasses enum functools heapq itertools json math operator re"
    " string types typing unicodedata"
)


def imported(source: str, module: str, *, is_package: bool = False) -> Iterator[str]:
    """The absolute dotted names that a source imports, at any depth; `from a import b` gives `a.b`."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            stem = [*base, *([node.module] if node.module else [])]
            yield from (".".join([*stem, alias.name]) for alias in node.names)


def imports() -> dict[str, list[str]]:
    """What each module of ours imports, by its dotted name."""
    found = {}
    for floor in sorted(OURS):
        for path in sorted((ROOT / floor).rglob("*.py")):
            is_package = path.name == "__init__.py"
            named = path.parent if is_package else path.with_suffix("")
            module = ".".join(named.relative_to(ROOT).parts)
            found[module] = list(imported(path.read_text(encoding="utf-8"), module, is_package=is_package))
    assert found, f"no sources in {ROOT}"
    return found


def top(name: str) -> str:
    return name.partition(".")[0]


def room_of(name: str) -> str:
    """The narrowest room in which a module or name of ours is."""
    while name not in ROOMS:
        name, _, end = name.rpartition(".")
        assert end, "a name of ours"
    return name


def is_allowed(name: str, room: str) -> bool:
    """Whether a module of this room may import this dotted name."""
    if top(name) in OURS:
        other = room_of(name)
        return other == room or any(other == may or other.startswith(f"{may}.") for may in ROOMS[room])
    if top(name) in sys.stdlib_module_names:
        may = PURE_MAY_IMPORT if room == PURE else sys.stdlib_module_names - NETWORK
        return top(name) in may or room in MAY_USE_NETWORK
    return top(name) in ROOMS[room]


def test_imports_go_down_only() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, names in imports().items()
        for name in names
        if not is_allowed(name, room_of(module))
    ]
    assert wrong == []


def test_the_table_itself_goes_down_only() -> None:
    """A room may import the rooms before it and none after it, so that there is no circle."""
    rooms = list(ROOMS)
    wrong = [
        f"{room} before {may}"
        for number, room in enumerate(rooms)
        for may in ROOMS[room]
        if top(may) in OURS and may not in rooms[:number]
    ]
    assert wrong == []


def test_the_table_allows_nothing_that_is_not_used() -> None:
    used = {room: set[str]() for room in ROOMS}
    for module, names in imports().items():
        used[room_of(module)] |= {
            room_of(name) if top(name) in OURS else top(name)
            for name in names
            if top(name) not in sys.stdlib_module_names
        }
    idle = {
        room: idle
        for room, mays in ROOMS.items()
        if (idle := [may for may in mays if not any(name == may or top(name) == may for name in used[room])])
    }
    assert idle == {}


def test_every_module_of_the_product_is_in_a_room_of_its_own() -> None:
    """What is new in `studymatch/` itself needs a row in the table."""
    assert [module for module in imports() if room_of(module) == "studymatch"] == ["studymatch"]


def test_every_package_imported_is_a_declared_dependency() -> None:
    """One that is there only because another package needs it may go with that package's next version."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {canonicalize_name(Requirement(text).name) for text in dependencies}
    distributions = packages_distributions()
    tops = {top(name) for names in imports().values() for name in names}
    undeclared = [
        name
        for name in sorted(tops - sys.stdlib_module_names - OURS)
        if declared.isdisjoint(canonicalize_name(found) for found in distributions.get(name, []))
    ]
    assert undeclared == []


def loaded_by(*modules: str) -> frozenset[str]:
    """The packages that a process has loaded after it has imported these modules."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    # Under `make coverage` a process would measure itself, and load what that takes.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return words(done.stdout)


def test_the_rules_are_pure_also_through_what_they_import() -> None:
    rules = [module for module in imports() if room_of(module) == PURE]
    assert len(rules) > 5
    assert loaded_by(*rules).isdisjoint(words("trio actors web crowd structlog psycopg asyncio socket"))


def test_serving_does_not_import_the_crowd() -> None:
    assert "crowd" not in loaded_by("web.cli", "web.run")


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import web.app as app, trio", ["web.app", "trio"]),
        ("from web import app", ["web.app"]),
        ("def f():\n    from quart import Quart", ["quart.Quart"]),
        ("if TYPE_CHECKING:\n    import hypercorn.trio", ["hypercorn.trio"]),
        ("from . import hall", ["studymatch.hall"]),
        ("from .hall import Hall", ["studymatch.hall.Hall"]),
        ("from ..web import app", ["web.app"]),
    ],
)
def test_every_form_of_import_is_seen(source: str, names: list[str]) -> None:
    assert list(imported(source, "studymatch.matcher")) == names


def test_a_package_is_the_base_of_its_own_relative_imports() -> None:
    assert list(imported("from .hall import Hall", "studymatch", is_package=True)) == ["studymatch.hall.Hall"]


@pytest.mark.parametrize(
    ("room", "refused"),
    [
        ("actors", "studymatch.rules.pool web.app crowd.plan psycopg.connect asyncio.run tests.support"),
        ("studymatch.rules", "trio actors.Door studymatch.messages.Offer time random.random os socket"),
        ("studymatch.postgres", "studymatch.rules.records studymatch.ids web.app msgspec"),
        ("studymatch.person", "studymatch.matcher studymatch.recording.ledger studymatch.hall psycopg"),
        ("studymatch.hall", "web.app quart.Quart hypercorn.trio wsproto http.HTTPStatus tests.support"),
        ("web.server", "studymatch.rules.protocol web.app quart.Quart crowd"),
        ("crowd", "actors.Rate studymatch.settings web.identity web.server trio tests.support"),
        ("web", "tests.support benchmarks.pool psycopg.connect"),
    ],
)
def test_what_goes_up_is_refused(room: str, refused: str) -> None:
    assert [name for name in refused.split() if is_allowed(name, room)] == []


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("actors", "actors.mailbox trio.abc structlog collections.deque time"),
        ("studymatch.rules", "studymatch.rules.lifecycle.State msgspec.Struct re"),
        ("studymatch.person", "studymatch.person.user studymatch.rules.pool actors.Door"),
        ("studymatch.postgres", "studymatch.postgres.folders psycopg.Connection subprocess"),
        ("web", "web.app web.server.accept studymatch.rules.pool actors.Door crowd.plan quart.Quart socket"),
    ],
)
def test_what_goes_down_is_allowed(room: str, allowed: str) -> None:
    assert [name for name in allowed.split() if not is_allowed(name, room)] == []
