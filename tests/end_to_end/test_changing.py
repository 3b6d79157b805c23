"""A live definition changes: workers with old and new code at once, refused deploys, and moves.

On SQLite a process has the records for itself, so that workers follow each other.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.freights import loaded, new_version, old_version, without_held
from tests.end_to_end.workers import AT_ONCE, PATIENCE, POLL, WorkerProcess
from workflow_ray import BulkState, Handle, RunState, Runtime, Trigger, Workflow, connect
from workflow_ray.errors import DeployStrandsRuns
from workflow_ray.ports import SystemClock
from workflow_ray.records import Cause, HistoryEntry, RunQuery
from workflow_ray.runtime.connect import open_beside

LEASE = 2.0
RUNS = 100
HELD = 1000
MODULE = "tests.end_to_end.freights"
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    return str(request.getfixturevalue("postgres_url"))


class Site:
    """Workers of several versions on one store."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self._stack = stack

    async def worker(self, folder: Path) -> WorkerProcess:
        worker = WorkerProcess(folder, LEASE, self.url, module=MODULE)
        self._stack.push_async_callback(worker.kill)
        await worker.start()
        return worker

    async def trigger(self, workflow: Workflow[Any, Any], name: str, **data: int) -> None:
        """Trigger runs with a client that has this version."""
        async with connect(workflow, records=self.url) as client:
            triggers: list[Trigger[Any, Any]] = [
                Trigger(f"{name}-{n}", workflow.data(**data)) for n in range(RUNS)
            ]
            await client.trigger_many(triggers)


def check(entries: Sequence[HistoryEntry]) -> None:
    """No version of the data goes back, none was paused, and no attempt has failed."""
    versions = [entry.data_version for entry in entries if entry.data is not None]
    assert versions == sorted(versions)
    for entry in entries:
        if entry.data is not None:
            assert (b'"grams"' in entry.data) == (entry.data_version == 2)
    causes = {entry.cause for entry in entries}
    assert causes <= {Cause.TRIGGER, Cause.STEP, Cause.PARKED, Cause.DOUBT, Cause.GIVEN_BACK}


async def test_a_rollout_with_old_and_new_workers_at_once_pauses_no_run_and_loses_no_data(
    url: str, tmp_path: Path
) -> None:
    v1, v2 = old_version(tmp_path), new_version(tmp_path)
    old, new = loaded(v1), loaded(v2)
    shared = not url.startswith("sqlite")
    async with AsyncExitStack() as stack:
        site = Site(url, stack)
        olds = [await site.worker(v1) for _ in range(2 if shared else 1)]
        await site.trigger(old, "early", weight=2)
        if not shared:
            await olds[0].kill()
        newer = await site.worker(v2)
        await site.trigger(new, "during", grams=2000)
        if not shared:
            await newer.kill()
            olds = [await site.worker(v1)]
        await held_back(site)
        await olds[0].kill()
        await newer.kill()
        newer = await site.worker(v2)
        await site.trigger(new, "late", grams=2000)
        if shared:
            await olds[1].terminate()
        async with connect(new, records=url) as client:
            handles = [client.handle(run.run_id) async for run in client.runs()]
            assert len(handles) == 3 * RUNS
            await completed(handles)
        for entries in await histories(url, handles):
            check(entries)


async def completed(handles: Sequence[Handle[Any, Any]]) -> None:
    """Wait for the runs, and check that each was completed once, with its data in version 2."""

    async def one(handle: Handle[Any, Any]) -> None:
        run = await handle.wait(timeout=PATIENCE)
        assert (run.run_state, run.data.grams) == (RunState.COMPLETED, 2000)
        assert [text.split()[0] for text in run.data.seen] == ["pack", "send"]

    for first in range(0, len(handles), AT_ONCE):
        await asyncio.gather(*map(one, handles[first : first + AT_ONCE]))


async def histories(url: str, handles: Sequence[Handle[Any, Any]]) -> list[list[HistoryEntry]]:
    found: list[list[HistoryEntry]] = []
    async with open_beside(url, SystemClock()) as records:
        for first in range(0, len(handles), AT_ONCE):
            some = handles[first : first + AT_ONCE]
            found += await asyncio.gather(*(records.history(handle.run_id) for handle in some))
    return found


async def held_back(site: Site) -> None:
    """Wait until a worker with old code has held a run back."""
    async with asyncio.timeout(60), open_beside(site.url, SystemClock()) as records:
        query = RunQuery(workflow="freight", causes=(Cause.PARKED,), limit=1)
        while not await records.runs(query):
            await asyncio.sleep(POLL)


async def test_a_status_that_is_gone_is_refused_or_its_runs_are_moved_though_workers_die(
    url: str, tmp_path: Path
) -> None:
    v1, gone, moved = (
        old_version(tmp_path),
        without_held(tmp_path, moved=False),
        without_held(tmp_path, moved=True),
    )
    old = loaded(v1)
    async with AsyncExitStack() as stack:
        site = Site(url, stack)
        first = await site.worker(v1)
        async with connect(old, records=url) as client:
            statuses: Any = old.statuses
            await client.trigger_many(
                [Trigger(f"{n}", old.data(weight=2), start_at=statuses.HELD) for n in range(HELD)]
            )
        await first.terminate()
        with pytest.raises(DeployStrandsRuns, match=r"HELD = 4 is gone, and 1,000 unfinished runs"):
            async with Runtime.local(loaded(gone), records=url):
                pass
        mover = await site.worker(moved)
        new = loaded(moved)
        async with connect(new, records=url) as client:
            (job,) = await client.bulk_jobs()
            async with asyncio.timeout(60):
                while not (await client.bulk_job(job.id).progress()).changed:
                    await asyncio.sleep(POLL)
            await mover.kill()
            await site.worker(moved)
            done = await client.bulk_job(job.id).wait(timeout=PATIENCE)
            assert (done.state, done.changed) == (BulkState.DONE, HELD)
            assert len(await client.bulk_jobs()) == 1
            handles = [client.handle(run.run_id) async for run in client.runs()]
            await completed(handles)
        for entries in await histories(url, handles):
            causes = [entry.cause for entry in entries]
            assert causes.count(Cause.MOVED) == 1, causes
            assert {entry.data_version for entry in entries if entry.data} == {1, 2}
