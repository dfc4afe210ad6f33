"""Scenes: small fixed scripts, which are played with one fault at each possible moment.

A scene has a script for each of two or three people: one word for each tick (or several: ``search+closes``).
All act at the same moments, so that their messages cross. An `Actor` follows its script whatever has happened
meanwhile, as people do: the server refuses or drops what no longer fits. After the last word they wait; when
the faults stop they cooperate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import trio

from tests.simulation.faults import TICK_S, Script
from tests.simulation.network import Wire
from tests.simulation.people import Human, Manner, Page
from web.conversation import CREDIT

if TYPE_CHECKING:
    from tests.simulation.world import World

LATE_S = 4.5 * TICK_S
"""The delay of the hello of a connection that was given up, in seconds."""

MANY = CREDIT + 6
"""So many frames a plural sends: more than the server handles before it pauses the connection."""

LOST = {"closes": "close", "breaks": "break", "vanishes": "silent"}
"""The words that lose the connection, and how. The next word other than ``.`` reconnects."""


class Actor(Human):
    """A person who follows a script."""

    forgetful = 0.0
    manners = (Manner.NUMBERED,)

    def __init__(self, world: World, script: Script) -> None:
        super().__init__(world, 0)
        self.name = script.name
        self._words = list(reversed(script.words))

    async def live(self) -> None:
        await trio.sleep(TICK_S)
        await super().live()

    async def pause(self, least_s: float, most_s: float) -> None:
        """Do not pause: an actor only waits for its next word."""

    def has_enough(self) -> bool:
        return False

    async def stay_away(self) -> None:
        while not self.world.quiet:
            await trio.sleep(TICK_S)
            if not self._words or self._words[-1] != ".":
                return
            self._words.pop()

    async def think(self) -> None:
        if self.world.quiet:
            await super().think()
        else:
            await trio.sleep(TICK_S)

    def act(self, page: Page, wire: Wire) -> bool:
        if self.world.quiet:
            return super().act(page, wire)
        if page.state is None or not self._words:
            return False
        words = self._words.pop()
        self.world.story(f"{self.name}: {words}")
        session = page.state["session"] or "none"
        lost = [self._do(word, page, wire, session) for word in words.split("+")]
        return any(lost)

    def _do(self, word: str, page: Page, wire: Wire, session: str) -> bool:  # noqa: C901 (a word a branch)
        """Do one word. Returns True if the connection was lost."""
        match word:
            case "." | "back":
                pass
            case "search" | "cancel" | "leaving":
                self.say(page, wire, word)
            case "signal":
                self.signal(page, wire, session)
            case "chat":
                self.chat(page, wire, session)
            case "connected" | "skip" | "end" | "failed":
                self.say(page, wire, word, session=session)
            case "dials":
                self.world.story(f"{self.name} opens a connection and gives it up")
                late = self.world.connect(page)
                late.delay_s = LATE_S
                late.say(json.dumps(self.hello(page)))
                late.lose("close")
            case "pings" | "signals":
                for _ in range(MANY):
                    self._do(word.removesuffix("s"), page, wire, session)
            case "ping":
                self.say(page, wire, word)
            case "stalls":
                wire.stall()
            case "tab":
                self.world.second_tab(page)
            case _:
                wire.lose(LOST[word])
                return True
        return False


def _scene(**people: str) -> tuple[Script, ...]:
    return tuple(Script(name, tuple(words.split())) for name, words in people.items())


SCENES: Mapping[str, tuple[Script, ...]] = {
    "a call, and a skip": _scene(
        Ada="search signal connected chat skip . search",
        Ben="search signal connected chat .    . end",
    ),
    "a cancel crosses the match": _scene(
        Ada="search . cancel search skip",
        Ben=".      . search .      skip",
        Eve=".      . .      search .    .",
    ),
    "one vanishes from a call and comes back": _scene(
        Ada="search connected chat breaks . back chat .",
        Ben="search connected .    chat   chat . chat end",
    ),
    "comes back while the partner speaks": _scene(
        Ada="search connected chat breaks back                    breaks back             .",
        Ben="search connected chat .      chat+signal+chat+signal .      chat+signal+chat chat",
    ),
    "somebody leaves while connecting": _scene(
        Ada="search signal    closes .    .    . . back search",
        Ben="search connected .      .    skip . . .    search",
        Eve=".      .         .      search .  . . .    connected",
    ),
    "both skip at once, and a third is there": _scene(
        Ada="search connected skip . connected",
        Ben="search connected skip . connected",
        Eve=".      search    .    . connected end",
    ),
    "no call comes of the match": _scene(
        Ada="search signal failed search . .",
        Ben="search signal .      .      connected .",
    ),
    "a skip crosses the last report": _scene(
        Ada="search .         connected",
        Ben="search connected skip",
    ),
    "lost in the moment in which the limit passes": _scene(
        Ada="search",
        Ben=". search+closes" + 32 * " .",
    ),
    "changes of mind while another searches": _scene(
        Ada="search+cancel search        search+cancel",
        Ben="search+cancel search+cancel search+cancel",
        Eve="search        search+cancel search",
    ),
    "away while searching, and another connection": _scene(
        Ada="search breaks . back . tab .",
        Ben=".      .      search . . connected chat",
    ),
    "one reloads the page in a call, the other closes it": _scene(
        Ada="search connected chat leaving+closes . back chat .",
        Ben="search connected .    chat           . chat chat leaving+closes" + 12 * " .",
    ),
    "a hello arrives after that of a later connection": _scene(
        Ada="search connected . dials+breaks back . breaks . . back chat .",
        Ben="search connected . chat+signal  chat . chat   . . .    chat chat",
    ),
    "a chat and a skip while the line breaks": _scene(
        Ada="search connected chat chat+skip+breaks . back .    .",
        Ben="search connected chat .                . .    chat search",
    ),
    "says more at once than the server handles": _scene(
        Ada="search+pings cancel+pings search .",
        Ben=".            .            search connected",
    ),
    "stops reading while the partner speaks": _scene(
        Ada="search connected stalls .       .       .       . chat",
        Ben="search connected .      signals signals signals . chat",
    ),
}
"""The scenes, by name."""
