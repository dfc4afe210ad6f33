"""The base class of checks, and the checks of who meets whom and when: promises 1 to 5.

A check reads the `Evidence` and reports violations; it knows neither the fleet nor the server. Since bytes
may be delayed, a check reports only what is wrong for any delay: an answered ping proves that the connection
worked when the ping was sent, a row gives the time of a decision, and a frame proves only that it was made
before.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

from tests.promises.evidence import (
    IN_SESSION,
    Evidence,
    Row,
    Telling,
    answered_pings,
    fits,
    gone_since,
    tellings,
)
from tests.promises.transcript import Transcript, What


class Check:
    """Checks one property; its name is that of the class. `promise` is the number of the promise, 0: all."""

    promise = 0

    def look(self, evidence: Evidence) -> Iterator[str]:
        """The violations, one sentence each."""
        raise NotImplementedError


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

    def look(self, evidence: Evidence) -> Iterator[str]:
        for session, told in evidence.told.items():
            for telling in told:
                if telling.frame["partner"]["id"] == telling.person:
                    yield f"in {session} {telling.person} was matched with themselves"
        for person, rows in evidence.rows_of.items():
            for former, later in pairwise(rows):
                if former.ended_at is None or later.matched_at < former.ended_at - evidence.rules.clocks_s:
                    yield f"{person} was in {former.id} and {later.id} at once"
        for transcript in evidence.transcripts:
            for former_told, told_then in pairwise(tellings(transcript)):
                sessions = former_told.frame["session"], told_then.frame["session"]
                states = former_told.frame["state"], told_then.frame["state"]
                if (
                    former_told.link == told_then.link
                    and all(state in IN_SESSION for state in states)
                    and sessions[0] != sessions[1]
                ):
                    yield f"{transcript.person} was led from {sessions[0]} to {sessions[1]}"


class NobodyGoneIsMatched(Check):
    """Nobody is matched with a person who has left, or is away."""

    promise = 2

    def look(self, evidence: Evidence) -> Iterator[str]:
        limit_s = evidence.rules.silence_s + evidence.rules.slack_s
        for row in evidence.rows:
            matched_at = row.matched_at - evidence.wall
            for person in row.people:
                transcript = evidence.of_person.get(person)
                since = None if transcript is None else gone_since(transcript, matched_at)
                if since is not None and matched_at - since > limit_s:
                    yield f"{person} was matched in {row.id}, {matched_at - since:.1f} s after they had gone"


class NobodyWaits(Check):
    """No two people who fit both search for longer than people who have met are kept apart."""

    promise = 3

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

    def look(self, evidence: Evidence) -> Iterator[str]:
        for row in evidence.rows:
            found = [evidence.of_person[person] for person in row.people if person in evidence.of_person]
            if len(found) == 2 and not fits(found[0].criteria, found[1].criteria):
                yield f"in {row.id} {found[0].criteria} was matched with {found[1].criteria}"


class WaitingTimeIsKept(Check):
    """A person who was left before a match became a call keeps the waiting time from before the match."""

    promise = 4
    causes = frozenset(
        {"partner_skipped", "partner_ended", "partner_lost", "connect_failed", "connect_timeout"}
    )

    def look(self, evidence: Evidence) -> Iterator[str]:
        for transcript in evidence.transcripts:
            told = list(tellings(transcript))
            for search, match, end, again in zip(told, told[1:], told[2:], told[3:], strict=False):
                row = evidence.row.get(match.frame["session"])
                if row is None or not self._came_to_nothing(search, match, end, again):
                    continue
                waited_s = row.matched_at - evidence.unix(search.at) + search.frame["since_ms"] / 1000
                if again.frame["since_ms"] / 1000 < waited_s - evidence.rules.clocks_s:
                    yield (
                        f"{transcript.person} had waited {waited_s:.1f} s before {row.id}, which came to"
                        f" nothing, and {again.frame['since_ms'] / 1000:.1f} s after it"
                    )

    def _came_to_nothing(self, *told: Telling) -> bool:
        states = [telling.frame["state"] for telling in told]
        end = told[2].frame
        return (
            states == ["searching", "connecting", "ended", "searching"]
            and len({telling.link for telling in told}) == 1
            and end["cause"] in self.causes
            and end["search_again_ms"] is not None
        )


class KeptApart(Check):
    """Two people who met are matched again only after both have waited, or if the server had to forget."""

    promise = 5
    remembered = 16

    def look(self, evidence: Evidence) -> Iterator[str]:
        met: dict[frozenset[str], Row] = {}
        for row in sorted(evidence.rows, key=lambda row: row.matched_at):
            former = met.get(frozenset(row.people))
            met[frozenset(row.people)] = row
            if former is None or former.ended_at is None or self._forgot(evidence, former, row):
                continue
            free_at = max(self._last_end(evidence, person, row) for person in row.people)
            if row.matched_at < free_at + evidence.rules.apart_s - evidence.rules.clocks_s:
                waited_s = row.matched_at - free_at
                yield f"{row.first} and {row.second} met again in {row.id} after {waited_s:.1f} s"

    def _last_end(self, evidence: Evidence, person: str, row: Row) -> float:
        """When a person's session before `row` ended; their search began later."""
        ends = [former.ended_at for former in evidence.rows_of[person] if former.matched_at < row.matched_at]
        return max((end for end in ends if end is not None), default=0.0)

    def _forgot(self, evidence: Evidence, former: Row, row: Row) -> bool:
        """Whether the server had to forget that the two have met."""
        begin = former.matched_at - evidence.wall
        end = row.matched_at - evidence.wall + evidence.rules.slack_s
        anew = [
            entry
            for person in row.people
            if person in evidence.of_person
            for entry in evidence.of_person[person].frames(What.HEARD, "welcome")
            if begin < entry.at < end and not entry.frame["resumed"]
        ]
        between = [
            sum(former.matched_at < other.matched_at < row.matched_at for other in evidence.rows_of[person])
            for person in row.people
        ]
        return bool(anew) or min(between) >= self.remembered or evidence.killed_between(begin, end)
