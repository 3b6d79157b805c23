"""Killed processes, and the attempts that this costs (E1).

The records are in SQLite, so that they outlive a process.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Literal

from tests.unit.parcels import Parcel, ParcelRun, Stage, parcels
from workflow_ray import Client, Retry, RunState, Trigger
from workflow_ray.ports import Records, SystemClock, records_adapter
from workflow_ray.ports.store import Store
from workflow_ray.records import PUBLISHER, Cause, Role, RunId, consumer_group
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.mixed import mixed
from workflow_ray.runtime.role_processes import run_role

ATTEMPTS = 2
workflow = parcels(partitions=4)


@workflow.step(Stage.NEW, retry=Retry(attempts=ATTEMPTS, backoff=timedelta(milliseconds=50)))
async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
    if run.foreign_id == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(0.02)
    return Stage.DONE


@asynccontextmanager
async def opened(url: str) -> AsyncGenerator[Store]:
    async with records_adapter(url).open_records(url, clock=SystemClock()) as records:
        yield mixed(records, None, None)


async def work(url: str) -> None:
    """Run a worker until there is nothing to do, or its process dies."""
    async with opened(url) as store:
        stop, clock = asyncio.Event(), SystemClock()
        roles = [Role(PUBLISHER), Role(consumer_group("parcels", Stage.NEW.value))]
        fences = [await store.acquire(role) for role in roles]
        pairs = zip(roles, fences, strict=True)
        tasks = [
            asyncio.create_task(run_role(role, fence, [workflow], store, clock, stop))
            for role, fence in pairs
        ]
        while not all(found.run_state.at_rest for found in await store.counts("parcels")):
            await asyncio.sleep(0.02)
        stop.set()
        await asyncio.gather(*tasks)
        for fence in fences:
            await store.release(fence)


def worker(url: str) -> int:
    """Run another worker and return its exit code."""
    code = (
        "import asyncio; from tests.unit.roles.test_crashes import work;"
        f" asyncio.run(work({url!r}))"
    )
    return subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode


async def test_a_step_that_kills_its_process_uses_up_its_attempts_and_no_others(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/runs.db"
    records_adapter(url).create(url)
    names = [
        *(f"{number}" for number in range(30)),
        "killer",
        *(f"{number}" for number in range(30, 60)),
    ]
    async with opened(url) as store:
        await merge(store, [describe_here(workflow)])
        triggers = [Trigger[Parcel, Stage](name, Parcel()) for name in names]
        started = await Client(workflow, store, SystemClock()).trigger_many(triggers)
    runs = {name: handle.run_id for name, (handle, _) in zip(names, started, strict=True)}
    deaths = 0
    while await asyncio.to_thread(worker, url) == -signal.SIGKILL:
        deaths += 1
        async with opened(url) as store:
            counted = {
                name for name, run_id in runs.items() if Cause.DOUBT in await causes(store, run_id)
            }
        if deaths == 1:
            assert counted == set(), "the first time nobody knows who it was"
    async with opened(url) as store:
        killer = (await store.lookup([runs.pop("killer")]))[0]
        assert killer
        assert (killer.run_state, killer.attempt) == (RunState.PAUSED, ATTEMPTS)
        assert await causes(store, killer.run_id) == [
            Cause.TRIGGER,
            Cause.DOUBT,
            Cause.DOUBT,
            Cause.FAILED,
        ]
        for record in await store.lookup(list(runs.values())):
            assert record
            assert (record.run_state, record.attempt) == (RunState.COMPLETED, 0)
    assert deaths == 2 + ATTEMPTS, "with others, in a group, and alone for each of its attempts"


async def causes(store: Records, run_id: RunId) -> list[Cause]:
    return [entry.cause for entry in await store.history(run_id)]
