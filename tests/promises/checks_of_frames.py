"""The checks of received frames and of records: promises 6 to 8, and the protocol itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from studymatch.rules.lifecycle import EDGES, SEEN_BY_LEAVER, SEEN_BY_PARTNER, SessionCause, State
from tests.promises.checks_of_matches import Check
from tests.promises.evidence import IN_SESSION, Evidence, Row, answered_pings, tellings
from tests.promises.transcript import Entry, Frame, Transcript, What


class ComesBack(Check):
    """A person who comes back within the grace is resumed."""

    promise = 6
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
                        killed = evidence.killed_between(there_at, entry.at)
                        if away_s < evidence.rules.grace_s - self.margin_s and not killed:
                            yield f"{transcript.person} was away for {away_s:.1f} s at most, and forgotten"
                    there_at = hello.at


class AwayIsTold(Check):
    """A person whose partner has disconnected is told so, or told that the session is over."""

    promise = 6

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            for session, partner, begin, end in self._absences(transcript):
                other = evidence.of_person.get(partner)
                if other is None:
                    continue
                begin += evidence.rules.silence_s + evidence.rules.slack_s
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


class ArrivesOnce(Check):
    """Signals and chat reach only the partner in that session: once, in order, without a gap.

    Frames that were on their way when a connection broke may not have reached the server. So for people who
    do not number their frames, a gap counts only if the frames on both sides of it were sent on the same
    connection. Those who number their frames repeat them, so nothing may be missing.
    """

    promise = 6

    def look(self, evidence: Evidence) -> Iterator[str]:
        links = {transcript.person: self._links(transcript) for transcript in evidence.transcripts}
        for transcript in evidence.transcripts:
            last: dict[tuple[str, str], int] = {}
            for entry in transcript.entries:
                payload = payload_of(entry, What.HEARD)
                if payload is None:
                    continue
                by, session, number = payload["by"], payload["in"], payload["n"]
                yield from self._misdelivered(evidence, transcript.person, entry.frame["session"], payload)
                former = last.get((session, by), 0)
                last[session, by] = number
                if number <= former:
                    yield f"{transcript.person} got number {number} of {by} after {former} in {session}"
                said_on = links.get(by, {})
                missed = [
                    between
                    for between in range(former + 1, number)
                    if said_on.get((session, between)) == said_on.get((session, number))
                ]
                if missed:
                    yield f"{transcript.person} never got {missed} of {by} in {session}, but {number}"

    def _misdelivered(self, evidence: Evidence, person: str, told: str, payload: Frame) -> Iterator[str]:
        if told != payload["in"]:
            yield f"{person} got in {told} what was said in {payload['in']}"
        partners = {telling.frame["partner"]["id"] for telling in evidence.told.get(payload["in"], [])}
        if payload["by"] == person or not {person, payload["by"]} <= partners | {person}:
            yield f"{person} got in {told} what {payload['by']} said, who is not their partner"

    def _links(self, transcript: Transcript) -> dict[tuple[str, int], int]:
        """The connection on which a person sent each number of each session; 0: repeated on any."""
        payloads = ((entry, payload_of(entry, What.SAID)) for entry in transcript.entries)
        return {
            (said["in"], said["n"]): 0 if "n" in entry.frame else entry.link
            for entry, said in payloads
            if said is not None
        }


class HeardIsTold(Check):
    """The server acknowledges only sent frames, never fewer than before, and all those before an answered
    ping.
    """

    promise = 7

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            said = said_here = told = 0
            pings: list[int] = []  # for each that is unanswered, the last number before it on its connection
            for entry in transcript.entries:
                frame, kind = entry.frame, entry.frame.get("type")
                if entry.what is What.OPENED:
                    said_here, pings = 0, []
                elif entry.what is What.SAID:
                    if kind == "ping":
                        pings.append(said_here)
                    elif "n" in frame:
                        said_here, said = frame["n"], max(said, frame["n"])
                elif entry.what is What.HEARD and "heard" in frame:
                    if kind == "welcome" and not frame["resumed"]:
                        said = told = 0
                    least = max(told, pings.pop(0) if kind == "pong" and pings else 0)
                    told = frame["heard"]
                    if not least <= told <= said:
                        yield f"{transcript.person} was told of {told}, not of {least} to {said}: {entry}"


def payload_of(entry: Entry, what: What) -> Frame | None:
    """The payload of a person of the fleet, if the entry is a signal or chat of this direction."""
    if entry.what is not what:
        return None
    match entry.frame["type"]:
        case "signal":
            data: Frame = entry.frame["data"]
            return data
        case "chat":
            text: Frame = json.loads(entry.frame["text"])
            return text
    return None


class RecordedOnce(Check):
    """Every session that a person was told of is recorded once, from its match to its end, in order."""

    promise = 8

    def look(self, evidence: Evidence) -> Iterator[str]:  # noqa: C901 (one loop over the entries)
        copies = Counter(row.id for row in evidence.rows)
        for session, told in evidence.told.items():
            if session not in evidence.row:
                if not evidence.was_cut_by_a_kill(session):
                    yield f"{session} is not recorded, though {told[0].person} was told of it"
                continue
            row = evidence.row[session]
            for telling in told:
                if {telling.person, telling.frame["partner"]["id"]} != set(row.people):
                    yield f"{session} is recorded for {row.people}, and {telling.person} was told of it"
            states = {telling.frame["state"] for telling in told}
            if "connected" in states and row.connected_at is None and not evidence.was_cut_by_a_kill(session):
                yield f"{session} is recorded as never connected, though it was"
        for row in evidence.rows:
            if copies[row.id] > 1:
                yield f"{row.id} is recorded {copies[row.id]} times"
            if row.ended_at is None or row.cause is None:
                yield f"{row.id} has no end, though all have left"
                continue
            times = [at for at in (row.matched_at, row.connected_at, row.ended_at) if at is not None]
            if times != sorted(times):
                yield f"{row.id} is recorded out of order: {times}"


class EndsAgree(Check):
    """The recorded cause and originator of a session's end are those that its people were told."""

    promise = 8

    def look(self, evidence: Evidence) -> Iterator[str]:
        for session, told in evidence.told.items():
            row = evidence.row.get(session)
            if row is None or row.cause is None:
                continue
            for telling in told:
                if telling.frame["state"] != "ended":
                    continue
                cause = telling.frame["cause"]
                if row.cause == SessionCause.NODE_LOST and evidence.kills:
                    continue
                if cause not in self._as_seen_by(telling.person, row):
                    yield (
                        f"{session} was over for {telling.person} because {cause},"
                        f" and is recorded as {row.cause} by {row.ended_by}"
                    )

    def _as_seen_by(self, person: str, row: Row) -> set[str | None]:
        """The causes that a person may be told for the recorded end."""
        cause = SessionCause(str(row.cause))
        seen: set[str | None] = set()
        if row.ended_by in (None, person):
            seen.add(SEEN_BY_LEAVER.get(cause))
        if row.ended_by != person:
            seen.add(SEEN_BY_PARTNER.get(cause))
        return seen


class NumbersRise(Check):
    """Frames are numbered without a gap on one connection, and continue on the next."""

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            last, link = 0, 0
            for entry in transcript.entries:
                if entry.what is not What.HEARD:
                    continue
                seq, kind = entry.frame["seq"], entry.frame["type"]
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

    codes = frozenset({None, 1000, 1001, 1006, 4408, 4503})

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            for entry in transcript.entries:
                if entry.what is What.CLOSED and entry.code not in self.codes:
                    yield f"{transcript.person} was closed with {entry.code}"
            for error in transcript.frames(What.HEARD, "error"):
                if error.frame["code"] != "not_now":
                    yield f"{transcript.person} was refused: {error}"
