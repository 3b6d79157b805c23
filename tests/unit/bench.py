"""A workflow whose roles a test starts, stops and kills one by one, on stores that fail when asked
to.
"""

import asyncio
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from pydantic import BaseModel

from tests.unit.faulty_store import FaultyStore
from tests.unit.faulty_stream import FaultyStream
from tests.unit.parcels import Parcel
from workflow_ray import Client, Handle, Status, Workflow
from workflow_ray.ports import Store
from workflow_ray.records import (
    PUBLISHER,
    SWEEPER,
    Awaits,
    Cause,
    Event,
    Fence,
    Position,
    Role,
    RunId,
    RunState,
    Write,
    WriteGroup,
    consumer_group,
    new_write_id,
    status_topic,
    timeout_group,
)
from workflow_ray.roles.in_flight import InFlight
from workflow_ray.roles.observation import Observation
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.mixed import mixed
from workflow_ray.runtime.role_processes import run_role
from workflow_ray.testing import FakeClock

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class AtWork:
    """A role at work, as a task."""

    task: asyncio.Task[None]

    def __init__(self, role: Role, stop: asyncio.Event) -> None:
        self.role = role
        self.stop = stop
        self.lost = False

    async def leave(self) -> None:
        """Stop it and wait until it has gone. Raises what it died of."""
        self.stop.set()
        await self.task

    async def abandon(self) -> None:
        """Stop it without time left, and release its role: an orderly stop past its deadline."""
        self.stop.set()
        await asyncio.sleep(0)
        self.task.cancel()
        await asyncio.wait({self.task})

    async def lose(self) -> None:
        """End it because another holds its role, as a worker does; it is released."""
        self.lost = True
        await self.kill()

    async def kill(self) -> None:
        """What a dying process does to it: nothing more happens, nothing is released."""
        self.task.cancel()
        await asyncio.wait({self.task})


class Bench:
    """One workflow under a fake clock, and others beside it, for example those of its children.

    With `apart` the stream is kept in another store than the records.
    """

    def __init__(
        self,
        workflow: Workflow[Any, Any],
        *others: Workflow[Any, Any],
        apart: bool = False,
        clock: FakeClock | None = None,
    ) -> None:
        self.workflow = workflow
        self.workflows = (workflow, *others)
        self.clock = clock or FakeClock()
        self.store = FaultyStore(self.clock)
        self.stream = FaultyStream(self.clock)  # used with `apart` only
        self.observation = Observation()
        self.in_flight = InFlight()
        self.whole: Store = mixed(self.store, self.stream, None) if apart else self.store
        self._at_work: list[AtWork] = []

    async def __aenter__(self) -> Self:
        await merge(self.whole, list(map(describe_here, self.workflows)))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for at_work in self._at_work:
            await at_work.kill()

    def client(self, workflow: Workflow[D, S]) -> Client[D, S]:
        return Client(workflow, self.store, self.clock)

    async def publisher(self) -> AtWork:
        return await self.start(Role(PUBLISHER))

    async def consumer(self, status: Status) -> AtWork:
        return await self.start(Role(consumer_group(self.workflow.name, status.value)))

    async def all_consumers(self) -> list[AtWork]:
        """Start the consumers of all statuses of all workflows."""
        return [
            await self.start(Role(consumer_group(workflow.name, status.value)))
            for workflow in self.workflows
            for status in workflow.checked().statuses_with_functions
        ]

    async def timeout_consumer(self, status: Status) -> AtWork:
        """Start the role that posts the timeouts of a status."""
        return await self.start(Role(timeout_group(self.workflow.name, status.value)))

    async def sweeper(self) -> AtWork:
        return await self.start(Role(SWEEPER))

    async def pass_time(self, seconds: float = 0.0) -> None:
        """Let all run that can, and time pass."""
        await self.clock.advance(timedelta(seconds=seconds))

    async def causes(self, run_id: RunId) -> list[Cause]:
        return [entry.cause for entry in await self.store.history(run_id)]

    async def position(self, status: Status) -> dict[int, int]:
        """The offset of each partition that has one."""
        return {row.partition: row.offset for row in await self.rows(status) if row.offset}

    async def rows(self, status: Status) -> list[Position]:
        """The rows of all partitions that were ever claimed."""
        return await self.whole.positions(consumer_group(self.workflow.name, status.value))

    async def ends(self, status: Status) -> list[int]:
        """The end of each partition's log."""
        ends = await self.whole.ends(
            status_topic(self.workflow.name, status.value), range(self.workflow.partitions)
        )
        return [end for _, end in sorted(ends.items())]

    async def partition(self, run_id: RunId) -> int:
        (record,) = await self.store.lookup([run_id])
        assert record
        return record.partition

    async def scale(self, status: Status, *, shards: int) -> None:
        """Have so many roles share a status; the former ones are fenced off."""
        current, group = (
            await self.whole.deployment(),
            consumer_group(self.workflow.name, status.value),
        )
        scaled = [
            msgspec.structs.replace(workflow, scaled={**workflow.scaled, group: shards})
            for workflow in current.workflows
        ]
        await self.whole.deploy(current.version, scaled)

    async def received(self, status: Status) -> list[Event]:
        """All events of the status that the stream holds."""
        topic, partitions = (
            status_topic(self.workflow.name, status.value),
            range(self.workflow.partitions),
        )
        arrivals = await self.whole.receive(
            topic, dict.fromkeys(partitions, 0), reader="test", limit=100_000, wait=0
        )
        return [item.event for item in arrivals.events]

    async def cancel_from_outside(self, run_id: RunId) -> None:
        """What a client's cancel does: a write of somebody else, between a step's start and its
        end.
        """
        (record,) = await self.store.lookup([run_id])
        assert record
        write = Write(
            run_id=run_id,
            write_id=new_write_id(),
            expected=record.version,
            status=record.status,
            run_state=RunState.CANCELLED,
            visit=record.visit,
            cause=Cause.CANCEL,
            by="client",
            awaits=Awaits.NOBODY,
        )
        await self.store.store([WriteGroup(writes=(write,))])

    async def start(self, role: Role, fence: Fence | None = None) -> AtWork:
        """Run a role; with a fence, as whoever acquired it before."""
        stop = asyncio.Event()
        at_work = AtWork(role, stop)
        at_work.task = asyncio.create_task(self._work(at_work, fence), name=role.name)
        self._at_work.append(at_work)
        await self.clock.settle()
        return at_work

    async def _work(self, at_work: AtWork, acquired: Fence | None) -> None:
        """As a worker runs a role: it is released whatever it ends of, unless its process dies."""
        fence = acquired or await self.whole.acquire(at_work.role)
        try:
            await run_role(
                at_work.role,
                fence,
                self.workflows,
                self.whole,
                self.clock,
                at_work.stop,
                observation=self.observation,
                in_flight=self.in_flight,
            )
        finally:
            if at_work.stop.is_set() or at_work.lost or not _killed():
                await self.whole.release(fence)


def _killed() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def triggered(
    bench: Bench, workflow: Workflow[Parcel, S], *foreign_ids: str
) -> dict[str, Handle[Parcel, S]]:
    """New runs, by foreign id."""
    client = bench.client(workflow)
    return {foreign_id: await client.trigger(foreign_id, Parcel()) for foreign_id in foreign_ids}
