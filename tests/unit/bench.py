"""A workflow whose roles a test starts, stops and kills one by one, on stores that fail when told to."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from tests.unit.parcels import Parcel
from workflow_ray import Client, Handle, Status, Workflow
from workflow_ray.errors import StoreUnavailable, WriteRejected
from workflow_ray.ports import Clock
from workflow_ray.records import (
    PUBLISHER,
    Cause,
    GroupResult,
    Role,
    RunId,
    RunState,
    Taken,
    Write,
    WriteGroup,
    consumer_group,
    new_write_id,
)
from workflow_ray.roles.consumer import Consumer, StepWork
from workflow_ray.roles.publisher import SendingPublisher
from workflow_ray.runtime.hosting import RoleProcess, deployed_here, merge, play
from workflow_ray.testing import FakeClock
from workflow_ray_adapters.memory import MemoryStore

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class FaultyStore(MemoryStore):
    """ports.Store as the memory adapter has it, but for what a test breaks."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.groups: list[WriteGroup] = []  # as they were sent, repeats too
        self.lose_answers = 0  # so many of the next ones to roles
        self.lose_answers_to_clients = 0
        self.rejected: Callable[[Write], bool] = lambda write: False

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        if any(self.rejected(write) for group in groups for write in group.writes):
            raise WriteRejected("it doesn't fit")
        answers = await super().store(groups)
        self.groups += groups
        self._lose(to_role=any(group.fence for group in groups))
        return answers

    def _lose(self, *, to_role: bool) -> None:
        if to_role and self.lose_answers:
            self.lose_answers -= 1
        elif not to_role and self.lose_answers_to_clients:
            self.lose_answers_to_clients -= 1
        else:
            return
        raise StoreUnavailable("the store", "the connection broke after the commit")


class Played:
    """A role at work, as a task."""

    def __init__(self, role: Role, task: asyncio.Task[None], stop: asyncio.Event) -> None:
        self.role, self.task, self.stop = role, task, stop

    async def leave(self) -> None:
        """Stop it and wait until it has gone. Raises what it died of."""
        self.stop.set()
        await self.task

    async def kill(self) -> None:
        """What a dying process does to it: nothing more happens, nothing is released."""
        self.task.cancel()
        await asyncio.wait({self.task})


class Bench:
    """One workflow under a fake clock. With `apart` the stream is kept in another store than the records."""

    def __init__(self, workflow: Workflow[Any, Any], *, apart: bool = False, clock: FakeClock | None = None) -> None:
        self.workflow = workflow
        self.clock = clock or FakeClock()
        self.store = FaultyStore(self.clock)
        self.stream = FaultyStore(self.clock) if apart else self.store
        self._played: list[Played] = []

    async def __aenter__(self) -> Self:
        await merge(self.store, [deployed_here(self.workflow)])
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for played in self._played:
            await played.kill()

    def client(self, workflow: Workflow[D, S]) -> Client[D, S]:
        return Client(workflow, self.store, self.clock)

    async def publisher(self) -> Played:
        return await self._play(Role(PUBLISHER))

    async def consumer(self, status: Status) -> Played:
        return await self._play(Role(consumer_group(self.workflow.name, status.value)))

    async def pass_time(self, seconds: float = 0.0) -> None:
        """Let all run that can, and time pass."""
        await self.clock.advance(timedelta(seconds=seconds))

    async def causes(self, run_id: RunId) -> list[Cause]:
        return [entry.cause for entry in await self.store.history(run_id)]

    async def position(self, status: Status) -> dict[int, int]:
        """The offset of each partition that has one."""
        positions = await self.store.positions(consumer_group(self.workflow.name, status.value))
        return {position.partition: position.offset for position in positions}

    async def cancel_from_outside(self, run_id: RunId) -> None:
        """What a client's cancel does: a write of somebody else, between a step's start and its end."""
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
        )
        await self.store.store([WriteGroup(writes=(write,))])

    async def _play(self, role: Role) -> Played:
        stop = asyncio.Event()
        played = Played(role, asyncio.create_task(self._work(role, stop), name=role.name), stop)
        self._played.append(played)
        await self.clock.settle()
        return played

    async def _work(self, role: Role, stop: asyncio.Event) -> None:
        if self.stream is self.store:
            return await play(role, [self.workflow], self.store, self.clock, stop)
        taken = await self.store.take(role)
        await self._process_apart(role, taken).run(stop)
        return await self.store.release(taken.fence)

    def _process_apart(self, role: Role, taken: Taken) -> RoleProcess:
        if role.group == PUBLISHER:
            return SendingPublisher(taken.fence, self.store, self.stream, self.clock)
        steps = self.workflow.checked().steps
        status = next(step.status for step in steps if role.group == consumer_group(self.workflow.name, step.status.value))
        return Consumer(StepWork(role, self.workflow, status, {}), taken, self.store, self.stream, self.clock)


async def triggered(bench: Bench, workflow: Workflow[Parcel, S], *foreign_ids: str) -> dict[str, Handle[Parcel, S]]:
    """New runs, by foreign id."""
    return {foreign_id: await bench.client(workflow).trigger(foreign_id, Parcel()) for foreign_id in foreign_ids}
