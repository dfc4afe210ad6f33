"""The page brings along how many people are here, and is made once a second at most."""

from __future__ import annotations

from studymatch.rules.protocol import Presence
from web.build import this_build
from web.content_coding import IDENTITY
from web.front_page import COUNT_MAX_AGE_S, FrontPage
from web.quart_app import App


class Counts:
    """Somebody who counts, and counts how often they are asked."""

    def __init__(self) -> None:
        self.online = 3
        self.asked = 0

    def __call__(self) -> Presence:
        self.asked += 1
        return Presence(online=self.online, searching=1)


def text_of(page: FrontPage, now: float) -> str:
    return page.file(now).bodies[IDENTITY].content.decode()


def test_the_count_in_the_page_is_a_second_old_at_most() -> None:
    counts = Counts()
    page = FrontPage(App("web", this_build()), counts)
    assert 'data-online="3"' in text_of(page, 0.0)
    assert 'data-searching="1"' in text_of(page, 0.0)
    counts.online = 4
    assert 'data-online="3"' in text_of(page, COUNT_MAX_AGE_S / 2)
    assert counts.asked == 1
    assert 'data-online="4"' in text_of(page, COUNT_MAX_AGE_S)


def test_the_same_count_makes_no_other_page() -> None:
    page = FrontPage(App("web", this_build()), Counts())
    assert page.file(0.0) is page.file(COUNT_MAX_AGE_S)
