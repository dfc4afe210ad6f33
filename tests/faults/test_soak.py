"""A short soak: it runs, causes disturbances, samples the server, and reports violations."""

from __future__ import annotations

import time

from tests.faults import soak
from tests.faults.postgres import Postgres
from tests.faults.soak import Soak, story
from tests.promises.evidence import Evidence, Row
from tests.promises.transcript import Transcript


async def test_a_soak_of_a_moment(postgres: Postgres) -> None:
    lines: list[str] = []
    assert await Soak(16, 8.0, 3, lines.append, peace_s=(1.0, 3.0)).run(postgres) == 0
    assert any("trouble: " in line for line in lines)
    assert sum(" MB " in line and " descriptors" in line for line in lines) > 2
    assert "0 violations; seed 3, 16 people" in lines[-1]


def test_a_violation_is_told_with_what_its_people_saw() -> None:
    ada, ben = Transcript("ada"), Transcript("ben")
    state = {"type": "state", "session": "s1", "state": "connected", "seq": 1}
    ada.heard(ada.opened(), state)
    ben.heard(ben.opened(), state | {"session": "s2"})
    now = time.time()
    row = Row(
        id="s1",
        first="ada",
        second="ben",
        matched_at=now,
        connected_at=None,
        ended_at=None,
        cause=None,
        ended_by=None,
    )
    told = list(story(Evidence([ada, ben], [row]), ["RecordedOnce: s1 has no end; ada was there", "another"]))
    assert told[:2] == ["RecordedOnce: s1 has no end; ada was there", "another"]
    assert told[2] == f"recorded: {row}"
    assert told[3].startswith("ada")
    assert "connected" in told[-1]
    assert not any("s2" in line for line in told)
    assert soak.usage(2**22) is None
