"""The checkers of connections and of the frames on them, which also inspect the server.

They need the state of a connection, or what an actor has handled. The shared checks (`tests/promises`) read
the frames alone.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import trio

from tests.promises.evidence import payload_of
from tests.promises.transcript import What
from tests.simulation.checker import Checker
from web.conversation import CREDIT, Conversation

if TYPE_CHECKING:
    from tests.simulation.network import Frame, Wire
    from tests.simulation.people import Page, Said
    from tests.simulation.world import World

ELSEWHERE = 4409


class AcceptedWordsArrive(Checker):
    """Signals and chat that the server accepted have reached the partner, once the faults have stopped.

    What there was no room for is lost, but then the page is told that it missed something. The shared check
    `WordsArriveOnce` reads those that did arrive.
    """

    promise = 6
    needs = "which words the server accepted, and which frames are still on their way"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._missed: set[tuple[str | None, str]] = set()

    def told(self, page: Page, wire: Wire, frame: Frame) -> None:
        if frame["type"] == "error" and frame["code"] == "missed" and page.state is not None:
            self._missed.add((page.state["session"], page.person.id))

    def calm(self) -> None:
        for page in self.world.pages:
            if page.state is None or page.wire is None or page.state["state"] != "connected":
                continue
            session, person = page.state["session"], page.person.id
            accepted = self.world.accepted[session, page.state["partner"]["id"]]
            got = self._got(person, session)
            settled = accepted[: len(accepted) - page.wire.unread - 3]
            is_told = (session, person) in self._missed
            if page.wire.well and not is_told and not set(settled) <= got:
                self.violated(f"{person} lacks words of {session}: {set(settled) - got}")

    def _got(self, person: str, session: str) -> set[int]:
        """The numbers of the words that a person has received in a session, on any of their pages."""
        heard = (
            payload_of(entry, What.HEARD)
            for transcript in self.world.recorder.transcripts
            if transcript.person == person
            for entry in transcript.entries
        )
        return {payload["n"] for payload in heard if payload is not None and payload["in"] == session}


class SaidIsHeard(Checker):
    """A numbered frame is handled exactly once, and only handled frames are acknowledged.

    Only the welcome of a new actor tells a page that a frame was not handled. `settled_s` after the welcome
    and after it was sent, a frame has arrived.
    """

    promise = 7
    needs = "which frames each actor has handled"
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


class OneConnection(Checker):
    """A person has at most one live connection; the newest wins, and the older one is closed with 4409."""

    promise = 6
    needs = "the server's end of each connection"

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
        # The time to read the rest of the close frame may have passed while the clock jumped.
        is_cut_off = (
            wire.gone or wire.stalled or wire.busy or trio.current_time() == self.world.trouble.jumped_at
        )
        if wire.greeted and superseded and wire.code is None and not is_cut_off:
            self.violated(f"{wire.person} was not told why connection {wire.number} ended")


class FramesAreWhole(Checker):
    """What the server has written is a sequence of whole frames."""

    needs = "the bytes that the server has written"

    def rest(self) -> None:
        for wire in self.world.wires.values():
            if wire.is_torn:
                self.violated(f"connection {wire.number} of {wire.person} has got what is no frame")


class WhatWaitsIsBounded(Checker):
    """At rest, no connection has more unsent than the settings allow, and none is paused without a reason.

    A client that does not read is disconnected; a frame that was handled gives the client its credit back.
    The frames of one turn are counted when the next one is written.
    """

    needs = "the sockets and conversations of the server"

    def rest(self) -> None:
        settings = self.world.settings
        for socket in self.world.sockets():
            if socket.unsent_frames > settings.outbox_max + CREDIT:
                self.violated(f"{socket.unsent_frames} frames wait for a client that does not read")
            conversation = socket._receiver
            if isinstance(conversation, Conversation) and conversation.is_established:
                if not 0 <= conversation._unhandled < CREDIT:
                    self.violated(f"{conversation._unhandled} frames are said to be unhandled")
                if socket._is_paused:
                    self.violated("a connection is paused though all its frames were handled")
