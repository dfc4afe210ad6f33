"""The checkers that read what pages receive: one for each property that must hold.

They see what a real page sees: frames, in the order in which they arrive, and how its connections end. The
checkers in `checkers.py` inspect the hall.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

import trio

from studymatch.rules.lifecycle import EDGES, State
from tests.simulation.checker import Checker

if TYPE_CHECKING:
    from tests.simulation.network import Frame, Wire
    from tests.simulation.people import Page, Said
    from tests.simulation.world import World

ELSEWHERE = 4409


class NumbersRise(Checker):
    """Frames are numbered without a gap on one connection, and rise over all connections of a page.

    Only a page that is refused at the hello, and so has no actor, gets a frame without a number.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._last: dict[int, tuple[int, int]] = {}

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        seq = frame.get("seq")
        if seq is None:
            if frame["type"] != "error" or frame["about"] != "hello" or page.greeted_on is wire:
                self.violated(f"{page.person.id} got a {frame['type']} without a number")
            return
        over, last = self._last.get(id(page), (wire.number, 0))
        if frame["type"] == "welcome" and not frame["resumed"]:
            last = seq - 1
        if seq <= last or (over == wire.number and seq != last + 1 and frame["type"] != "welcome"):
            self.violated(f"{page.person.id} got number {seq} after {last}")
        self._last[id(page)] = (wire.number, seq)


class MovesAreLegal(Checker):
    """A page that saw every change only saw legal transitions."""

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        before, _ = page.moved
        if frame["type"] != "state" or before is None or before.wire != wire.number:
            return
        source, target = State(before.frame["state"]), State(frame["state"])
        if (source, target) not in EDGES:
            self.violated(f"{page.person.id} was led from {source} to {target}")


class WordsArriveOnce(Checker):
    """Signals and chat reach the partner of that session only, once and in order, and are not lost.

    What there was no room for is lost, but then the page is told that it missed something. The order is that
    in which the server read them: of two connections of a page, the older may be slower.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._got: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        self._missed: set[tuple[str | None, str]] = set()

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        if frame["type"] == "error" and frame["code"] == "missed" and page.state is not None:
            self._missed.add((page.state["session"], page.person.id))
        if frame["type"] not in ("signal", "chat"):
            return
        words = frame["data"] if frame["type"] == "signal" else json.loads(frame["text"])
        what = f"{page.person.id} got {frame['type']} {words['n']} of {words['from']}"
        session = frame["session"]
        row = self.world.matched.get(session)
        if row is None or {words["from"], page.person.id} != set(row):
            self.violated(f"{what} in {session}")
        if frame.get("from", words["from"]) != words["from"]:
            self.violated(f"{what} as if it were of {frame['from']}")
        if words["session"] != session:
            self.violated(f"{what}, said in {words['session']}, in {session}")
        got, taken = self._got[session, page.person.id], self.world.accepted[words["session"], words["from"]]
        if words["n"] not in taken:
            self.violated(f"{what}, which the server never took, in {session}")
        elif got and taken.index(words["n"]) <= taken.index(got[-1]):
            self.violated(f"{what} after {got[-1]} in {session}")
        else:
            got.append(words["n"])

    def calm(self) -> None:
        for page in self.world.pages:
            if page.state is None or page.wire is None or page.state["state"] != "connected":
                continue
            session = page.state["session"]
            accepted = self.world.accepted[session, page.state["partner"]["id"]]
            got = self._got[session, page.person.id]
            settled = accepted[: len(accepted) - page.wire.unread - 3]
            is_told = (session, page.person.id) in self._missed
            if page.wire.well and not is_told and not set(settled) <= set(got):
                self.violated(f"{page.person.id} lacks words of {session}: {set(settled) - set(got)}")


class SaidIsHeard(Checker):
    """A numbered frame is handled exactly once, and only handled frames are acknowledged.

    Only the welcome of a new actor tells a page that a frame was not handled. `settled_s` after the welcome
    and after it was sent, a frame has arrived.
    """

    settled_s = 10.0

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        if frame["type"] not in ("welcome", "pong"):
            return
        for said in page.numbered[: frame["heard"]]:
            self._see(page, said, "is told to have been heard")

    def calm(self) -> None:
        long_ago = trio.current_time() - self.settled_s
        for page in self.world.pages:
            user = self.world.users().get(page.person.id)
            is_settled = page.wire is not None and page.wire.well and page.wire is page.greeted_on
            if not is_settled or page.greeted_at > long_ago or user is None or user.key != page.key:
                continue
            for said in page.numbered:
                if said.at < long_ago:
                    self._see(page, said, "was said long ago")
                    self._see_the_end(page, said)

    def end(self) -> None:
        for (key, n), times in self.world.dealt_with.items():
            if times > 1:
                self.violated(f"what the actor of {key} was told as number {n} was dealt with {times} times")

    def _see(self, page: Page, said: Said, why: str) -> None:
        assert page.key is not None
        times = self.world.dealt_with[page.key, said.n]
        if times != 1:
            what = f"{said.frame['type']} number {said.n} of {page.person.id}"
            self.violated(f"{what} {why}, and was dealt with {times} times")

    def _see_the_end(self, page: Page, said: Said) -> None:
        """A person who has asked to leave a session is no longer in it."""
        state = page.state
        if state is None or said.frame["type"] not in ("skip", "end"):
            return
        if state["session"] == said.frame["session"] and state["state"] in ("connecting", "connected"):
            self.violated(f"{page.person.id} has said {said.frame['type']} and is still {state['state']}")


class EveryMatchEnds(Checker):
    """On a page, a match is followed by its end or by a new start, never by another match."""

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        if frame["type"] != "state" or frame["session"] is None:
            return
        before = [
            told.frame
            for told in page.told[:-1]
            if told.frame["type"] in ("state", "welcome") and told.wire == wire.number
        ]
        if before and before[-1]["type"] == "state":
            last = before[-1]
            if last["state"] in ("connecting", "connected") and last["session"] != frame["session"]:
                self.violated(f"{page.person.id} went from {last['session']} to {frame['session']}")


class FailedMatchesCostNothing(Checker):
    """After a failed match, a person who did not end it searches again with their former waiting time.

    That time comes from the journal's line about the match: the clock may have jumped, so a page cannot tell.
    """

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._waited_ms: dict[int, int] = {}

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        before, now = page.moved
        if frame["type"] != "state" or before is None or now is None or before.wire != wire.number:
            return
        goes_on = frame["search_again_ms"] is not None
        match before.frame["state"], frame["state"]:
            case "searching", "connecting":
                self._waited_ms[wire.number] = self._waited_for(page.person.id, frame["session"])
            case "connecting", "ended" if before.frame["session"] not in page.left and goes_on:
                pass
            case "ended", "searching":
                had_ms = self._waited_ms.pop(wire.number, 0)
                if frame["since_ms"] < had_ms - 2:
                    self.violated(f"{page.person.id} had waited {had_ms} ms, now {frame['since_ms']} ms")
            case _:
                self._waited_ms.pop(wire.number, None)

    def _waited_for(self, person: str, session: str) -> int:
        """How long, in ms, the person had waited when they were matched into the session."""
        return max(
            (
                int(line["lasted_ms"])
                for line in self.world.lines.events("moved")
                if line["actor"] == f"user {person}"
                and line.get("session") == session
                and line["from"] == "searching"
            ),
            default=0,
        )


class SearchesAgain(Checker):
    """A person who skipped or was left, and has not asked for anything else, searches again automatically."""

    CAUSES = ("skipped", "partner_skipped", "partner_ended", "partner_lost")

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        asked_to_stop = page.kinds & {"end", "failed"}
        if frame["type"] != "state" or asked_to_stop:
            return
        if frame["cause"] in self.CAUSES and frame["search_again_ms"] is None:
            self.violated(f"{page.person.id} is left in ended for {frame['cause']}")
        if frame["state"] == "idle" and frame["cause"] == "ended":
            self.violated(f"{page.person.id} never asked to stop")


class OneConnection(Checker):
    """A person has at most one live connection; the newest wins, and the older one is closed with 4409."""

    def rest(self) -> None:
        open_ones: defaultdict[str, list[Wire]] = defaultdict(list)
        for wire in self.world.wires.values():
            if wire.greeted and not (wire.over or wire.busy):
                open_ones[wire.person].append(wire)
        for person, wires in open_ones.items():
            if len(wires) > 1:
                self.violated(f"{person} has {len(wires)} connections: {[wire.number for wire in wires]}")

    def closed(self, wire: Wire) -> None:
        """`wire` has ended at the server. Of two that came at the same moment either may win."""
        others = [it for it in self.world.wires.values() if it.person == wire.person and it is not wire]
        if wire.code == ELSEWHERE and all(it.heard_at < wire.heard_at for it in others):
            self.violated(f"{wire.person} lost connection {wire.number} to none that is newer")
        superseded = any(it.greeted and it.heard_at > wire.heard_at for it in others)
        if wire.greeted and superseded and wire.code is None and not (wire.gone or wire.stalled or wire.busy):
            self.violated(f"{wire.person} was not told why connection {wire.number} ended")
