"""Finds the handler for a path by Quart's rules, but without werkzeug's matcher.

Werkzeug's matcher leaves a reference cycle behind each request, and answers paths such as `//` with a
redirect to a host that the client chose. Here a path equals a rule, lies below the rule of a folder, or is
not found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from quart.routing import QuartRule
from werkzeug.exceptions import BadRequest, MethodNotAllowed, NotFound

PATH_ARGUMENT = "<path:"


class Routes:
    """The rules of one app: whole paths, and prefixes with one argument for the rest of the path."""

    def __init__(self, rules: Iterable[QuartRule]) -> None:
        self._whole: defaultdict[str, list[QuartRule]] = defaultdict(list)
        self._below: list[tuple[str, str, QuartRule]] = []
        for rule in rules:
            prefix, _, argument = rule.rule.partition(PATH_ARGUMENT)
            if argument:
                self._below.append((prefix, argument.removesuffix(">"), rule))
            else:
                self._whole[rule.rule].append(rule)

    def find(self, path: str, method: str | None) -> tuple[QuartRule, dict[str, Any]]:
        """The rule for a request, and its arguments. `method`: None for a WebSocket.

        Raises:
            NotFound: no rule has this path.
            MethodNotAllowed: the rules with this path are for other methods.
            BadRequest: the path is for WebSockets and the request is not one, or the reverse.
        """
        found = self._candidates(path)
        fitting = [(rule, given) for rule, given in found if rule.websocket is (method is None)]
        for rule, given in fitting:
            if method is None or rule.methods is None or method in rule.methods:
                return rule, given
        if fitting:
            raise MethodNotAllowed(sorted({name for rule, _ in fitting for name in rule.methods or ()}))
        raise BadRequest if found else NotFound

    def _candidates(self, path: str) -> list[tuple[QuartRule, dict[str, Any]]]:
        if path in self._whole:
            return [(rule, {}) for rule in self._whole[path]]
        return [
            (rule, {argument: path[len(prefix) :]})
            for prefix, argument, rule in self._below
            if path.startswith(prefix)
        ]
