"""A workflow with flow control, whose steps end when the test says so."""

import asyncio
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec
from pydantic import BaseModel

from tests.unit.bench import AtWork, Bench
from workflow_ray import (
    Client,
    FlowControl,
    Pause,
    Repeat,
    Retry,
    Run,
    Status,
    Stay,
    Trigger,
    Workflow,
)
from workflow_ray.records import (
    Awaits,
    FlowLimits,
    HistoryEntry,
    Record,
    Role,
    RunQuery,
    admission_group,
)


class Place(Status):
    QUEUED = 1
    DONE = 2
    LOST = 3


class Load(BaseModel):
    tenant: str = ""
    urgency: int = 0


Unloaded: TypeAlias = Literal[Place.DONE, Place.LOST] | Pause | Repeat | Stay
LoadRun: TypeAlias = Run[Load, Place]
Loads: TypeAlias = Workflow[Load, Place]
Flow: TypeAlias = FlowControl[Load, Place]


class Yard(Bench):
    """Runs at QUEUED, where `flow` orders them. A step ends when `let_end` is called, with what the
    test says.
    """

    def __init__(self, flow: Flow | None, *, attempts: int = 3) -> None:
        self.running: dict[str, asyncio.Future[Unloaded]] = {}
        self.begun: list[str] = []  # foreign ids, in the order in which their steps began
        super().__init__(self._workflow(flow, attempts))
        self.loads: Client[Load, Place] = self.client(self.workflow)

    def _workflow(self, flow: Flow | None, attempts: int) -> Loads:
        workflow = Workflow("loads", Load, Place, partitions=2)

        @workflow.step(Place.QUEUED, flow=flow, retry=Retry(attempts=attempts, backoff=5, factor=1))
        async def unload(
            run: LoadRun,
        ) -> Literal[Place.DONE, Place.LOST] | Pause | Repeat | Stay:
            self.begun.append(run.foreign_id)
            ending: asyncio.Future[Unloaded] = asyncio.get_running_loop().create_future()
            self.running[run.foreign_id] = ending
            try:
                return await ending
            finally:
                del self.running[run.foreign_id]

        @workflow.callback(Place.QUEUED)
        async def note(run: LoadRun, urgency: int) -> Stay:
            run.data.urgency = urgency
            return Stay()

        return workflow

    async def work(self) -> AtWork:
        """Start all roles. Returns the one that admits runs."""
        await self.publisher()
        await self.consumer(Place.QUEUED)
        return await self.admission()

    async def admission(self) -> AtWork:
        return await self.start(Role(admission_group("loads")))

    async def arrive(self, tenants: Iterable[str], *, urgency: int = 0) -> list[str]:
        """Start a run for each tenant that is named. Returns their foreign ids."""
        loads = [Load(tenant=tenant, urgency=urgency) for tenant in tenants]
        known = len(await self.records())
        ids = [f"{load.tenant}-{known + at}" for at, load in enumerate(loads)]
        await self.loads.trigger_many(map(Trigger, ids, loads))
        await self.clock.settle()
        return ids

    async def let_end(self, *foreign_ids: str, result: Unloaded = Place.DONE) -> None:
        """End these running steps, or all of them, a moment later."""
        await self.pass_time(0.001)
        for foreign_id in foreign_ids or list(self.running):
            self.running[foreign_id].set_result(result)
        await self.clock.settle()

    async def fail(self, *foreign_ids: str) -> None:
        """Let these steps fail, or all of them, a moment later."""
        await self.pass_time(0.001)
        for foreign_id in foreign_ids or list(self.running):
            self.running[foreign_id].set_exception(ValueError("it is stuck"))
        await self.clock.settle()

    async def set_limits(self, limits: FlowLimits) -> None:
        deployment = await self.store.deployment()
        changed = [
            msgspec.structs.replace(each, limits={"QUEUED": limits})
            for each in deployment.workflows
        ]
        await self.store.deploy(deployment.version, changed)
        await self.clock.settle()

    async def records(self) -> list[Record]:
        return await self.store.runs(RunQuery(workflow="loads", limit=10_000))

    async def record(self, foreign_id: str) -> Record:
        (record,) = await self.store.latest("loads", [foreign_id])
        assert record is not None
        return record

    async def parked(self) -> list[str]:
        return [each.foreign_id for each in await self.records() if each.awaits is Awaits.PARKED]

    async def histories(self) -> list[list[HistoryEntry]]:
        return [await self.store.history(each.run_id) for each in await self.records()]
