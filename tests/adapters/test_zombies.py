"""A process that holds a role is stopped, another takes the role and works, and the first goes on: none of its writes lands."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.adapters.zombie import ROLE
from workflow_ray.ports import Records, SystemClock, persist, records_adapter
from workflow_ray.records import Fence, Position, RunQuery
from workflow_ray.testing.conformance.runs import PAID_CONSUMERS, deploy, event, group, new_run, workflow

ROUNDS = 2
SERVERS = [pytest.param(f"{name}_url", marks=pytest.mark.server, id=name) for name in ("postgres", "mariadb", "redis")]
CLOCK = SystemClock()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs.db"


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    records_adapter(found).create(found)
    return found


@pytest.fixture
async def store(url: str) -> AsyncIterator[Records]:
    async with records_adapter(url).open_records(url, clock=CLOCK, exclusive=False) as store:
        await deploy(store, workflow())
        yield store


@pytest.mark.parametrize("url", [pytest.param("sqlite_url", id="sqlite"), *SERVERS], indirect=True)
async def test_who_was_stopped_between_two_writes_makes_no_third(store: Records, url: str) -> None:
    with zombie(url, writes=2) as process:
        await asyncio.to_thread(os.waitid, os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        await goes_on_in_vain(store, process)


# Not on SQLite: who is stopped in the middle of a transaction keeps a file locked until he goes on, and nobody else writes meanwhile.
@pytest.mark.parametrize("url", SERVERS, indirect=True)
async def test_who_was_stopped_in_the_middle_of_whatever_it_did_writes_no_more(store: Records, url: str, rng: random.Random) -> None:
    for _ in range(ROUNDS):
        with zombie(url, writes=0) as process:
            await has_written(store, process)
            await asyncio.sleep(rng.random() / 50)  # somewhere in some transaction
            process.send_signal(signal.SIGSTOP)
            await goes_on_in_vain(store, process)


@contextmanager
def zombie(url: str, *, writes: int) -> Generator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.adapters.zombie", url, str(writes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "holds the role\n"
            yield process
        finally:
            process.kill()


async def has_written(store: Records, process: subprocess.Popen[str]) -> None:
    """Until there is something that it wrote since it held the role."""
    before = await autocommit(store)
    while await autocommit(store) == before:
        assert process.poll() is None, "it should write"


async def goes_on_in_vain(store: Records, process: subprocess.Popen[str]) -> None:
    fence = await persist(partial(store.acquire, ROLE), CLOCK, "successor")
    await work(store, fence)
    before = await autocommit(store), await store.pending(fence, limit=10_000, wait=0)
    process.send_signal(signal.SIGCONT)
    said, _ = await asyncio.to_thread(process.communicate, timeout=60)
    assert said == "lost the role\n"
    assert (await autocommit(store), await store.pending(fence, limit=10_000, wait=0)) == before


async def work(store: Records, fence: Fence) -> None:
    """As the zombie does, so that both would write the same rows."""
    transition = group(new_run(events=[event()]), fence=fence, positions=[Position(PAID_CONSUMERS, 0, 1)])
    await persist(partial(store.store, [transition]), CLOCK, "successor")


async def autocommit(store: Records) -> tuple[set[str], list[Position]]:
    """The runs that there are, and how far the positions have come."""
    runs = await store.runs(RunQuery(workflow="orders", limit=100_000))
    return {record.run_id for record in runs}, await store.positions(PAID_CONSUMERS)
