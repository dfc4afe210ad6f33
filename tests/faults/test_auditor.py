"""Tests the auditor: it accepts correct evidence, and each check rejects evidence with one false detail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.faults.auditor import CHECKS, violations
from tests.promises.evidence import Evidence, Row, Searched
from tests.promises.transcript import Entry, Transcript, What

WALL = 1_700_000_000.0


class Page:
    """Writes the transcript of one person, who connects at the second `at`."""

    def __init__(self, name: str, at: float, **criteria: str) -> None:
        self.transcript = Transcript(name, criteria)
        self._seq = 0
        self.count = 0  # of the frames that the server has handled
        self.comes(at)
        self.told(at, "idle")

    def comes(self, at: float, **hello: Any) -> None:
        self.transcript.links += 1
        self._add(at, What.OPENED)
        self.says(at, "hello", **hello)
        self.hears(at, "welcome", resumed="resume" in hello, heard=self.count)

    def says(self, at: float, kind: str, **fields: Any) -> None:
        self._add(at, What.SAID, {"type": kind, **fields})

    def hears(self, at: float, kind: str, **fields: Any) -> None:
        self._seq += 1
        self._add(at, What.HEARD, {"type": kind, "seq": self._seq, **fields})

    def pings(self, at: float) -> None:
        self.says(at, "ping")
        self.hears(at + 0.01, "pong", heard=self.count)

    def told(self, at: float, state: str, session: str | None = None, **fields: Any) -> None:
        partner = fields.pop("partner", None)
        snapshot = {
            "initiator": False,
            "since_ms": 0,
            "search_again_ms": None,
            "cause": None,
            "state": state,
            "session": session,
            "partner": partner and {"id": partner, "name": partner, "away": False},
        }
        self.hears(at, "state", **(snapshot | fields))

    def goes(self, at: float, code: int | None = 1006) -> None:
        self._add(at, What.CLOSED, code=code)

    def _add(self, at: float, what: What, frame: Any = None, code: int | None = None) -> None:
        self.transcript.entries.append(Entry(at, self.transcript.links, what, frame or {}, code))


def signal(by: str, number: int, session: str) -> dict[str, Any]:
    return {"session": session, "data": {"by": by, "in": session, "n": number}}


def ada_and_ben() -> list[Transcript]:
    """They meet, the match fails, they meet again; Ben loses the call's connection and comes back.

    Ben numbers his frames, and repeats those that were lost.
    """
    ada, ben = Page("ada", 0), Page("ben", 3)
    ada.told(1, "searching")
    ben.told(4, "searching")
    for page, other in ((ada, "ben"), (ben, "ada")):
        page.told(4, "connecting", "s1", partner=other, initiator=page is ben, cause="matched")
    for number in (1, 2, 3):
        ben.says(4.1, "signal", n=number, **signal("ben", number, "s1"))
        ada.hears(4.2, "signal", **signal("ben", number, "s1"))
    ben.told(5, "ended", "s1", partner="ada", cause="connect_failed")
    ada.told(5, "ended", "s1", partner="ben", cause="connect_failed", search_again_ms=200)
    ada.told(5.2, "searching", since_ms=3000)
    ben.told(6, "searching")
    for page, other in ((ada, "ben"), (ben, "ada")):
        page.told(8, "connecting", "s2", partner=other, initiator=page is ada, cause="matched")
    for page, other in ((ada, "ben"), (ben, "ada")):
        page.told(9, "connected", "s2", partner=other, initiator=page is ada, cause="connected")
    ben.count = 3
    ben.pings(9.9)
    ben.says(9.95, "signal", n=4, **signal("ben", 1, "s2"))
    ben.goes(10)
    ada.hears(10.1, "partner", session="s2", away=True)
    ben.comes(12, resume={})
    ben.says(12, "signal", n=4, **signal("ben", 1, "s2"))
    ben.told(12, "connected", "s2", partner="ada", cause="connected")
    ben.says(12.1, "signal", n=5, **signal("ben", 2, "s2"))
    ada.hears(12.1, "partner", session="s2", away=False)
    for number in (1, 2):
        ada.hears(12.2, "signal", **signal("ben", number, "s2"))
    ada.says(19.9, "end", session="s2")
    ada.told(20, "ended", "s2", partner="ben", cause="ended")
    ada.told(20, "idle", cause="ended")
    ben.told(20, "ended", "s2", partner="ada", cause="partner_ended", search_again_ms=200)
    ada.goes(21, None)
    ben.goes(21, None)
    return [ada.transcript, ben.transcript]


def cem_and_dan() -> list[Transcript]:
    """One of them disconnects during the call, and does not come back."""
    cem, dan = Page("cem", 0), Page("dan", 0)
    for page, other in ((cem, "dan"), (dan, "cem")):
        page.told(1, "searching")
        page.told(1, "connecting", "s3", partner=other, initiator=page is cem, cause="matched")
    dan.goes(10)
    cem.hears(10.1, "partner", session="s3", away=True)
    cem.pings(40)
    cem.told(41, "ended", "s3", partner="dan", cause="partner_lost", search_again_ms=200)
    cem.told(41.2, "searching", since_ms=200)
    cem.goes(42, 4503)
    return [cem.transcript, dan.transcript]


def eve_and_fay() -> list[Transcript]:
    """They do not fit, and both wait."""
    pages = [Page("eve", 0, subject="maths"), Page("fay", 0, subject="physics")]
    for page in pages:
        page.told(1, "searching")
        for at in range(2, 40, 2):
            page.pings(at)
    return [page.transcript for page in pages]


def row(name: str, people: str, *times: float | None, cause: str, by: str | None) -> Row:
    matched_at, connected_at, ended_at = (None if at is None else WALL + at for at in times)
    assert matched_at is not None
    first, second = people.split()
    return Row(
        id=name,
        first=first,
        second=second,
        matched_at=matched_at,
        connected_at=connected_at,
        ended_at=ended_at,
        cause=cause,
        ended_by=by,
    )


@pytest.fixture
def evidence() -> Evidence:
    return Evidence(
        [*ada_and_ben(), *cem_and_dan(), *eve_and_fay()],
        [
            row("s1", "ada ben", 4, None, 5, cause="connect_failed", by="ben"),
            row("s2", "ada ben", 8, 9, 20, cause="ended", by="ada"),
            row("s3", "cem dan", 1, None, 41, cause="lost", by="dan"),
        ],
        wall=WALL,
    )


def test_the_truth_is_accepted(evidence: Evidence) -> None:
    assert violations(evidence) == []


def life(evidence: Evidence, person: str) -> Transcript:
    """The one page of a person."""
    (transcript,) = evidence.lives[person]
    return transcript


def heard(evidence: Evidence, person: str, kind: str, nth: int = 0, **expected: Any) -> Entry:
    """A frame that a person received, for a test to falsify."""
    entries = life(evidence, person).frames(What.HEARD, kind)
    return [entry for entry in entries if expected.items() <= entry.frame.items()][nth]


def change(evidence: Evidence, session: str, **values: Any) -> None:
    """Change the row of a session."""
    evidence.rows = [replace(row, **values) if row.id == session else row for row in evidence.rows]


def forget(evidence: Evidence, person: str, *entries: Entry) -> None:
    """Remove entries from a person's transcript, and renumber the rest."""
    transcript = life(evidence, person)
    transcript.entries = [entry for entry in transcript.entries if entry not in entries]
    numbered = [entry for entry in transcript.entries if entry.what is What.HEARD]
    for seq, entry in enumerate(numbered, 1):
        entry.frame["seq"] = seq


def another_partner(evidence: Evidence) -> None:
    for state in ("connecting", "connected"):
        heard(evidence, "ada", "state", state=state, session="s2").frame["partner"]["id"] = "dan"


def two_initiators(evidence: Evidence) -> None:
    for state in ("connecting", "connected"):
        heard(evidence, "ben", "state", state=state, session="s2").frame["initiator"] = True


def oneself(evidence: Evidence) -> None:
    heard(evidence, "dan", "state", session="s3").frame["partner"]["id"] = "dan"


def two_at_once(evidence: Evidence) -> None:
    evidence.rows.append(row("s4", "ada dan", 10, None, 11, cause="skipped", by="ada"))


def from_one_to_another(evidence: Evidence) -> None:
    heard(evidence, "ada", "state", state="connected").frame["session"] = "s3"


def with_somebody_gone(evidence: Evidence) -> None:
    evidence.rows.append(row("s4", "gil dan", 60, None, 61, cause="lost", by="dan"))


def both_wait(evidence: Evidence) -> None:
    life(evidence, "fay").criteria = {"subject": "maths"}


def misfits(evidence: Evidence) -> None:
    life(evidence, "ada").criteria = {"subject": "maths"}
    life(evidence, "ben").criteria = {"subject": "physics"}


def paying_for_the_partner(evidence: Evidence) -> None:
    heard(evidence, "cem", "state", state="ended").frame["search_again_ms"] = 5000


def waiting_time_lost(evidence: Evidence) -> None:
    heard(evidence, "ada", "state", state="searching", since_ms=3000).frame["since_ms"] = 0


def left_in_ended(evidence: Evidence) -> None:
    heard(evidence, "cem", "state", state="ended").frame["search_again_ms"] = None


def stopped_unasked(evidence: Evidence) -> None:
    asked = list(life(evidence, "ada").frames(What.SAID, "end"))
    forget(evidence, "ada", *asked)


def met_again_at_once(evidence: Evidence) -> None:
    change(evidence, "s1", ended_at=WALL + 7.5)


def not_resumed(evidence: Evidence) -> None:
    heard(evidence, "ben", "welcome", 1).frame["resumed"] = False


def nobody_said_away(evidence: Evidence) -> None:
    forget(evidence, "cem", heard(evidence, "cem", "partner", away=True))


def said_present_again(evidence: Evidence) -> None:
    heard(evidence, "cem", "partner").frame["away"] = False


def heard_by_somebody_else(evidence: Evidence) -> None:
    heard(evidence, "ada", "signal").frame["data"]["by"] = "dan"


def heard_as_if_from_somebody_else(evidence: Evidence) -> None:
    heard(evidence, "ada", "signal").frame["from"] = "dan"


def accepted_in_another_order(evidence: Evidence) -> None:
    evidence.taken = {("s1", "ben"): [1, 3, 2], ("s2", "ben"): [1, 2]}


def never_accepted(evidence: Evidence) -> None:
    evidence.taken = {("s1", "ben"): [1, 2, 3], ("s2", "ben"): [1]}


def heard_in_the_wrong_session(evidence: Evidence) -> None:
    heard(evidence, "ada", "signal").frame["session"] = "s2"


def heard_twice(evidence: Evidence) -> None:
    heard(evidence, "ada", "signal", 1).frame["data"]["n"] = 1


def never_heard(evidence: Evidence) -> None:
    forget(evidence, "ada", heard(evidence, "ada", "signal", 1))


def never_said_again(evidence: Evidence) -> None:
    forget(evidence, "ada", heard(evidence, "ada", "signal", 3))
    said = [entry for entry in life(evidence, "ben").frames(What.SAID, "signal") if entry.frame["n"] == 4]
    forget(evidence, "ben", said[1])


def heard_more_than_was_said(evidence: Evidence) -> None:
    heard(evidence, "ben", "welcome", 1).frame["heard"] = 5


def heard_less_than_came_before_the_ping(evidence: Evidence) -> None:
    heard(evidence, "ben", "pong").frame["heard"] = 2


def heard_less_than_was_told(evidence: Evidence) -> None:
    heard(evidence, "ben", "welcome", 1).frame["heard"] = 2


def not_recorded(evidence: Evidence) -> None:
    evidence.rows = [row for row in evidence.rows if row.id != "s2"]


def recorded_twice(evidence: Evidence) -> None:
    evidence.rows.append(evidence.rows[-1])


def no_end(evidence: Evidence) -> None:
    change(evidence, "s3", ended_at=None, cause=None)


def out_of_order(evidence: Evidence) -> None:
    change(evidence, "s2", connected_at=WALL + 30)


def never_connected(evidence: Evidence) -> None:
    change(evidence, "s2", connected_at=None)


def other_people(evidence: Evidence) -> None:
    change(evidence, "s3", second="eve")


def another_end(evidence: Evidence) -> None:
    change(evidence, "s2", cause="skipped", ended_by="ada")


def ended_by_the_other(evidence: Evidence) -> None:
    change(evidence, "s2", ended_by="ben")


def a_gap_in_the_numbers(evidence: Evidence) -> None:
    for entry in life(evidence, "eve").entries[10:]:
        if entry.what is What.HEARD:
            entry.frame["seq"] += 1


def an_old_number(evidence: Evidence) -> None:
    heard(evidence, "ben", "welcome", 1).frame["seq"] = 3


def a_frame_without_a_number(evidence: Evidence) -> None:
    del heard(evidence, "eve", "pong").frame["seq"]


def not_welcomed_first(evidence: Evidence) -> None:
    forget(evidence, "ben", heard(evidence, "ben", "welcome", 1))


def an_illegal_move(evidence: Evidence) -> None:
    heard(evidence, "cem", "state", state="ended").frame["state"] = "idle"


def a_crash(evidence: Evidence) -> None:
    life(evidence, "ada").entries[-1] = replace(life(evidence, "ada").entries[-1], code=1011)


def a_refusal(evidence: Evidence) -> None:
    entries = life(evidence, "eve").entries
    frame = {"type": "error", "code": "malformed", "seq": 100}
    entries.append(Entry(50, 1, What.HEARD, frame))


LIES: list[tuple[str, Callable[[Evidence], None]]] = [
    ("PartnersAgree", another_partner),
    ("PartnersAgree", two_initiators),
    ("OneAtATime", oneself),
    ("OneAtATime", two_at_once),
    ("EveryMatchEnds", from_one_to_another),
    ("NobodyGoneIsMatched", with_somebody_gone),
    ("NobodyWaits", both_wait),
    ("PartnersFit", misfits),
    ("WhoWasLeftDoesNotPay", paying_for_the_partner),
    ("FailedMatchesCostNothing", waiting_time_lost),
    ("SearchesAgain", left_in_ended),
    ("SearchesAgain", stopped_unasked),
    ("KeptApart", met_again_at_once),
    ("ComesBack", not_resumed),
    ("AwayIsTold", nobody_said_away),
    ("AwayIsTold", said_present_again),
    ("WordsArriveOnce", heard_by_somebody_else),
    ("WordsArriveOnce", heard_as_if_from_somebody_else),
    ("WordsArriveOnce", accepted_in_another_order),
    ("WordsArriveOnce", never_accepted),
    ("WordsArriveOnce", heard_in_the_wrong_session),
    ("WordsArriveOnce", heard_twice),
    ("WordsArriveOnce", never_heard),
    ("WordsArriveOnce", never_said_again),
    ("HeardIsTold", heard_more_than_was_said),
    ("HeardIsTold", heard_less_than_came_before_the_ping),
    ("HeardIsTold", heard_less_than_was_told),
    ("RecordedOnce", not_recorded),
    ("RecordedOnce", recorded_twice),
    ("RecordedOnce", no_end),
    ("RecordedOnce", out_of_order),
    ("RecordedOnce", never_connected),
    ("RecordedOnce", other_people),
    ("EndsAgree", another_end),
    ("EndsAgree", ended_by_the_other),
    ("NumbersRise", a_gap_in_the_numbers),
    ("NumbersRise", an_old_number),
    ("NumbersRise", a_frame_without_a_number),
    ("NumbersRise", not_welcomed_first),
    ("MovesAreLegal", an_illegal_move),
    ("GoodbyesAreKnown", a_crash),
    ("GoodbyesAreKnown", a_refusal),
]


@pytest.mark.parametrize(("check", "lie"), LIES, ids=[lie.__name__ for _, lie in LIES])
def test_a_lie_is_refused(evidence: Evidence, check: str, lie: Callable[[Evidence], None]) -> None:
    lie(evidence)
    assert check in {found.partition(":")[0] for found in violations(evidence)}


def test_every_check_and_every_promise_is_put_to_the_test() -> None:
    assert {type(check).__name__ for check in CHECKS} == {check for check, _ in LIES}
    assert {check.promise for check in CHECKS} == set(range(9))


def test_what_the_server_accepted_in_another_order_arrives_in_that_order(evidence: Evidence) -> None:
    """Of two connections of a page, the older may be slower."""
    signals = [heard(evidence, "ada", "signal", nth) for nth in (0, 1)]
    for entry, number in zip(signals, (2, 1), strict=True):
        entry.frame["data"]["n"] = number
    assert {found.partition(":")[0] for found in violations(evidence)} == {"WordsArriveOnce"}
    evidence.taken = {("s1", "ben"): [2, 1, 3], ("s2", "ben"): [1, 2]}
    assert violations(evidence) == []


def test_what_a_kill_may_have_cost_is_forgiven_and_nothing_else(evidence: Evidence) -> None:
    """A session shortly before the kill may be missing; an older one may not."""
    not_recorded(evidence)
    evidence.kills = [30.0]
    assert violations(evidence) == ["RecordedOnce: s2 is not recorded, though ada was told of it"]
    evidence.kills = [9.0]
    assert violations(evidence) == []


def met_at_once(evidence: Evidence) -> bool:
    """Whether the auditor reports that the two were matched again too early."""
    return any(found.startswith("KeptApart:") for found in violations(evidence))


def unheard_of(evidence: Evidence, person: str, session: str) -> None:
    """Remove what a person's page was told about a session."""
    told = life(evidence, person).frames(What.HEARD, "state")
    forget(evidence, person, *[entry for entry in told if entry.frame["session"] == session])


@pytest.mark.parametrize(
    ("left", "refused"), [([], True), (["ada"], True), (["ben"], True), (["ada", "ben"], False)]
)
def test_two_are_kept_apart_if_one_of_them_learned_that_they_had_met(
    evidence: Evidence, left: list[str], refused: bool
) -> None:
    """A person who leaves in the moment of a match never learns of it."""
    met_again_at_once(evidence)
    for person in left:
        unheard_of(evidence, person, "s1")
    assert met_at_once(evidence) is refused


@pytest.mark.parametrize(("ada", "ben", "refused"), [(6.0, 6.0, False), (7.5, 6.0, True), (6.0, 7.5, True)])
def test_two_are_kept_apart_from_the_beginning_of_the_later_search(
    evidence: Evidence, ada: float, ben: float, refused: bool
) -> None:
    """Ada waited three seconds before the match that failed, which does not count here."""
    evidence.searches = {
        ("ada", "s1"): Searched(WALL + 1, 3.0),
        ("ben", "s1"): Searched(WALL + 4, 0.0),
        ("ada", "s2"): Searched(WALL + ada, 3 + 8 - ada),
        ("ben", "s2"): Searched(WALL + ben, 8 - ben),
    }
    assert met_at_once(evidence) is refused


def test_a_match_that_a_person_never_learned_of_does_not_interrupt_their_search(evidence: Evidence) -> None:
    evidence.rows.append(row("s4", "ada eve", 7, None, 7.5, cause="lost", by="eve"))
    assert not met_at_once(evidence)
