"""`studymatch crowd` against a deployment: TLS in front of the server, and pages of an origin of its own."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.support.server import Server, data_folder, running_server

LIMIT_S = 120
PEM = Path(__file__).parent.parent / "support" / "localhost.pem"
"""A certificate for localhost that vouches for itself, with its key: for tests, and worth nothing else."""

ORIGIN = "https://study.example"
CROWD = "--people 6 --arrive herd --run-s 2 --dwell-s 0.3 --vanish-share 0.2 --seed 3"

pytestmark = pytest.mark.xdist_group("crowd command")


@pytest.fixture(scope="module")
def server(server_database: str) -> Iterator[Server]:
    options = ("--database-url", server_database, "--apart-s", "0.2", "--origin", ORIGIN)
    with data_folder() as folder, running_server(folder, *options) as server:
        yield server


@asynccontextmanager
async def tls_before(server: Server) -> AsyncIterator[str]:
    """A proxy that ends TLS and passes on the bytes; its address."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(PEM)
    host, _, port = server.address.removeprefix("http://").partition(":")

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            async with (
                stream,
                await trio.open_tcp_stream(host, int(port)) as behind,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(pump, stream, behind, nursery.cancel_scope)
                nursery.start_soon(pump, behind, stream, nursery.cancel_scope)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            pass  # a client that does not trust us, or has gone

    async with trio.open_nursery() as nursery:
        listen = partial(trio.serve_ssl_over_tcp, serve, 0, context, host="127.0.0.1")
        [listener] = await nursery.start(listen)
        yield f"https://localhost:{listener.transport_listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def pump(source: trio.abc.Stream, target: trio.abc.Stream, both: trio.CancelScope) -> None:
    try:
        while data := await source.receive_some(65_536):
            await target.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    both.cancel()


async def crowd(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "web.cli", "crowd", "--url", url, *CROWD.split(), *options]
    run = partial(subprocess.run, command, capture_output=True, text=True, timeout=LIMIT_S)
    return await trio.to_thread.run_sync(run)


async def test_a_crowd_visits_a_deployment_with_tls_and_an_origin_of_its_own(server: Server) -> None:
    async with tls_before(server) as url:
        done = await crowd(url, "--ca-file", str(PEM), "--origin", ORIGIN)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "time to match, first search" in done.stdout


async def test_who_comes_from_elsewhere_is_not_let_in_and_that_is_exit_code_1(server: Server) -> None:
    async with tls_before(server) as url:
        done = await crowd(url, "--ca-file", str(PEM))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "403" in done.stdout + done.stderr


async def test_a_certificate_that_nobody_vouches_for_is_exit_code_2(server: Server) -> None:
    async with tls_before(server) as url:
        done = await crowd(url, "--origin", ORIGIN)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "certificate" in done.stderr.lower()


@pytest.mark.parametrize(
    "option", [["--ca-file", "/nowhere.pem"], ["--ca-file", __file__], ["--people", "x"]]
)
async def test_what_cannot_be_used_is_exit_code_2(option: list[str]) -> None:
    done = await crowd("https://localhost:1", *option)
    assert done.returncode == 2
    assert option[0] in done.stderr
    assert "Traceback" not in done.stderr
