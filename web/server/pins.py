"""The versions of the libraries on whose internals the edge leans, checked before any of it is used."""

from importlib.metadata import version

PINS = {
    "h11": "0.16",
    "hypercorn": "0.18",
    "quart": "0.22",
    "quart-trio": "0.12",
    "websockets": "17.4",
    "wsproto": "1.3",
}
"""Distribution to the minor version that was read and tested. Another one may work, or fail in silence."""


def check_pins(pins: dict[str, str]) -> None:
    """Raises ImportError, saying what to install, unless each distribution is of its pinned minor version."""
    for distribution, wanted in pins.items():
        found = version(distribution)
        if found != wanted and not found.startswith(f"{wanted}."):
            raise ImportError(
                f"web.server leans on the internals of {distribution} {wanted} and found {found}: "
                f"install '{distribution}=={wanted}.*'"
            )
