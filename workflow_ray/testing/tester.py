"""Workflows under a clock that stands still: whole runs in microseconds, and nothing happens by chance."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from workflow_ray.client import Client
from workflow_ray.definition import Resource, Status, Workflow
from workflow_ray.errors import NothingLeft, UnknownWorkflow
from workflow_ray.records import OutboxEntry, Record, Role, RunId, Version
from workflow_ray.roles.consumer import Consumer
from workflow_ray.runtime.hosting import deployed_here, merge, role_process, roles_of
from workflow_ray.testing.clock import START, FakeClock
from workflow_ray_adapters.memory import MemoryStore

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class WorkflowTester:
    """Runs the real roles of the workflows on the memory adapter, in this event loop, while time stands still.

    A wait lets everything run that can run without time passing; when it hasn't come by then it raises NothingLeft, which
    says what is due when. `advance` lets time pass.

    resources: what to use in place of resources, by resource; the others are opened as usual.
    """

    def __init__(
        self, *workflows: Workflow[Any, Any], resources: Mapping[Resource[Any], object] | None = None, start: datetime = START
    ) -> None:
        self._workflows = {workflow.name: workflow for workflow in workflows}
        self._resources = dict(resources or {})
        self._clock = FakeClock(start)
        self._store = _TestedStore(self._clock, self)
        self._stop = asyncio.Event()
        self._consumers: list[Consumer] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        described = [deployed_here(workflow) for workflow in self._workflows.values()]
        await merge(self._store, described)
        for role in roles_of(described):
            await self._start(role)
        await self.settle()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks, return_exceptions=error is not None)

    @property
    def now(self) -> datetime:
        """The time that it is. UTC."""
        return self._clock.now()

    def client(self, workflow: Workflow[D, S]) -> Client[D, S]:
        """A client of one of the workflows under test. Raises UnknownWorkflow."""
        if self._workflows.get(workflow.name) is not workflow:
            raise UnknownWorkflow(workflow.name, sorted(self._workflows))
        return Client(workflow, self._store, self._clock)

    async def advance(self, by: timedelta) -> None:
        """Let time pass. What gets due on the way happens at its own time, in order."""
        target = self.now + by
        while self.now < target:
            await self.settle()
            due = self._store.due()
            self._clock.jump(min([target, *(entry.due_at for entry in due[:1] if entry.due_at)]))
        await self.settle()

    async def settle(self) -> None:
        """Let everything run that can without time passing; steps in threads too. Raises what a role died of."""
        while True:
            await self._clock.settle()
            for task in self._tasks:
                if task.done():
                    await task
            busy = [consumer.rest() for consumer in self._consumers if not consumer.idle]
            if not busy:
                return
            await _first(busy)

    def due(self) -> list[str]:
        """What only time holds back, the next first, in words."""
        return [self._described(entry) for entry in self._store.due()]

    async def _start(self, role: Role) -> None:
        taken = await self._store.take(role)
        process = role_process(role, taken, list(self._workflows.values()), self._store, self._clock, self._resources)
        if isinstance(process, Consumer):
            self._consumers.append(process)
        self._tasks.append(asyncio.create_task(process.run(self._stop), name=role.name))

    def _described(self, entry: OutboxEntry) -> str:
        record = self._store.record(entry.event.run_id)
        workflow = self._workflows[record.workflow]
        status = workflow.status_of(entry.event.status).name
        due_at = entry.due_at or self.now
        wait = (due_at - self.now).total_seconds()
        return f"{workflow.name} {record.foreign_id!r} at {status}, again at {due_at:%Y-%m-%d %H:%M:%S} (in {wait:g} s)"


class _TestedStore(MemoryStore):
    """A store in which a wait that time alone could end raises instead."""

    def __init__(self, clock: FakeClock, tester: WorkflowTester) -> None:
        super().__init__(clock)
        self._tester = tester

    async def watch(self, seen: Mapping[RunId, Version], *, wait: float) -> list[Record]:
        await self._tester.settle()
        changed = await super().watch(seen, wait=0)
        if not changed:
            raise NothingLeft(" and ".join(map(self._where, seen)), self._tester.due())
        return changed

    def record(self, run_id: RunId) -> Record:
        record = self._contents.runs.get(run_id)
        assert record is not None, "an event is committed with its record"
        return record

    def _where(self, run_id: RunId) -> str:
        record = self.record(run_id)
        status = self._tester._workflows[record.workflow].status_of(record.status).name
        return f"{record.workflow} {record.foreign_id!r}, {record.run_state.name} at {status}"


async def _first(calls: Sequence[Coroutine[Any, Any, None]]) -> None:
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
