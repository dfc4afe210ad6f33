"""Runs a command of the command line with its settings, and turns what goes wrong into an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any

import trio

from studymatch.settings import SettingError, Settings
from web.refusals import RefusedToStartError, refuse


def execute(command: Callable[[Settings], Any], options: dict[str, Any]) -> Any:
    """Run `command`, an async function, with the settings made from `options`. Returns what it returns.

    Otherwise the process exits: with 2 and one sentence if it was refused, with 130 if it was interrupted,
    and with 1 and a traceback for a bug.
    """
    try:
        settings = Settings(**options)
        return trio.run(command, settings)
    except (SettingError, RefusedToStartError) as error:
        refuse(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        sys.exit(1)
