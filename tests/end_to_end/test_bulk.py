"""A bulk job gives each run one version, whatever becomes of the worker that does it.

On SQLite the worker is started again. On PostgreSQL another one takes over.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.chores import Chore, ChoreStatus, chores
from tests.end_to_end.gate import held
from tests.end_to_end.pledges import Pledge, PledgeStatus, pledges
from tests.end_to_end.workers import AT_ONCE, POLL, WorkerProcess, worker_of, workers
from workflow_ray import (
    BulkJob,
    BulkProgress,
    BulkState,
    Client,
    RunState,
    Trigger,
    Workflow,
    connect,
)
from workflow_ray.client import Entry
from workflow_ray.client.bulk_controls import BulkAction
from workflow_ray.ports import SystemClock, records_adapter
from workflow_ray.records import Cause, bulk_group

LEASE = 2.0
RUNS = 5000
WAIT = 50
"""Runs whose steps can be held up. Their step can run many more at a time."""
SOON = timedelta(seconds=90)
ACTIONS: list[tuple[BulkAction, RunState]] = [
    ("pause", RunState.PAUSED),
    ("resume", RunState.RUNNING),
    ("cancel", RunState.CANCELLED),
]
"""Actions, and the run state to which each takes every run, one after the other."""
pytestmark = pytest.mark.timeout(300)


@dataclass
class Site:
    """Workers of one workflow on one store, and a client."""

    url: str
    some: list[WorkerProcess]
    client: Client[Any, Any]
    workflow: Workflow[Any, Any]

    async def end_of(self, job: BulkJob) -> BulkProgress:
        """Kill the worker that does the job in the middle, and wait for the job's end."""
        worker = self.some[0] if len(self.some) == 1 else await self._holder()
        async with asyncio.timeout(60):
            while not (progress := await job.progress()).changed:
                await asyncio.sleep(POLL)
        await worker.kill()
        assert progress.state is BulkState.RUNNING, progress
        if len(self.some) == 1:
            await worker.start()
            return await job.wait(timeout=SOON)
        done = await job.wait(timeout=SOON)
        await worker.start()
        return done

    async def _holder(self) -> WorkerProcess:
        """Return the worker that holds the role of the jobs."""
        role = f"{bulk_group(self.workflow.name)}-1-of-1"
        adapter = records_adapter(self.url)
        async with adapter.open_records(self.url, clock=SystemClock(), exclusive=False) as store:
            async with asyncio.timeout(60):
                while True:
                    for holder in (await store.activity()).holders:
                        found = re.fullmatch(r".+-(\d+)-[0-9a-f]+", holder.worker)
                        if holder.role == role and found:
                            return worker_of(int(found[1]), self.some)
                    await asyncio.sleep(POLL)

    async def histories(self) -> list[list[Entry[Any, Any]]]:
        """Read the history of each run, and check that it has each version once."""
        run_ids = [run.run_id async for run in self.client.runs()]
        found: list[list[Entry[Any, Any]]] = []
        for first in range(0, len(run_ids), AT_ONCE):
            some = [self.client.handle(run_id) for run_id in run_ids[first : first + AT_ONCE]]
            found += await asyncio.gather(*(handle.history() for handle in some))
        for entries in found:
            assert [entry.version for entry in entries] == list(range(1, len(entries) + 1))
        return found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    return str(request.getfixturevalue("postgres_url"))


@asynccontextmanager
async def site(
    url: str, folder: Path, workflow: Workflow[Any, Any], module: str
) -> AsyncGenerator[Site]:
    count = 1 if url.startswith("sqlite") else 2
    async with (
        workers(count, folder / "journal", LEASE, url, module=module) as some,
        connect(workflow, records=url) as client,
    ):
        yield Site(url, some, client, workflow)


def causes(histories: Sequence[Sequence[Entry[Any, Any]]]) -> Counter[tuple[Cause, ...]]:
    return Counter(tuple(entry.cause for entry in entries) for entries in histories)


async def test_a_job_whose_worker_is_killed_gives_each_run_one_version(
    url: str, tmp_path: Path
) -> None:
    async with site(url, tmp_path, pledges, "tests.end_to_end.pledges") as there:
        client = there.client
        await client.trigger_many(
            [Trigger(f"p{n}", Pledge(), start_at=PledgeStatus.OPEN) for n in range(RUNS)]
        )
        for version, (action, state) in enumerate(ACTIONS, start=2):
            job = await client.bulk(action, "a test")
            progress = await there.end_of(job)
            assert progress.state is BulkState.DONE
            assert (progress.changed, progress.unchanged) == (RUNS, 0), progress
            assert (progress.refused, progress.moved_on) == (0, 0), progress
            assert await client.counts() == {(PledgeStatus.OPEN, state): RUNS}
            assert {run.version async for run in client.runs()} == {version}
        assert causes(await there.histories()) == {
            (Cause.TRIGGER, Cause.PAUSE, Cause.RESUMED, Cause.CANCEL): RUNS
        }


async def test_a_job_that_moves_runs_enters_the_status_once_and_sets_its_timeouts(
    url: str, tmp_path: Path
) -> None:
    runs = RUNS // 2
    async with site(url, tmp_path, pledges, "tests.end_to_end.pledges") as there:
        client = there.client
        await client.trigger_many([Trigger(f"p{n}", Pledge()) for n in range(runs)])
        job = await client.bulk("move", "a test", to=PledgeStatus.DATED)
        progress = await there.end_of(job)
        assert progress.state is BulkState.DONE
        assert (progress.changed, progress.unchanged) == (runs, 0), progress
        assert (progress.refused, progress.moved_on) == (0, 0), progress
        async with asyncio.timeout(SOON.total_seconds()):
            while await client.counts() != {(PledgeStatus.EXPIRED, RunState.COMPLETED): runs}:
                await asyncio.sleep(0.1)
        assert causes(await there.histories()) == {
            (Cause.TRIGGER, Cause.MOVED, Cause.TIMEOUT): runs
        }
        again = await client.bulk("move", "a test", to=PledgeStatus.OPEN)
        assert (await again.wait(timeout=SOON)).refused == runs


async def test_a_job_that_competes_with_steps_changes_each_run_once_or_leaves_it(
    url: str, tmp_path: Path
) -> None:
    async with site(url, tmp_path, chores, "tests.end_to_end.chores") as there:
        client, gate = there.client, held(tmp_path / "journal")
        gate.touch()  # some runs are unfinished when the job begins, however late that is
        await client.trigger_many([Trigger(f"c{n}", Chore(waits=n < WAIT)) for n in range(RUNS)])
        unfinished = (RunState.INITIATED, RunState.RUNNING)
        job = await client.bulk("pause", "a test", run_state=unfinished)
        paused = await there.end_of(job)
        gate.unlink()
        assert (paused.state, paused.unchanged, paused.refused) == (BulkState.DONE, 0, 0)
        states = Counter([run.run_state async for run in client.runs(run_state=RunState.PAUSED)])
        assert states[RunState.PAUSED] == paused.changed
        job = await client.bulk("resume", run_state=RunState.PAUSED)
        resumed = await job.wait(timeout=SOON)
        assert (resumed.state, resumed.changed) == (BulkState.DONE, paused.changed)
        async with asyncio.timeout(SOON.total_seconds()):
            while await client.counts() != {(ChoreStatus.DONE, RunState.COMPLETED): RUNS}:
                await asyncio.sleep(0.1)
        histories = await there.histories()
        found = Counter(cause for one, runs in causes(histories).items() for cause in one * runs)
        assert found[Cause.PAUSE] == found[Cause.RESUMED] == paused.changed
        assert all(each.count(Cause.PAUSE) <= 1 for each in causes(histories))
        assert found[Cause.STEP] == 2 * RUNS
