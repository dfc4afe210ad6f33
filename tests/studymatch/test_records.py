"""Folding a run of records to rows."""

from __future__ import annotations

import pytest

from studymatch.rules.lifecycle import SessionCause
from studymatch.rules.records import (
    ADD_PEOPLE,
    ADD_SESSIONS,
    END_ELSEWHERE,
    UPDATE_OPEN,
    Entry,
    LedgerMessage,
    PersonArrived,
    PersonRow,
    SessionConnected,
    SessionEnded,
    SessionMatched,
    SessionRow,
    Write,
    fold,
)


def run_of(*records: LedgerMessage) -> list[Entry]:
    return [Entry("node", record) for record in records]


def test_a_session_of_many_records_is_one_row() -> None:
    rows = fold(
        run_of(
            SessionMatched("s", "ada", "ben", at=1.0),
            SessionConnected("s", at=2.0),
            SessionEnded("s", SessionCause.SKIPPED, by="ada", at=3.0),
        )
    )
    assert rows.sessions == {"s": SessionRow("s", "node", "ada", "ben", 1.0, 2.0, 3.0, "skipped", "ada")}
    assert rows.people == {}


def test_a_run_that_begins_in_the_middle_says_nothing_of_the_match() -> None:
    rows = fold(run_of(SessionEnded("s", SessionCause.ENDED, by="ben", at=3.0)))
    assert rows.sessions == {"s": SessionRow("s", "node", ended_at=3.0, cause="ended", ended_by="ben")}


def test_what_was_said_first_stands() -> None:
    rows = fold(
        run_of(
            PersonArrived("ada", "Ada", at=0.0),
            PersonArrived("ada", "Another", at=0.5),
            SessionMatched("s", "ada", "ben", at=1.0),
            SessionMatched("s", "ben", "cem", at=1.5),
            SessionConnected("s", at=2.0),
            SessionConnected("s", at=2.5),
            SessionEnded("s", SessionCause.SKIPPED, by="ada", at=3.0),
            SessionEnded("s", SessionCause.ENDED, by="ben", at=4.0),
        )
    )
    assert rows.people == {"ada": PersonRow("ada", "Ada", first_seen_at=0.0)}
    assert rows.sessions == {"s": SessionRow("s", "node", "ada", "ben", 1.0, 2.0, 3.0, "skipped", "ada")}


def test_who_is_matched_has_a_row_from_the_first_match_on() -> None:
    rows = fold(
        run_of(
            SessionMatched("s", "ada", "ben", at=1.0, first_name="Ada", second_name="Ben"),
            SessionMatched("t", "cem", "ada", at=2.0, first_name="Cem", second_name="Ada"),
        )
    )
    assert list(rows.people.values()) == [
        PersonRow("ada", "Ada", 1.0),
        PersonRow("ben", "Ben", 1.0),
        PersonRow("cem", "Cem", 2.0),
    ]


def test_a_connection_after_the_end_is_no_news() -> None:
    rows = fold(
        run_of(
            SessionMatched("s", "ada", "ben", at=1.0),
            SessionEnded("s", SessionCause.CONNECT_FAILED, by="ada", at=2.0),
            SessionConnected("s", at=3.0),
        )
    )
    assert rows.sessions["s"].connected_at is None


@pytest.mark.parametrize(
    ("cause", "by"),
    [
        (SessionCause.SKIPPED, "ada"),
        (SessionCause.ENDED, "ada"),
        (SessionCause.LOST, "ada"),
        (SessionCause.CONNECT_FAILED, "ada"),
        (SessionCause.CONNECT_TIMEOUT, None),
        (SessionCause.RESTARTING, None),
        (SessionCause.NODE_LOST, None),
    ],
)
def test_who_recorded_an_end_counts_where_it_was_their_doing(cause: SessionCause, by: str | None) -> None:
    assert fold(run_of(SessionEnded("s", cause, by="ada", at=1.0))).sessions["s"].ended_by == by


def test_rows_keep_the_node_of_their_own_records() -> None:
    entries = [
        Entry("former", SessionMatched("s", "ada", "ben", at=1.0)),
        Entry("present", SessionMatched("t", "ada", "cem", at=2.0)),
    ]
    assert {row.id: row.node for row in fold(entries).sessions.values()} == {"s": "former", "t": "present"}


def writes_of(*records: LedgerMessage) -> list[Write]:
    return list(fold(run_of(*records)).writes(lambda at: None if at is None else 10.0 - at))


def test_rows_are_written_people_first_and_ends_before_new_sessions() -> None:
    written = writes_of(
        SessionMatched("t", "ada", "cem", at=4.0, first_name="Ada", second_name="Cem"),
        SessionEnded("s", SessionCause.SKIPPED, by="ada", at=3.0),
    )
    assert written == [
        Write(ADD_PEOPLE, [["ada", "cem"], ["Ada", "Cem"], [6.0, 6.0]]),
        Write(UPDATE_OPEN, [["s"], [None], [7.0], ["skipped"], ["ada"]]),
        Write(END_ELSEWHERE, [["ada", "cem"], ["node", "node"], [6.0, 6.0]]),
        Write(ADD_SESSIONS, [["t"], ["ada"], ["cem"], [6.0], [None], [None], [None], [None], ["node"]]),
    ]


def test_what_has_no_rows_is_not_executed() -> None:
    assert writes_of() == []
    connected = writes_of(SessionConnected("s", at=2.0))
    assert [write.sql for write in connected] == [UPDATE_OPEN]


def test_there_is_a_column_for_each_parameter() -> None:
    match = SessionMatched("s", "ada", "ben", at=1.0, first_name="Ada", second_name="Ben")
    written = writes_of(match, SessionConnected("s", at=2.0))
    assert len(written) == 4
    assert all(write.sql.count("%s") == len(write.columns) for write in written)
