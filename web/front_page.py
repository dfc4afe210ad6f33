"""The HTML page, the same for everybody, with the number of people who are here.

A visitor has no connection yet that could bring the count, so the page contains it.
"""

from __future__ import annotations

from collections.abc import Callable

from studymatch.rules.protocol import Presence
from web.quart_app import App
from web.static_files import File, make_file

NAME = "index.html"
COUNT_MAX_AGE_S = 1.0
"""Compressing the page takes about two milliseconds; once a second that does not matter."""


class FrontPage:
    """The page of `app`, with the result of `count`."""

    def __init__(self, app: App, count: Callable[[], Presence]) -> None:
        self._template = app.jinja_env.overlay(enable_async=False).get_template(NAME)
        self._build = app.build
        self._count = count
        self._counted: Presence | None = None
        self._count_again_at = 0.0
        self._file: File | None = None

    def file(self, now: float) -> File:
        """The page, with a count that is at most `COUNT_MAX_AGE_S` old. `now`: trio's clock."""
        if self._file is None or now >= self._count_again_at:
            self._count_again_at = now + COUNT_MAX_AGE_S
            count = self._count()
            if self._file is None or count != self._counted:
                self._counted = count
                page = self._template.render(build=self._build, presence=count)
                self._file = make_file(NAME, page.encode(), slow=False)
        return self._file
