"""The internals of libraries that the server uses are there, and take the arguments that it expects."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.metadata import packages_distributions

import pytest

from web.server.pins import INTERNALS, PINS, Internal


@pytest.mark.parametrize("internal", INTERNALS, ids=lambda internal: f"{internal.module}:{internal.name}")
def test_an_internal_is_there(internal: Internal) -> None:
    """If this fails with a new version, the code that uses the name has to be changed with it."""
    module = import_module(internal.module)
    try:
        found = eval(internal.name, vars(module))
    except (AttributeError, NameError):
        pytest.fail(f"{internal.module} has no {internal.name} any more; it is needed {internal.needed}")
    if internal.arguments is not None:
        arguments = tuple(inspect.signature(found).parameters)[1:]
        assert arguments == internal.arguments, (
            f"{internal.module}:{internal.name} takes {arguments}; it is needed {internal.needed}"
        )


def test_what_has_internals_in_use_is_pinned() -> None:
    distributions = packages_distributions()
    used = {distributions[internal.module.partition(".")[0]][0].lower() for internal in INTERNALS}
    assert used <= PINS.keys()
