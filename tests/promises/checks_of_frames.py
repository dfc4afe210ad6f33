"""The checks of received frames: promises 6 and 7, and the protocol itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from studymatch.rules.lifecycle import EDGES, State
from tests.promises.check import Check, Needs
from tests.promises.evidence import IN_SESSION, Evidence, answered_pings, in_order, payload_of, tellings
from tests.promises.transcript import Entry, Frame, Transcript, What


class ComesBack(Check):
    """A person who comes back within the grace is resumed."""

    promise = 6
    needs = frozenset({Needs.PINGS, Needs.CORRECT_PAGES, Needs.LASTING_ACTORS})
    margin_s = 0.5

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            answers = {id(pong): ping for ping, pong in answered_pings(transcript)}
            hello: Entry | None = None
            there_at: float | None = None
            for entry in transcript.entries:
                kind = entry.frame.get("type")
                if entry.what is What.SAID and kind == "hello":
                    hello = entry
                elif id(entry) in answers:
                    there_at = answers[id(entry)]
                elif entry.what is What.HEARD and kind == "welcome" and hello is not None:
                    if there_at is not None and "resume" in hello.frame and not entry.frame["resumed"]:
                        away_s = entry.at - there_at
                        forgot = evidence.forgot_between(there_at, entry.at)
                        if away_s < evidence.rules.grace_s - self.margin_s and not forgot:
                            yield f"{transcript.person} was away for {away_s:.1f} s at most, and forgotten"
                    there_at = hello.at


class AwayIsTold(Check):
    """A person whose partner has disconnected is told so, or told that the session is over."""

    promise = 6
    needs = frozenset({Needs.PINGS, Needs.CORRECT_PAGES})

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            for session, partner, begin, end in self._absences(transcript):
                begin += evidence.rules.silence_s + evidence.rules.slack_s
                for other in evidence.lives.get(partner, ()):
                    later = next((pong for ping, pong in answered_pings(other) if ping > begin), None)
                    if later is not None and later.at < end and self._believes(other, session, later):
                        yield f"{partner} was not told that {transcript.person} is gone from {session}"

    def _absences(self, transcript: Transcript) -> Iterator[tuple[str, str, float, float]]:
        """The times without a connection during a session: session, partner, begin and end."""
        page: Frame = {}
        absence: tuple[str, str, float] | None = None
        for entry in transcript.entries:
            if entry.what is What.HEARD and entry.frame["type"] == "state":
                page = entry.frame
            elif entry.what is What.CLOSED and page.get("state") in IN_SESSION:
                absence = page["session"], page["partner"]["id"], entry.at
            elif entry.what is What.OPENED and absence is not None:
                yield *absence, entry.at
                absence = None
        if absence is not None:
            yield *absence, float("inf")

    def _believes(self, transcript: Transcript, session: str, until: Entry) -> bool:
        """Whether a page, at its entry `until`, considered the partner in this session present."""
        believes = False
        for entry in transcript.entries:
            if entry is until:
                break
            if entry.what is not What.HEARD:
                continue
            match entry.frame["type"]:
                case "state":
                    is_this = entry.frame["session"] == session and entry.frame["state"] in IN_SESSION
                    believes = is_this and not entry.frame["partner"]["away"]
                case "partner" if entry.frame["session"] == session:
                    believes = not entry.frame["away"]
        return believes


class WordsArriveOnce(Check):
    """Signals and chat reach only the partner in that session: once, in order, without a gap.

    The order is that in which the server accepted them, where the evidence has it (`taken`): of two
    connections of a page, the older may be slower. Otherwise it is that in which they were sent. Then frames
    that were on their way when a connection broke may not have reached the server. So for people who do not
    number their frames, a gap counts only if the frames on both sides of it were sent on the same connection.
    Those who number their frames repeat them, so nothing may be missing.
    """

    promise = 6
    needs = frozenset({Needs.NUMBERED_WORDS})

    def look(self, evidence: Evidence) -> Iterator[str]:
        said_on = {} if evidence.taken is not None else self._links(evidence)
        for person, lives in evidence.lives.items():
            last: dict[tuple[str, str], int] = {}
            for entry in in_order(lives):
                payload = payload_of(entry, What.HEARD)
                if payload is None:
                    continue
                yield from self._misdelivered(evidence, person, entry.frame, payload)
                by, session, number = payload["by"], payload["in"], payload["n"]
                former = last.get((session, by))
                last[session, by] = number
                what = f"{person} got number {number} of {by} in {session}"
                if evidence.taken is not None:
                    accepted = evidence.taken.get((session, by), [])
                    if number not in accepted:
                        yield f"{what}, which the server never accepted"
                    elif former in accepted and accepted.index(number) <= accepted.index(former):
                        yield f"{what} after {former}"
                    continue
                if number <= (former or 0):
                    yield f"{what} after {former}"
                links = said_on.get(by, {})
                link = links.get((session, number))
                skipped = range((former or 0) + 1, number)
                if missed := [it for it in skipped if links.get((session, it)) == link]:
                    yield f"{what}, and never {missed}"

    def _misdelivered(self, evidence: Evidence, person: str, frame: Frame, payload: Frame) -> Iterator[str]:
        told, by = frame["session"], payload["by"]
        if told != payload["in"]:
            yield f"{person} got in {told} what was said in {payload['in']}"
        if frame.get("from", by) != by:
            yield f"{person} got in {told} what {by} said, as if {frame['from']} had said it"
        partners = {telling.frame["partner"]["id"] for telling in evidence.told.get(payload["in"], [])}
        row = evidence.row.get(told)
        is_theirs = row is None or {person, by} == set(row.people)
        if by == person or not {person, by} <= partners | {person} or not is_theirs:
            yield f"{person} got in {told} what {by} said, who is not their partner"

    def _links(self, evidence: Evidence) -> dict[str, dict[tuple[str, int], tuple[int, int]]]:
        """For each person the page and connection on which they sent each number of each session.

        The connection is 0 if the page repeats the frame on any.
        """
        return {
            person: {
                (said["in"], said["n"]): (page, 0 if "n" in entry.frame else entry.link)
                for page, transcript in enumerate(lives)
                for entry in transcript.entries
                if (said := payload_of(entry, What.SAID)) is not None
            }
            for person, lives in evidence.lives.items()
        }


class HeardIsTold(Check):
    """The server acknowledges only sent frames, never fewer than before, and all those before an answered
    ping.
    """

    promise = 7

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            said = told = 0
            said_on: defaultdict[int, int] = defaultdict(int)
            # For each ping that is unanswered, the last number before it on its connection.
            pings: defaultdict[int, list[int]] = defaultdict(list)
            for entry in transcript.entries:
                frame, kind, link = entry.frame, entry.frame.get("type"), entry.link
                if entry.what is What.SAID:
                    if kind == "ping":
                        pings[link].append(said_on[link])
                    elif "n" in frame:
                        said_on[link], said = frame["n"], max(said, frame["n"])
                elif entry.what is What.HEARD and "heard" in frame:
                    if kind == "welcome" and not frame["resumed"]:
                        said = told = 0
                    least = max(told, pings[link].pop(0) if kind == "pong" and pings[link] else 0)
                    told = frame["heard"]
                    if not least <= told <= said:
                        yield f"{transcript.person} was told of {told}, not of {least} to {said}: {entry}"


class NumbersRise(Check):
    """Frames are numbered without a gap on one connection, from its welcome on, and continue on the next.

    Only a page that is refused at the hello, and so has no actor, gets a frame without a number.
    """

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            last, link = 0, 0
            for entry in transcript.entries:
                if entry.what is not What.HEARD:
                    continue
                seq, kind = entry.frame.get("seq"), entry.frame["type"]
                if seq is None:
                    if kind != "error" or entry.frame["about"] != "hello" or link == entry.link:
                        yield f"{transcript.person} got a {kind} without a number: {entry}"
                    continue
                if kind == "welcome" and not entry.frame["resumed"]:
                    last = seq - 1
                if seq <= last or (seq != last + 1 and link == entry.link):
                    yield f"{transcript.person} got number {seq} after {last}: {entry}"
                if link != entry.link and kind != "welcome":
                    yield f"{transcript.person} was not welcomed first: {entry}"
                last, link = seq, entry.link


class MovesAreLegal(Check):
    """A page sees only transitions of the protocol's table."""

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            for former, later in pairwise(tellings(transcript)):
                edge = State(former.frame["state"]), State(later.frame["state"])
                if former.link == later.link and edge not in EDGES:
                    yield f"{transcript.person} was led from {edge[0]} to {edge[1]}"


class GoodbyesAreKnown(Check):
    """A correct page gets no error and no close code for an error of the page or of the server.

    1000 and 1001 end a silent connection, 4408 a handshake that the network delayed.
    """

    needs = frozenset({Needs.CORRECT_PAGES})
    codes = frozenset({None, 1000, 1001, 1006, 4408, 4503})

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            for entry in transcript.entries:
                if entry.what is What.CLOSED and entry.code not in self.codes:
                    yield f"{transcript.person} was closed with {entry.code}"
            for error in transcript.frames(What.HEARD, "error"):
                if error.frame["code"] != "not_now":
                    yield f"{transcript.person} was refused: {error}"
