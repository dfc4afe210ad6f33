"""The private PostgreSQL: real programs, real processes, and what becomes of them."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest
import trio
from psycopg.conninfo import conninfo_to_dict

from actors import Backoff
from actors.testing import Lines
from studymatch.postgres import folders as places
from studymatch.postgres import private as embedded
from studymatch.postgres.folders import default_data_dir
from studymatch.postgres.private import embedded_postgres, installations, running_postgres
from studymatch.postgres.programs import EmbeddedPostgresError, Programs, account_for, in_the_wheel
from tests.support.rows import query
from tests.support.waiting import eventually

quick = partial(embedded_postgres, durable=False)

AS_ROOT = os.geteuid() == 0

HERE = {f"{'wheel' if found.from_wheel else 'machine'} {found.major}": found for found in installations()}
"""Every PostgreSQL that is here; those of the wheel always are."""


def server_pid(data_dir: Path) -> int:
    return int((data_dir / "pgdata" / "postmaster.pid").read_text().split()[0])


def status(pid: int) -> tuple[str, int] | None:
    """The state of a process, and its parent; None if it is not there."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return words[0], int(words[1])


def family(pid: int) -> set[int]:
    """A process and its children."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return {pid, *(child for child in pids if (found := status(child)) and found[1] == pid)}


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not merely waiting for its parent to ask what became of it."""
    found = status(pid)
    return found is not None and found[0] != "Z"


def all_gone(pids: set[int]) -> bool:
    return not any(is_alive(pid) for pid in pids)


STUDYMATCH = """
import signal, sys, trio
from pathlib import Path
from studymatch.postgres.private import embedded_postgres

async def main():
    async with embedded_postgres(Path(sys.argv[1]), durable=False) as conninfo:
        print(conninfo, flush=True)
        await trio.sleep_forever()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
trio.run(main)
"""


@asynccontextmanager
async def another_process(data_dir: Path) -> AsyncIterator[trio.Process]:
    """A process, in a group of its own, that has a private PostgreSQL on `data_dir` and does nothing."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", STUDYMATCH, str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(embedded.__file__).parents[1],
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with process.stdout, process.stderr:
        try:
            assert await process.stdout.receive_some(), await process.stderr.receive_some()
            yield process
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


# What it is


@pytest.mark.parametrize("which", HERE)
async def test_data_survive_a_restart_and_no_process_does(data_dir: Path, which: str) -> None:
    lines = Lines()
    private = partial(quick, journal=lines.journal("postgres"), candidates=lambda: [HERE[which]])
    async with private(data_dir) as conninfo:
        query(conninfo, "create table kept as select 42 as answer")
        first = family(server_pid(data_dir))
        assert len(first) > 3
    assert all_gone(first)
    async with private(data_dir) as again:
        assert again == conninfo
        assert query(again, "select answer from kept") == [{"answer": 42}]
        second = family(server_pid(data_dir))
        assert second.isdisjoint(first)
    assert all_gone(second)
    assert [line["version"] for line in lines.events("started")] == [HERE[which].major] * 2
    assert len(lines) == 2


async def test_it_is_durable_private_and_not_on_the_network(used_dir: Path) -> None:
    async with embedded_postgres(used_dir) as conninfo:
        names = ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
        shown = {name: query(conninfo, f"show {name}")[0][name] for name in names}
        sockets = os.stat(str(conninfo_to_dict(conninfo)["host"]))  # noqa: PTH116
        log = os.stat(used_dir / "postgres.log")  # noqa: PTH116
    assert shown == dict(zip(names, ("on", "on", "on", ""), strict=True))
    assert stat.S_IMODE(sockets.st_mode) == 0o700
    assert stat.S_IMODE(log.st_mode) == 0o600


async def test_it_never_runs_as_root(used_dir: Path) -> None:
    async with quick(used_dir):
        uid = os.stat(f"/proc/{server_pid(used_dir)}").st_uid  # noqa: PTH116
    user = account_for(None).user
    assert uid == (user.pw_uid if user else os.geteuid()) != 0


def test_the_default_folder_is_one_where_the_account_of_the_server_can_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/studymatch")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert default_data_dir() == Path("/home/ada/.local/share/studymatch")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_data_dir() == Path("/data/studymatch")


# How it ends


async def test_an_error_in_the_block_comes_out_and_the_server_stops(used_dir: Path) -> None:
    pids: set[int] = set()
    with pytest.RaisesGroup(ZeroDivisionError):
        async with quick(used_dir):
            pids = family(server_pid(used_dir))
            raise ZeroDivisionError
    assert pids
    assert all_gone(pids)


async def test_a_cancelled_block_still_stops_the_server_with_connections_open(used_dir: Path) -> None:
    pids: set[int] = set()
    with trio.CancelScope() as scope:
        async with quick(used_dir) as conninfo:
            with psycopg.connect(conninfo) as connection:
                connection.execute("select 1")
                pids = family(server_pid(used_dir))
                scope.cancel()
                await trio.sleep_forever()
    assert scope.cancelled_caught
    assert all_gone(pids)
    assert "database system is shut down" in text(used_dir / "postgres.log")


async def test_ctrl_c_on_the_terminal_leaves_nothing_behind(used_dir: Path) -> None:
    """The signal goes to the whole group of the process, as a terminal sends it; the server is not in it."""
    async with another_process(used_dir) as process:
        pids = family(server_pid(used_dir))
        assert os.getsid(server_pid(used_dir)) == server_pid(used_dir)
        os.killpg(process.pid, signal.SIGINT)
        await process.wait()
        assert all_gone(pids)
    assert not exists(used_dir / "pgdata" / "postmaster.pid")


async def test_the_server_of_a_killed_process_is_put_right_at_the_next_start(used_dir: Path) -> None:
    lines = Lines()
    async with another_process(used_dir) as process:
        orphan = server_pid(used_dir)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    assert is_alive(orphan)
    async with quick(used_dir, journal=lines.journal("postgres")) as conninfo:
        assert not is_alive(orphan)
        assert server_pid(used_dir) != orphan
        assert query(conninfo, "select 1 as one") == [{"one": 1}]
    assert [line["pid"] for line in lines.events("stopping the server of a killed process")] == [orphan]


async def test_a_server_that_was_killed_too_is_no_obstacle(used_dir: Path) -> None:
    async with another_process(used_dir) as process:
        for pid in (process.pid, server_pid(used_dir)):
            os.kill(pid, signal.SIGKILL)
        await process.wait()
    async with quick(used_dir) as conninfo:
        assert query(conninfo, "select 1 as one") == [{"one": 1}]


async def test_another_process_that_got_the_number_of_a_killed_server_is_left_alone(used_dir: Path) -> None:
    """After a restart of the machine, the number in the pid file belongs to somebody else."""
    innocent = await trio.lowlevel.open_process(["sleep", "600"], **account_for(None).popen)
    try:
        overwrite(used_dir / "pgdata" / "postmaster.pid", f"{innocent.pid}\n{used_dir}/pgdata\n")
        async with quick(used_dir) as conninfo:
            assert query(conninfo, "select 1 as one") == [{"one": 1}]
        assert innocent.poll() is None
    finally:
        innocent.kill()
        await innocent.wait()


@pytest.mark.parametrize("early", [True, False])
async def test_a_server_that_stops_by_itself_is_started_again(used_dir: Path, early: bool) -> None:
    """Early: between its start and the moment from which it is watched."""
    killed: list[int] = []

    def kill() -> None:
        killed.append(server_pid(used_dir))
        os.kill(killed[0], signal.SIGKILL)

    class KillEarly(Lines):
        def write(self, level: str, actor: str, event: str, line: bytes) -> None:
            if early and level == "info":
                kill()
            super().write(level, actor, event, line)

    lines = KillEarly()
    async with quick(used_dir, journal=lines.journal("postgres")) as conninfo:
        if not early:
            kill()
        await eventually(lambda: running_server(used_dir) not in (None, killed[0]) and answers(conninfo))
    [crash] = lines.events("crashed")
    assert "stopped by itself, with status -9" in crash["error"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restarts with hardly a pause."""
    monkeypatch.setattr(embedded, "BACKOFF", Backoff(first_s=0.01, most_s=0.05))


@pytest.mark.usefixtures("impatient")
async def test_a_server_that_stops_again_and_again_is_started_again_and_again(used_dir: Path) -> None:
    lines = Lines()
    async with quick(used_dir, journal=lines.journal("postgres")) as conninfo:
        for _ in range(6):
            pid = await eventually(lambda: running_server(used_dir))
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: not is_alive(pid))  # noqa: B023
        await eventually(lambda: answers(conninfo))
    assert len(lines.events("crashed")) >= 6


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "program", ["#!/bin/sh\necho no memory >&2; exit 1\n", "#!/no/such/shell\n"], ids=["dies", "is broken"]
)
async def test_programs_that_do_not_run_any_more_end_nothing(
    data_dir: Path, used_dir: Path, program: str
) -> None:
    """As when memory is short, or while PostgreSQL is being replaced; and then they run again."""
    real, folder, lines = installations()[0], data_dir / "bin", Lines()
    folder.mkdir(parents=True)
    works = f'#!/bin/sh\nexec {real.postgres} "$@"\n'
    overwrite(folder / "postgres", works, mode=0o755)
    private = partial(quick, candidates=lambda: [Programs(folder, real.major, from_wheel=False)])
    async with private(used_dir, journal=lines.journal("postgres")) as conninfo:
        overwrite(folder / "postgres", program, mode=0o755)
        os.kill(server_pid(used_dir), signal.SIGKILL)
        await eventually(lambda: len(lines.events("crashed")) > 6)
        overwrite(folder / "postgres", works, mode=0o755)
        await eventually(lambda: answers(conninfo))


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "lock", ["$2/postmaster.pid", "$4/.s.PGSQL.5432.lock"], ids=["pid file", "socket lock"]
)
async def test_a_server_that_is_killed_while_it_writes_a_lock_file_is_started_again(
    data_dir: Path, used_dir: Path, lock: str
) -> None:
    """It leaves an empty file, with which PostgreSQL refuses to start."""
    real, folder, lines = installations()[0], data_dir / "bin", Lines()
    folder.mkdir(parents=True)
    works = f'exec {real.postgres} "$@"\n'
    overwrite(folder / "postgres", f"#!/bin/sh\n{works}", mode=0o755)
    private = partial(quick, candidates=lambda: [Programs(folder, real.major, from_wheel=False)])
    async with private(used_dir, journal=lines.journal("postgres")) as conninfo:
        dies_once = f'[ -e "$2/died" ] || {{ : > "{lock}"; : > "$2/died"; kill -9 $$; }}\n'
        overwrite(folder / "postgres", f"#!/bin/sh\n{dies_once}{works}", mode=0o755)
        os.kill(server_pid(used_dir), signal.SIGKILL)
        await eventually(lambda: (used_dir / "pgdata" / "died").exists() and answers(conninfo))


def answers(conninfo: str) -> bool:
    try:
        return query(conninfo, "select 1 as one") == [{"one": 1}]
    except psycopg.OperationalError:
        return False


def running_server(data_dir: Path) -> int | None:
    try:
        pid = server_pid(data_dir)
    except (FileNotFoundError, IndexError):
        return None
    return pid if is_alive(pid) else None


# Where it lives


async def test_a_folder_is_for_one_process_at_a_time(used_dir: Path) -> None:
    async with quick(used_dir) as conninfo:
        pid = server_pid(used_dir)
        with pytest.raises(
            EmbeddedPostgresError, match=rf"Another studymatch \(process {os.getpid()}\) runs on"
        ):
            async with quick(used_dir):
                pass
        assert server_pid(used_dir) == pid
        assert query(conninfo, "select 1 as one") == [{"one": 1}]


async def test_another_process_is_told_where_the_server_is_while_it_runs(used_dir: Path) -> None:
    async with quick(used_dir) as conninfo:
        assert running_postgres(used_dir) == conninfo
    missing = used_dir.parent / "missing"
    for folder in (used_dir, missing):
        with pytest.raises(EmbeddedPostgresError, match=f"No private PostgreSQL runs in {folder}"):
            running_postgres(folder)
    assert not missing.exists(), "nothing was made"


async def test_a_path_too_long_for_a_socket_gets_a_short_folder_for_it(data_dir: Path) -> None:
    long = data_dir / ("deep" * 20) / "data"
    async with quick(long) as conninfo:
        assert running_postgres(long) == conninfo
        sockets = Path(str(conninfo_to_dict(conninfo)["host"]))
        assert len(str(sockets)) < 40
        assert query(conninfo, "select 1 as one") == [{"one": 1}]
    assert not exists(sockets)

    async with another_process(long) as process:
        left = (long / "run").readlink()
        process.kill()
        await process.wait()
    assert exists(left)
    async with quick(long):
        assert not exists(left)


@pytest.fixture
def closed(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like that of `mktemp -d`. What root keeps elsewhere is kept among the tests' things."""
    monkeypatch.setattr(places, "ELSEWHERE", data_dir / "elsewhere")
    closed = data_dir / "closed"
    closed.mkdir(parents=True, mode=0o700)
    return closed


async def test_a_folder_that_the_server_may_not_enter_has_its_data_elsewhere(closed: Path) -> None:
    """To root alone this can happen; for everybody else it is their own folder."""
    lines = Lines()
    async with quick(closed / "data", journal=lines.journal("postgres")) as conninfo:
        query(conninfo, "create table kept as select 42 as answer")
        assert running_postgres(closed / "data") == conninfo
    async with quick(closed / "data") as conninfo:
        assert query(conninfo, "select answer from kept") == [{"answer": 42}]
    assert exists(closed / "data" / "pgdata") is not AS_ROOT
    if AS_ROOT:
        [line] = lines.events("kept elsewhere")
        place = Path(line["place"])
        assert place == (closed / "data" / "elsewhere").readlink()
        assert text(place / "belongs-to") == f"{closed}/data\n"
        assert f"{place.parent}" == str(places.ELSEWHERE)


async def test_a_copy_of_a_folder_with_its_data_elsewhere_does_not_get_at_them(closed: Path) -> None:
    async with quick(closed / "data") as conninfo:
        shutil.copytree(closed / "data", closed / "copy", symlinks=True, ignore=lambda *_: {"pgdata", "run"})
        if AS_ROOT:
            with pytest.raises(EmbeddedPostgresError, match="Another studymatch"):
                async with quick(closed / "copy"):
                    pass
        assert query(conninfo, "select 1 as one") == [{"one": 1}]


async def test_data_that_were_elsewhere_and_are_gone_are_not_silently_begun_anew(closed: Path) -> None:
    (closed / "elsewhere").symlink_to(closed / "nowhere")
    with pytest.raises(EmbeddedPostgresError, match=r"kept in .*/nowhere, which is not there. Bring it back"):
        async with quick(closed):
            pass


async def test_a_folder_that_the_server_may_not_enter_is_named_if_there_is_no_place_elsewhere(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "ELSEWHERE", closed / "as closed")
    if AS_ROOT:
        with pytest.raises(
            EmbeddedPostgresError, match=f"may not enter {closed}. Choose a data folder elsewhere"
        ):
            async with quick(closed / "data"):
                pass


@pytest.mark.parametrize(
    "name", ["two words", "it's", 'the "best"', "a,b", "100%", "Übung 学習", "@here", "a\\b"]
)
async def test_any_name_of_a_folder_will_do(data_dir: Path, name: str) -> None:
    """PostgreSQL and libpq take a path of a socket for a list with commas, or for an abstract one."""
    async with quick(data_dir / name) as conninfo:
        assert query(conninfo, "select 1 as one") == [{"one": 1}]
    async with another_process(data_dir / name) as process:
        orphan = server_pid(data_dir / name)
        process.kill()
        await process.wait()
    async with quick(data_dir / name):
        assert not is_alive(orphan)


# What may have become of its files


PID_FILES = {
    "empty": b"",
    "zeros": b"\0" * 60,
    "no number": b"not a number\n",
    "negative": b"-1\n",
    "of process 1": b"1\n",
    "of all processes": b"0\n",
    "of nobody": b"99999999999999999999\n",
    "no text": b"\xff\xfe\n",
}


@pytest.mark.parametrize("content", PID_FILES.values(), ids=PID_FILES)
async def test_a_garbled_pid_file_is_no_obstacle(used_dir: Path, content: bytes) -> None:
    """An empty one, as a power cut leaves it, was a traceback at every start."""
    (used_dir / "pgdata" / "postmaster.pid").write_bytes(content)
    async with quick(used_dir) as conninfo:
        assert query(conninfo, "select 1 as one") == [{"one": 1}]


async def test_the_server_of_a_killed_process_is_found_though_its_pid_file_is_garbled(used_dir: Path) -> None:
    async with another_process(used_dir) as process:
        orphan = server_pid(used_dir)
        overwrite(used_dir / "pgdata" / "postmaster.pid", "")
        process.kill()
        await process.wait()
    async with quick(used_dir) as conninfo:
        assert not is_alive(orphan)
        assert query(conninfo, "select 1 as one") == [{"one": 1}]


async def test_folders_and_files_in_each_others_places_are_no_obstacle(used_dir: Path) -> None:
    precious = used_dir.with_name("precious")
    for folder in (
        used_dir / "pgdata" / "postmaster.pid",
        used_dir / "postgres.log",
        used_dir / "studymatch.lock",
        precious,
    ):
        folder.unlink(missing_ok=True)
        (folder / "within").mkdir(parents=True)
    for run in ("a file", "a link to something of somebody"):
        if run == "a file":
            overwrite(used_dir / "run", "")
        else:
            (used_dir / "run").symlink_to(precious)
        async with quick(used_dir) as conninfo:
            assert query(conninfo, "select 1 as one") == [{"one": 1}]
    assert exists(precious / "within"), "what a link leads to is not ours to remove"
    for name in ("postgres.log", "studymatch.lock", "pgdata/postmaster.pid"):
        assert exists(used_dir / f"{name}.unusable-1" / "within"), "nothing is thrown away"


@pytest.mark.parametrize("content", [b"", b"\0\0\0", b"fifteen\n", b"-15\n", b"\xff", None])
async def test_a_version_that_was_lost_is_found_in_the_databases(
    used_dir: Path, content: bytes | None
) -> None:
    version = used_dir / "pgdata" / "PG_VERSION"
    made_by = version.read_text()
    version.unlink()
    if content is not None:
        version.write_bytes(content)
    async with quick(used_dir) as conninfo:
        assert query(conninfo, "select 1 as one") == [{"one": 1}]
    assert version.read_text() == made_by


async def test_a_cluster_without_any_version_is_refused_and_left_as_it_is(used_dir: Path) -> None:
    files = found(used_dir, "pgdata/**/PG_VERSION")
    said = {file: file.read_bytes() for file in files}
    try:
        for file in files:
            file.write_bytes(b"")
        with pytest.raises(EmbeddedPostgresError, match="nothing says which PostgreSQL made them"):
            async with quick(used_dir):
                pass
        assert exists(used_dir / "pgdata" / "global" / "pg_control")
    finally:
        for file, content in said.items():
            file.write_bytes(content)


async def test_an_empty_folder_is_a_cluster_to_be_made_and_a_lost_one_is_not(data_dir: Path) -> None:
    (data_dir / "pgdata").mkdir(parents=True)
    async with quick(data_dir) as conninfo:
        assert query(conninfo, "select 1 as one") == [{"one": 1}]
    shutil.rmtree(data_dir / "pgdata")
    (data_dir / "pgdata").symlink_to("/not/mounted")
    with pytest.raises(EmbeddedPostgresError, match="is no folder, or leads to none"):
        async with quick(data_dir):
            pass


async def test_programs_in_a_folder_that_the_server_may_not_enter_are_copied(data_dir: Path) -> None:
    """As when root has the virtual environment in its home folder."""
    closed = data_dir / "closed"
    closed.mkdir(parents=True, mode=0o700)
    newest = in_the_wheel()[0]
    site_packages = newest.folder.parents[2]
    (closed / "site-packages").symlink_to(site_packages)
    folder = closed / "site-packages" / newest.folder.relative_to(site_packages)
    private = partial(quick, candidates=lambda: [Programs(folder, newest.major, from_wheel=True)])
    for _ in range(2):
        async with private(data_dir) as conninfo:
            assert query(conninfo, "select 1 as one") == [{"one": 1}]
            command = text(Path(f"/proc/{server_pid(data_dir)}/cmdline"))
            assert command.startswith(str(data_dir / "programs-") if AS_ROOT else str(closed))
        for program in found(data_dir, "programs-*/**/bin/postgres"):
            program.write_bytes(b"")  # as a power cut may leave it


async def test_a_folder_that_cannot_be_made_is_refused_in_words(data_dir: Path) -> None:
    overwrite(data_dir, "a file")
    with pytest.raises(EmbeddedPostgresError, match=r"cannot be used: .* Choose another"):
        async with quick(data_dir / "deeper"):
            pass


async def test_an_interrupted_first_start_is_started_over(data_dir: Path) -> None:
    unfinished = data_dir / "pgdata-unfinished-12345678"
    unfinished.mkdir(parents=True)
    overwrite(unfinished / "PG_VERSION", "15")
    async with quick(data_dir) as conninfo:
        assert query(conninfo, "select 1 as one") == [{"one": 1}]
    assert not exists(unfinished)


async def test_the_umask_of_root_does_not_lock_the_server_out(data_dir: Path) -> None:
    before = os.umask(0o077)
    try:
        async with quick(data_dir / "deep" / "data") as conninfo:
            assert query(conninfo, "select 1 as one") == [{"one": 1}]
    finally:
        os.umask(before)


async def test_a_cluster_that_cannot_be_made_says_why(data_dir: Path) -> None:
    folder = data_dir / "bin"
    folder.mkdir(parents=True)
    overwrite(folder / "initdb", "#!/bin/sh\necho first; echo no room at the inn >&2; exit 1\n", mode=0o755)
    with pytest.raises(
        EmbeddedPostgresError, match=r"cannot make a cluster in .* It says:\nfirst\nno room at the inn"
    ):
        async with quick(data_dir, candidates=lambda: [Programs(folder, 99, from_wheel=False)]):
            pass
    assert not exists(data_dir / "pgdata")


async def test_a_server_that_does_not_start_shows_the_end_of_its_log(
    used_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(embedded.SERVER_SETTINGS, "work_mem", "nonsense")
    with pytest.raises(EmbeddedPostgresError, match=r"does not start(.|\n)*invalid value for parameter"):
        async with quick(used_dir):
            pass


async def test_data_of_another_version_need_the_programs_of_that_version(used_dir: Path) -> None:
    made_by = text(used_dir / "pgdata" / "PG_VERSION").strip()
    first, *others = installations()
    assert str(first.major) == made_by
    with pytest.raises(
        EmbeddedPostgresError,
        match=rf"were made by PostgreSQL {made_by}; here there is .*Install PostgreSQL {made_by}, or use",
    ):
        async with quick(used_dir, candidates=lambda: [p for p in others if p.major != first.major]):
            pass
    async with quick(used_dir, candidates=lambda: [*others, first]) as conninfo:
        assert query(conninfo, "show server_version")[0]["server_version"].startswith(made_by)


async def test_a_large_log_is_set_aside(used_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOG_MAX_BYTES", 100)
    overwrite(used_dir / "postgres.log", "x" * 101)
    async with quick(used_dir):
        assert text(used_dir / "postgres.log.1") == "x" * 101
        assert "x" * 101 not in text(used_dir / "postgres.log")


def found(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


def exists(path: Path) -> bool:
    return path.exists()


def text(path: Path) -> str:
    return path.read_text()


def overwrite(path: Path, what: str, mode: int = 0o644) -> None:
    path.write_text(what)
    path.chmod(mode)
