"""Twenty thousand encounters: the memory of the server stays flat, and every descriptor comes back."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
import trio

from studymatch.postgres.database import CONNECTIONS
from tests.support.server import data_folder, running_server
from tests.support.waiting import eventually

PEOPLE = 400
ENCOUNTERS = 20_000
SLACK_BYTES = 8 * 2**20
"""By how much the memory may grow because of the allocator and the database's threads."""

CROWD = (
    f"--people {PEOPLE} --arrive herd --calls {ENCOUNTERS} --run-s 400 --dwell-s 0.05 --skip-share 0.9 "
    "--vanish-share 0.02 --seed 20261124"
)


@dataclass(frozen=True, slots=True)
class Sample:
    """The memory and descriptors of a process at one moment."""

    memory_bytes: int
    descriptors: int


def sample(pid: int) -> Sample:
    """Read them from /proc."""
    [memory] = [
        int(line.split()[1]) * 1024
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    ]
    return Sample(memory, len(list(Path(f"/proc/{pid}/fd").iterdir())))


@pytest.mark.timeout(480)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="it reads /proc, which Linux has")
async def test_memory_and_descriptors_are_flat_over_twenty_thousand_encounters(database: str) -> None:
    options = (
        *("--database-url", database, "--grace-s", "5", "--search-again-s", "0.02", "--apart-s", "0.2"),
        # The people here meet far more often than the budgets allow.
        *("--skips-burst", "100000", "--address-skips-burst", "100000", "--searches-burst", "100000"),
        *("--address-searches-burst", "100000", "--person-searches-burst", "100000"),
    )
    with data_folder() as folder, running_server(folder, *options) as server:
        pid = server.process.pid
        before = sample(pid)
        result = folder / "result.json"
        samples: list[Sample] = []
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while True:
                    await trio.sleep(0.5)
                    samples.append(sample(pid))

            nursery.start_soon(watch)
            command = [sys.executable, "-m", "web.cli", "crowd", "--url", server.address, *CROWD.split()]
            crowd = await trio.run_process(
                [*command, "--json", str(result)], capture_stdout=True, capture_stderr=True, check=False
            )
            nursery.cancel_scope.cancel()
        assert crowd.returncode == 0, crowd.stdout.decode() + crowd.stderr.decode()
        told = json.loads(result.read_text())
        assert told["calls"]["ended"] >= ENCOUNTERS
        quarters = [samples[len(samples) * n // 4 : len(samples) * (n + 1) // 4] for n in range(4)]
        second, last = (median(each.memory_bytes for each in quarters[n]) for n in (1, 3))
        assert last - second < SLACK_BYTES, f"memory grew from {second} to {last} bytes"
        most = max(each.descriptors for each in samples)
        assert most <= before.descriptors + PEOPLE + 20, "a connection that dropped kept its descriptor"

        at_rest = before.descriptors + CONNECTIONS  # to the database; their number varies
        await eventually(lambda: sample(pid).descriptors <= at_rest, limit_s=60)
        assert sample(pid).memory_bytes - second < SLACK_BYTES
