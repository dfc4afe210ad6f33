"""The real server as a process, over real WebSockets: the protocol from outside, and the rows it leaves.

All tests share one hall, so people are told apart by a subject that nobody else has.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from http.client import HTTPConnection
from itertools import count
from typing import Any

import psycopg
import pytest
import trio

from tests.support.person import Person, call, meet
from tests.support.raw_client import BINARY, CLOSE
from tests.support.server import Server, connected, present
from tests.support.waiting import eventually
from web.build import this_build

_subjects = count(1)


@pytest.fixture
def subject() -> str:
    return f"subject {next(_subjects)}"


async def row(conninfo: str, session: str, until: str) -> dict[str, Any]:
    """The session's row, as soon as it satisfies the SQL condition `until`."""

    def look() -> dict[str, Any] | None:
        with psycopg.connect(conninfo, row_factory=psycopg.rows.dict_row) as connection:
            query = f"select * from session where id = %s and {until}"
            return connection.execute(query.encode(), [session]).fetchone()

    return await eventually(look)


async def test_two_people_one_call_one_skip(server: Server, server_database: str, subject: str) -> None:
    async with present(server, "Ada") as ada, present(server, "Ben") as ben:
        await meet(ada, ben, subject=subject)
        session = ada.state["session"]
        assert ada.state["partner"]["name"] == "Ben"
        assert ada.state["initiator"] is not ben.state["initiator"]
        data = {"description": {"type": "offer", "sdp": "v=0\r\n" + "a=x\r\n" * 500}}
        await ada.about("signal", data=data)
        assert (await ben.until("signal"))["data"] == data
        for client in (ada, ben):
            await client.about("connected")
        for client in (ada, ben):
            await client.until("state", state="connected")
        await ben.about("chat", text="Hello, Ada!")
        assert (await ada.until("chat"))["text"] == "Hello, Ada!"
        await ada.about("skip")
        assert (await ada.until("state", state="ended"))["cause"] == "skipped"
        assert (await ben.until("state", state="ended"))["cause"] == "partner_skipped"
        for client in (ada, ben):
            assert 0 < client.state["search_again_ms"] == client.state["search_again_in"]
            await client.until("state", state="searching")
        found = await row(server_database, session, "ended_at is not null")
        assert {str(found["first_person"]), str(found["second_person"])} == {
            ada.page.person,
            ben.page.person,
        }
        assert (found["cause"], str(found["ended_by"])) == ("skipped", ada.page.person)
        assert found["matched_at"] <= found["connected_at"] <= found["ended_at"]
        for client in (ada, ben):
            await client.until("state", state="connecting")
        assert ada.state["session"] != session


async def test_a_dropped_connection_resumes_in_the_middle_of_signaling(server: Server, subject: str) -> None:
    async with present(server, "Ben") as ben:
        async with present(server, "Ada") as ada:
            await meet(ada, ben, subject=subject)
            await ben.about("signal", data="before")
            await ada.until("signal")
            await ada.stream.aclose()  # as a network does: no goodbye
        assert (await ben.until("partner"))["away"] is True
        await ben.about("signal", data="meanwhile")
        async with present(server, page=ada.page) as back:
            assert back.frames[0]["resumed"] is True
            assert back.state["session"] == ben.state["session"]
            assert (await back.until("signal"))["data"] == "meanwhile"
            assert (await ben.until("partner"))["away"] is False


async def say_leaving(client: Person) -> None:
    await client.say("leaving")


async def close_as_browsers_do(client: Person) -> None:
    await client.send_frame(CLOSE, (1001).to_bytes(2, "big"))
    assert await client.code() == 1001


Goes = Callable[[Person], Awaitable[None]]
GOES = pytest.mark.parametrize("goes", [say_leaving, close_as_browsers_do])
"""The ways in which a page says that it goes."""


@GOES
async def test_a_page_that_is_closed_has_ended_its_session(server: Server, subject: str, goes: Goes) -> None:
    async with present(server, "Ben") as ben:
        async with present(server, "Ada") as ada:
            await meet(ada, ben, subject=subject)
            await goes(ada)
        assert (await ben.until("partner"))["away"] is True
        assert (await ben.until("state", state="ended"))["cause"] == "partner_ended"


@GOES
async def test_a_page_that_is_reloaded_comes_back_to_its_session(
    server: Server, subject: str, goes: Goes
) -> None:
    async with present(server, "Ben") as ben:
        async with present(server, "Ada") as ada:
            await call(ada, ben, subject=subject)
            await goes(ada)
        assert (await ben.until("partner"))["away"] is True
        async with present(server, page=ada.page) as back:
            assert (back.state["state"], back.state["session"]) == ("connected", ben.state["session"])
            assert (await ben.until("partner"))["away"] is False


@GOES
async def test_a_page_that_is_closed_outside_of_a_session_has_left(
    server: Server, subject: str, goes: Goes
) -> None:
    async with present(server, "Ada") as ada:
        await ada.say("search", criteria={"subject": subject})
        await ada.until("state", state="searching")
        await goes(ada)
    actor = f"user {ada.page.person}"
    await eventually(lambda: ("left", actor, "page_closed") in endings(server))


def endings(server: Server) -> list[tuple[str, str, str]]:
    return [
        (line["event"], line["actor"], line["cause"]) for line in server.lines() if line["event"] == "left"
    ]


async def test_people_who_have_no_connection_yet_can_ask_how_many_are_here(
    server: Server, subject: str
) -> None:
    """People of other tests count for some seconds after they have gone."""
    async with present(server, "Ada") as ada:
        await eventually(lambda: count_of(server) == (1, 0))
        await ada.say("search", criteria={"subject": subject})
        await ada.until("presence", online=1, searching=1)
        assert await trio.to_thread.run_sync(count_of, server) == (1, 1)


def count_of(server: Server) -> tuple[int, int]:
    status, headers, body = server.get("/api/presence")
    assert (status, headers["cache-control"]) == (200, "no-store")
    told = json.loads(body)
    return told["online"], told["searching"]


async def test_the_newest_connection_of_a_person_wins(server: Server) -> None:
    async with (
        present(server, "Ada") as first,
        present(server, page=first.page) as second,
    ):
        assert await first.code() == 4409
        assert second.frames[0]["resumed"] is True


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("nonsense", 4400),
        (json.dumps({"type": "search"}), 4400),
        (json.dumps({"type": "hello", "version": 1, "token": "forged"}), 4401),
        ("x" * 70_000, 1009),
        (b"\x00", 4400),
    ],
)
async def test_first_words_that_do_not_lead_in(server: Server, message: str | bytes, code: int) -> None:
    async with connected(server) as client:
        if isinstance(message, str):
            await client.send_text(message)
        else:
            await client.send_frame(BINARY, message)
        assert await client.code() == code


async def test_a_message_that_is_too_large_ends_the_connection(server: Server) -> None:
    async with present(server) as client:
        await client.send_text(json.dumps({"type": "ping", "padding": "x" * 65_536}))
        assert await client.code() == 1009


async def test_what_is_not_allowed_now_is_refused_and_changes_nothing(server: Server) -> None:
    async with present(server) as client:
        await client.say("cancel")
        error = await client.until("error")
        assert (error["code"], error["about"]) == ("not_now", "cancel")
        await client.say("dance")
        assert (await client.until("error"))["code"] == "malformed"
        await client.say("ping")
        await client.until("pong")


async def test_numbers_rise_by_one(server: Server, subject: str) -> None:
    async with present(server, "Ada") as ada, present(server, "Ben") as ben:
        await call(ada, ben, subject=subject)
        await ada.about("end")
        await ada.until("state", state="idle")
        await ben.until("state", state="searching")
        for client in (ada, ben):
            assert [frame["seq"] for frame in client.frames] == list(range(1, len(client.frames) + 1))


def upgrade_refused(server: Server, path: str, **headers: str) -> tuple[int, str | None, bytes]:
    """Status, type and body of the answer to a WebSocket's handshake that is refused."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with closing(HTTPConnection(server.address.removeprefix("http://"), timeout=20)) as connection:
        connection.request("GET", path, headers=upgrade | headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type"), answer.read()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_page_from_elsewhere_may_not_connect(server: Server, origin: str) -> None:
    def told() -> list[dict[str, Any]]:
        lines = [line for line in server.lines() if line["event"] == "origin refused"]
        return [line for line in lines if line["origin"] == origin]

    for _ in range(2):
        status, kind, body = await trio.to_thread.run_sync(
            partial(upgrade_refused, server, "/ws", Origin=origin)
        )
        assert (status, kind) == (403, "text/html; charset=utf-8")
        assert body == b"This page may not connect here."
    await eventually(told)
    assert [line["allowed"] for line in told()] == [server.address.removeprefix("http://")], "once"


@pytest.mark.parametrize(("path", "status"), [("/nowhere", 404), ("/", 400)])
def test_a_websocket_to_nowhere_is_told_so(server: Server, path: str, status: int) -> None:
    assert upgrade_refused(server, path)[0] == status


async def test_our_own_page_may_connect(server: Server) -> None:
    async with present(server) as client, connected(server, Origin=server.address) as own:
        await own.say("hello", version=1, token=client.page.token)
        await own.until("welcome")


def test_health_and_readiness(server: Server) -> None:
    assert server.get("/healthz")[0] == 200
    assert server.get("/readyz")[0] == 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"name": ""}, "enter a name"),
        ({"name": "x" * 41}, "at most 40"),
        ({}, "as text"),
        ([], "as text"),
        ({"name": 5}, "as text"),
        ({"name": "\ud800"}, "as text"),
        ({"name": "\u3164"}, "enter a name"),
    ],
)
def test_a_guest_needs_a_name(server: Server, body: Any, sentence: str) -> None:
    status, _, answer = server.get("/api/guest", body)
    assert status == 400
    told = json.loads(answer)
    assert told["code"] == "bad_name"
    assert sentence in told["message"]


def test_a_body_that_is_too_large_is_refused(server: Server) -> None:
    assert server.get("/api/guest", {"name": "x" * 10_000})[0] == 413


@pytest.mark.parametrize("path", ["/", this_build().path_of("js/main.js"), "/nowhere", "/healthz"])
def test_every_answer_is_protected(server: Server, path: str) -> None:
    _, headers, _ = server.get(path)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    permissions = headers.get("Permissions-Policy", "")
    assert permissions.startswith("camera=(self), microphone=(self)") == (path == "/")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "Server" not in headers


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(server: Server) -> None:
    status, _, page = server.get("/")
    assert status == 200
    assert "<script>" not in page
    assert "<style" not in page
    assert " style=" not in page
    assert "onclick" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    assert "https://" not in page


async def test_a_session_can_be_followed_by_grep_and_nothing_private_is_in_the_journal(
    server: Server, subject: str
) -> None:
    async with present(server, "Ada") as ada, present(server, "Ben") as ben:
        await meet(ada, ben, subject=subject)
        await ada.about("signal", data="a=candidate:secret-candidate")
        await ben.until("signal")
        for client in (ada, ben):
            await client.about("connected")
        for client in (ada, ben):
            await client.until("state", state="connected")
        await ada.about("chat", text="secret words")
        await ben.until("chat")
        await ada.about("end")
        await ada.until("state", state="idle")
        await ben.until("state", state="searching")
        session = next(frame["session"] for frame in ada.frames if frame.get("state") == "connected")
        lines = server.lines()
        of_session = [line for line in lines if line.get("session") == session]
        assert [(line["from"], line["to"]) for line in of_session if ada.page.person in line["actor"]] == [
            ("searching", "connecting"),
            ("connecting", "connected"),
            ("connected", "ended"),
        ]
        # Lines that say what to set name the server itself, and a page or a proxy on this machine.
        advice = ("origin refused", "X-Forwarded-For came from a peer")
        whole = json.dumps([line for line in lines if not line["event"].startswith(advice)])
        for private in ("secret", ada.page.token, ada.page.resume["key"], "127.0.0.1"):
            assert private not in whole
