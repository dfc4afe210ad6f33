"""The checks of the recorded sessions: promise 8."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from studymatch.rules.lifecycle import SEEN_BY_LEAVER, SEEN_BY_PARTNER, SessionCause
from tests.promises.check import Check, Needs
from tests.promises.evidence import Evidence, Row


class RecordedOnce(Check):
    """Every session that a person was told of is recorded once, from its match to its end, in order."""

    promise = 8
    needs = frozenset({Needs.ROWS})

    def look(self, evidence: Evidence) -> Iterator[str]:  # noqa: C901 (two loops over the rows)
        copies = Counter(row.id for row in evidence.rows)
        for session, (_, person) in evidence.mentioned.items():
            if session not in evidence.row and not evidence.was_cut_by_a_kill(session):
                yield f"{session} is not recorded, though {person} was told of it"
        for session, told in evidence.told.items():
            row = evidence.row.get(session)
            if row is None:
                continue
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
    needs = frozenset({Needs.ROWS})

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
