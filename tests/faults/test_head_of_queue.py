"""A match that does not become a call costs no waiting time: tested from outside the server."""

from __future__ import annotations

import trio

from tests.faults.server_under_test import a_server_under_test
from tests.support.server import present


async def test_whoever_was_left_is_first_again_with_the_time_they_had_waited(database: str) -> None:
    """Dan has waited longer than Ada, but her match failed, so she gets the next partner."""
    async with (
        a_server_under_test(database) as tested,
        present(tested.server, "Dan") as dan,
        present(tested.server, "Ada") as ada,
        present(tested.server, "Ben") as ben,
        present(tested.server, "Cem") as cem,
    ):
        await dan.say("search", criteria={"subject": "physics"})
        await dan.until("state", state="searching")
        await ada.say("search", criteria={"subject": "maths"})
        await ada.until("state", state="searching")
        await trio.sleep(1.2)
        await ben.say("search", criteria={"subject": "maths"})
        await ben.until("state", state="connecting")
        await ben.about("failed", code="camera")
        await ada.until("state", state="ended")
        again = await ada.until("state", state="searching")
        assert again["since_ms"] >= 1200
        await cem.say("search")
        assert (await cem.until("state", state="connecting"))["partner"]["id"] == ada.page.person
        assert dan.state["state"] == "searching"
