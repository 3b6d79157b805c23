"""Deletion and retention leave each run whole or gone, whatever becomes of the worker that does it.

On SQLite the worker is started again. On PostgreSQL another one takes over.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from tests.end_to_end.patients import Patient, PatientStatus, patients
from tests.end_to_end.workers import AT_ONCE, POLL, WorkerProcess, workers
from workflow_ray import Client, Handle, RunState, Trigger, TriggerOutcome, connect
from workflow_ray.client import Entry
from workflow_ray.errors import DataDeleted, RunNotFound
from workflow_ray.records import Cause

T = TypeVar("T")
LEASE = 2.0
DELETED = 400
REMOVED = 1500
pytestmark = pytest.mark.timeout(240)


@dataclass
class Site:
    """Workers on one store, and a client."""

    url: str
    some: list[WorkerProcess]
    client: Client[Patient, PatientStatus]
    journal: Path

    @asynccontextmanager
    async def all_killed(self) -> AsyncGenerator[Client[Patient, PatientStatus]]:
        """Kill the workers, whichever of them holds the role, and yield a client that reads what
        they have left. At the end one starts again.
        """
        for worker in self.some:
            await worker.kill()
        async with connect(patients, records=self.url) as client:
            yield client
        await self.some[-1].start()

    async def states(self) -> Counter[RunState]:
        found = Counter[RunState]()
        for (_, run_state), runs in (await self.client.counts()).items():
            found[run_state] += runs
        return found

    async def until(self, reached: Callable[[Counter[RunState]], bool]) -> Counter[RunState]:
        async with asyncio.timeout(120):
            while not reached(found := await self.states()):
                await asyncio.sleep(POLL)
        return found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.server)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/records.db"
    return str(request.getfixturevalue("postgres_url"))


@asynccontextmanager
async def site(url: str, folder: Path) -> AsyncGenerator[Site]:
    count = 1 if url.startswith("sqlite") else 2
    journal = folder / "journal"
    async with (
        workers(count, journal, LEASE, url, module="tests.end_to_end.patients") as some,
        connect(patients, records=url) as client,
    ):
        yield Site(url, some, client, journal)


async def of_each(
    items: Sequence[T], read: Callable[[T], Awaitable[None]], at_once: int = AT_ONCE
) -> None:
    for first in range(0, len(items), at_once):
        await asyncio.gather(*map(read, items[first : first + at_once]))


def is_cleared(entry: Entry[Patient, PatientStatus]) -> bool:
    try:
        return entry.data is None
    except DataDeleted:
        return True


async def test_data_is_deleted_whole_although_the_worker_is_killed(
    url: str, tmp_path: Path
) -> None:
    async with site(url, tmp_path) as there:
        client = there.client
        handles = [
            handle
            for handle, _ in await client.trigger_many(
                [Trigger(f"p{n}", Patient()) for n in range(DELETED)]
            )
        ]
        await there.until(lambda states: states[RunState.COMPLETED] == DELETED)
        job = await there.client.bulk("delete_data", by="ann")
        await there.until(lambda states: states[RunState.DATA_DELETED] > DELETED // 10)
        seen = Counter[RunState]()

        async def check(handle: Handle[Patient, PatientStatus]) -> None:
            run, history = await handle.get(), await handle.history()
            seen[run.run_state] += 1
            is_deleted = run.run_state is RunState.DATA_DELETED
            assert run.data.name == ("" if is_deleted else "Jane Doe, treated")
            assert [is_cleared(entry) for entry in history[:3]] == (
                [True] * 3 if is_deleted else [False, False, True]
            ), history

        async with there.all_killed() as reader:
            await of_each([reader.handle(handle.run_id) for handle in handles], check)
        assert 0 < seen[RunState.DATA_DELETED] < DELETED, seen
        await job.wait(timeout=60)
        await there.until(lambda states: states[RunState.DATA_DELETED] == DELETED)
        await of_each(handles, check)

        async def check_causes(handle: Handle[Patient, PatientStatus]) -> None:
            causes = [entry.cause for entry in await handle.history()]
            deleted = [Cause.DELETION_REQUESTED, Cause.DATA_DELETED]
            assert causes == [Cause.TRIGGER, Cause.STEP, Cause.STEP, *deleted]

        await of_each(handles, check_causes)
        assert set(there.journal.read_text().split()) == {f"p{n}" for n in range(DELETED)}
        assert [letter async for letter in there.client.dead_letters()] == []


async def test_runs_are_removed_whole_although_the_worker_is_killed(
    url: str, tmp_path: Path
) -> None:
    async with site(url, tmp_path) as there:
        client = there.client
        (kept, _), *_ = await client.trigger_many([Trigger("kept", Patient())])
        triggers: list[Trigger[Patient, PatientStatus]] = [
            Trigger(f"p{n}", Patient(leaves=True), idempotency_key=f"key {n}")
            for n in range(REMOVED)
        ]
        handles = [handle for handle, _ in await client.trigger_many(triggers)]
        await kept.wait(timeout=60)
        await there.until(lambda states: sum(states.values()) < REMOVED)
        left = 0

        async def check(handle: Handle[Patient, PatientStatus]) -> None:
            nonlocal left
            try:
                run = await handle.get()
            except RunNotFound:
                return
            left += 1
            versions = [entry.version for entry in await handle.history()]
            assert versions == [*range(1, run.version + 1)]

        async with there.all_killed() as reader:
            await of_each([reader.handle(handle.run_id) for handle in handles], check)
        assert 0 < left < REMOVED, left
        await there.until(lambda states: states == {RunState.COMPLETED: 1})
        assert len(await kept.history()) == 3
        (first, outcome), *_ = await client.trigger_many(triggers[:1])
        assert (first.run_id, outcome) == (handles[0].run_id, TriggerOutcome.KNOWN)
        with pytest.raises(RunNotFound):
            await first.history()
