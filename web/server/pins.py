"""The versions of the libraries whose internals `web.server` uses, checked before it is imported."""

from importlib.metadata import version

PINS = {
    "h11": "0.16",
    "hypercorn": "0.18",
    "quart": "0.22",
    "quart-trio": "0.12",
    "websockets": "17.4",
    "wsproto": "1.3",
}
"""The minor version of each distribution that was reviewed and tested. Others may work, or fail silently."""


def check_pins(pins: dict[str, str]) -> None:
    """Raises ImportError, with what to install, unless each distribution has its pinned minor version."""
    for distribution, wanted in pins.items():
        found = version(distribution)
        if found != wanted and not found.startswith(f"{wanted}."):
            raise ImportError(
                f"web.server leans on the internals of {distribution} {wanted} and found {found}: "
                f"install '{distribution}=={wanted}.*'"
            )
