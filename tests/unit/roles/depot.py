"""A workflow whose runs rest, so that only bulk jobs and the test itself change them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Literal

import msgspec

from tests.unit.bench import AtWork, Bench
from tests.unit.parcels import Parcel, ParcelRun, Parcels, Stage, parcels
from workflow_ray import BulkJob, BulkProgress, Cause, Client, RunState, Trigger
from workflow_ray.client.bulk import BulkJobs
from workflow_ray.client.controls import control
from workflow_ray.client.writer import Writer
from workflow_ray.engine.control import Action
from workflow_ray.engine.next_version import Next
from workflow_ray.records import (
    GroupResult,
    Record,
    Role,
    RunId,
    RunQuery,
    WriteGroup,
    bulk_group,
    new_write_id,
)

GROUP = bulk_group("parcels")
PAGE = 10
RUNS = 35
SECOND = timedelta(seconds=1)


def resting() -> Parcels:
    """A workflow whose step is never run in these tests."""
    workflow = parcels()

    @workflow.step(Stage.NEW)
    async def pack(run: ParcelRun) -> Literal[Stage.DONE]:
        return Stage.DONE

    return workflow


class Depot(Bench):
    """Runs that only bulk jobs and the test itself change, in pages of PAGE."""

    def __init__(self) -> None:
        super().__init__(resting())
        self.parcels: Client[Parcel, Stage] = self.client(self.workflow)
        self.jobs = BulkJobs("parcels", Writer(self.store), self.clock)

    async def fill(self, count: int = RUNS) -> None:
        await self.parcels.trigger_many([Trigger(str(n), Parcel()) for n in range(count)])

    async def role(self) -> AtWork:
        return await self.start(Role(GROUP))

    async def begin(self, action: Action = Action.PAUSE, **filters: object) -> BulkJob:
        query = msgspec.structs.replace(RunQuery(workflow="parcels", limit=PAGE), **filters)
        return await self.jobs.start(control(action, "ann", "the bank is down"), query)

    async def records(self) -> list[Record]:
        return await self.store.runs(RunQuery(workflow="parcels", limit=10_000))

    async def states(self) -> Counter[RunState]:
        return Counter(record.run_state for record in await self.records())

    async def versions(self) -> Counter[int]:
        return Counter(record.version for record in await self.records())

    async def touch(self, run_id: RunId, run_state: RunState = RunState.RUNNING) -> None:
        """Write another version of a run, as a step does that ends just now."""
        (record,) = await self.store.lookup([run_id])
        assert record is not None
        write = Next(record, "step", new_write_id()).stay(Cause.STAY, run_state=run_state)
        await self.store.store([WriteGroup(writes=(write,))])

    def before_pages(self, act: Callable[[WriteGroup], "asyncio.Future[None] | None"]) -> None:
        """Do something before each page of the role is committed."""
        store = self.store.store

        async def stored(groups: Sequence[WriteGroup]) -> list[GroupResult]:
            for group in groups:
                if group.fence is not None and group.writes and (acting := act(group)):
                    await acting
            return await store(groups)

        self.store.store = stored  # type: ignore[method-assign]  # it wraps the method of this one store


def counts(progress: BulkProgress) -> tuple[int, int, int, int]:
    return progress.changed, progress.unchanged, progress.refused, progress.moved_on
