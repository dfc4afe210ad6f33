"""The checks of who meets whom and when: promises 1 to 5.

A check reads the `Evidence` and reports violations; it does not know who made the evidence. Since bytes may
be delayed, a check reports only what is wrong for any delay: an answered ping proves that the connection
worked when the ping was sent, a row gives the time of a decision, and a frame proves only that it was made
before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations, pairwise

from tests.promises.check import Check, Needs
from tests.promises.evidence import (
    IN_SESSION,
    Evidence,
    Row,
    Telling,
    answered_pings,
    fits,
    gone_since,
    in_order,
    tellings,
)
from tests.promises.transcript import Frame, Transcript, What


class PartnersAgree(Check):
    """Partners are mutual, and exactly one of the two is the initiator."""

    promise = 1

    def look(self, evidence: Evidence) -> Iterator[str]:
        for session, told in evidence.told.items():
            partners: dict[str, str] = {}
            begins: set[tuple[str, bool]] = set()
            for telling in told:
                person, partner = telling.person, telling.frame["partner"]["id"]
                if partners.setdefault(person, partner) != partner:
                    yield f"in {session} {person} had the partners {partners[person]} and {partner}"
                if telling.frame["state"] in IN_SESSION:
                    begins.add((person, telling.frame["initiator"]))
            for person, partner in partners.items():
                if partners.get(partner, person) != person:
                    yield f"in {session} the partner of {person} is {partner}, whose is {partners[partner]}"
            if len(partners) > 2:
                yield f"in {session} there were {len(partners)} people"
            if len({initiator for _, initiator in begins}) != len(begins):
                yield f"in {session} both or neither were the initiator: {begins}"
            if len(begins) > len({person for person, _ in begins}):
                yield f"in {session} somebody was the initiator, and then was not: {begins}"


class OneAtATime(Check):
    """Nobody is matched with themselves, or with two people at the same time."""

    promise = 2
    needs = frozenset({Needs.ROWS})

    def look(self, evidence: Evidence) -> Iterator[str]:
        for session, told in evidence.told.items():
            for telling in told:
                if telling.frame["partner"]["id"] == telling.person:
                    yield f"in {session} {telling.person} was matched with themselves"
        for person, rows in evidence.rows_of.items():
            for former, later in pairwise(rows):
                if former.ended_at is None or later.matched_at < former.ended_at - evidence.rules.clocks_s:
                    yield f"{person} was in {former.id} and {later.id} at once"


class EveryMatchEnds(Check):
    """On a page, a match is followed by its end or by a new start, never by another match."""

    promise = 2

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            last, link = Frame(), 0
            for entry in transcript.entries:
                if entry.what is not What.HEARD or entry.frame["type"] not in ("welcome", "state"):
                    continue
                former, frame = last if entry.link == link else Frame(), entry.frame
                last, link = frame, entry.link
                session = frame.get("session")
                was_in_one = former.get("state") in IN_SESSION
                if was_in_one and session is not None and session != former["session"]:
                    yield f"{transcript.person} was led from {former['session']} to {session}"


class NobodyGoneIsMatched(Check):
    """Nobody is matched with a person who has left, or is away."""

    promise = 2
    needs = frozenset({Needs.ROWS})

    def look(self, evidence: Evidence) -> Iterator[str]:
        limit_s = evidence.rules.silence_s + evidence.rules.slack_s
        entries = {person: in_order(lives) for person, lives in evidence.lives.items()}
        for row in evidence.rows:
            matched_at = row.matched_at - evidence.wall
            for person in row.people:
                since = gone_since(entries.get(person, []), matched_at)
                if since is not None and matched_at - since > limit_s:
                    yield f"{person} was matched in {row.id}, {matched_at - since:.1f} s after they had gone"


class NobodyWaits(Check):
    """No two people who fit both search for longer than people who have met are kept apart."""

    promise = 3
    needs = frozenset({Needs.CRITERIA, Needs.PINGS})

    def look(self, evidence: Evidence) -> Iterator[str]:
        limit_s = evidence.rules.apart_s + evidence.rules.slack_s
        waits = [
            (begin, end, transcript)
            for transcript in evidence.transcripts
            for begin, end in searches(transcript)
            if end - begin > limit_s
        ]
        for (begin, end, one), (other_begin, other_end, other) in combinations(waits, 2):
            together_s = min(end, other_end) - max(begin, other_begin)
            if together_s > limit_s and one is not other and fits(one.criteria, other.criteria):
                yield f"{one.person} and {other.person} fit, and both searched for {together_s:.1f} s"


def searches(transcript: Transcript) -> Iterator[tuple[float, float]]:
    """The intervals in which a person certainly searched.

    Each begins when the person received this state, and ends with the last ping that the server answered
    before the next state.
    """
    answers = {id(pong): ping for ping, pong in answered_pings(transcript)}
    begin = end = None
    for entry in transcript.entries:
        is_state = entry.what is What.HEARD and entry.frame["type"] == "state"
        if begin is not None and (is_state or entry.what is What.CLOSED):
            if end is not None:
                yield begin, end
            begin = end = None
        if is_state and entry.frame["state"] == "searching":
            begin = entry.at
        elif begin is not None and id(entry) in answers:
            end = answers[id(entry)]
    if begin is not None and end is not None:
        yield begin, end


class PartnersFit(Check):
    """Nobody is matched with a person who searches for something else."""

    promise = 3
    needs = frozenset({Needs.ROWS, Needs.CRITERIA})

    def look(self, evidence: Evidence) -> Iterator[str]:
        for row in evidence.rows:
            found = [evidence.lives[person][-1] for person in row.people if person in evidence.lives]
            if len(found) == 2 and not fits(found[0].criteria, found[1].criteria):
                yield f"in {row.id} {found[0].criteria} was matched with {found[1].criteria}"


class WhoWasLeftDoesNotPay(Check):
    """A person whose partner left the match searches again as soon as anybody else."""

    promise = 3

    def look(self, evidence: Evidence) -> Iterator[str]:
        usual_ms = 1000 * evidence.rules.search_again_s
        for transcript in evidence.transcripts:
            for telling in tellings(transcript):
                was_left = str(telling.frame["cause"]).startswith("partner_")
                if was_left and (telling.frame["search_again_ms"] or 0) > usual_ms:
                    yield f"{transcript.person} waits longer, because their partner left"


class FailedMatchesCostNothing(Check):
    """A person whose match failed, and did not end because they left it, keeps their waiting time."""

    promise = 4
    needs = frozenset({Needs.ROWS})

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            told = list(tellings(transcript))
            for search, match, end, again in zip(told, told[1:], told[2:], told[3:], strict=False):
                session = match.frame["session"]
                if end.frame["cause"] == "skipped" or not self._came_to_nothing(search, match, end, again):
                    continue
                waited_s = self._waited_s(evidence, search, session)
                if waited_s is None or again.frame["since_ms"] / 1000 >= waited_s - evidence.rules.clocks_s:
                    continue
                yield (
                    f"{transcript.person} had waited {waited_s:.1f} s before {session}, which came to"
                    f" nothing, and {again.frame['since_ms'] / 1000:.1f} s after it"
                )

    def _came_to_nothing(self, *told: Telling) -> bool:
        states = [telling.frame["state"] for telling in told]
        return (
            states == ["searching", "connecting", "ended", "searching"]
            and len({telling.link for telling in told}) == 1
            and told[2].frame["search_again_ms"] is not None
        )

    def _waited_s(self, evidence: Evidence, search: Telling, session: str) -> float | None:
        """How long the person had waited when they were matched into the session; None: it is unknown."""
        if evidence.searches is not None:
            found = evidence.searches.get((search.person, session))
            return None if found is None else found.waited_s
        row = evidence.row.get(session)
        if row is None:
            return None
        return row.matched_at - evidence.unix(search.at) + float(search.frame["since_ms"]) / 1000


class SearchesAgain(Check):
    """A person who skipped or was left, and has not asked for anything else, searches again automatically."""

    promise = 4
    causes = ("skipped", "partner_skipped", "partner_ended", "partner_lost")

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            for entry in transcript.entries:
                kind = entry.frame.get("type")
                if entry.what is What.SAID and kind in ("end", "failed"):
                    break
                if entry.what is not What.HEARD or kind != "state":
                    continue
                if entry.frame["cause"] in self.causes and entry.frame["search_again_ms"] is None:
                    yield f"{transcript.person} is left in ended for {entry.frame['cause']}"
                if entry.frame["state"] == "idle" and entry.frame["cause"] == "ended":
                    yield f"{transcript.person} never asked to stop"


class KeptApart(Check):
    """Two people, one of whom remembers the other, are matched again only after both have waited.

    They wait from the beginning of their last search, also if an earlier match failed. An actor remembers the
    partners of the last sessions that it learned of. If a person leaves in the moment of a match, it is
    recorded, but their actor never learns of it.
    """

    promise = 5
    needs = frozenset({Needs.ROWS})
    remembered = 16

    def look(self, evidence: Evidence) -> Iterator[str]:
        met: defaultdict[frozenset[str], list[Row]] = defaultdict(list)
        for row in sorted(evidence.rows, key=lambda row: row.matched_at):
            formers = met[frozenset(row.people)]
            waited_s = row.matched_at - max(evidence.search_began(person, row) for person in row.people)
            if waited_s < evidence.rules.apart_s - evidence.rules.clocks_s and any(
                self._remembers(evidence, person, former, row) for former in formers for person in row.people
            ):
                yield f"{row.first} and {row.second} met again in {row.id} after {waited_s:.1f} s"
            formers.append(row)

    def _remembers(self, evidence: Evidence, person: str, former: Row, row: Row) -> bool:
        """Whether, when `row` was matched, a person's actor still knew that they had met in `former`."""
        if former.ended_at is None or not evidence.learned(person, former.id):
            return False
        begin, end = former.matched_at - evidence.wall, row.matched_at - evidence.wall
        if evidence.arrived_between(person, begin, end):
            return False
        since = sum(
            former.matched_at < other.matched_at < row.matched_at and evidence.learned(person, other.id)
            for other in evidence.rows_of[person]
        )
        return since < self.remembered and not evidence.forgot_between(begin, end + evidence.rules.slack_s)
