"""Workflows under a clock that stands still: whole runs in microseconds, and nothing happens by
chance.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel

from workflow_ray.client import Client
from workflow_ray.client.inputs import checked_workflow
from workflow_ray.definition import Resource, Status, Workflow, by_name
from workflow_ray.definition.arguments import checked_time
from workflow_ray.definition.durations import Duration, seconds_of
from workflow_ray.errors import InvalidInput, NothingLeft, UnknownWorkflow
from workflow_ray.records import OutboxEntry, Record, Role, RunId, Version
from workflow_ray.roles.consumer import Consumer
from workflow_ray.runtime.deploying import deployed_here, merge
from workflow_ray.runtime.hosting import RoleProcess, role_process, roles_of
from workflow_ray.testing.clock import START, FakeClock
from workflow_ray_adapters.memory import MemoryStore

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class WorkflowTester:
    """Runs the real roles of the workflows on the memory adapter, in this event loop, while time
    stands still.

    A wait lets everything run that can run without time passing; when it hasn't come by then it
    raises NothingLeft, which says what is due when. `advance` lets time pass. A step that takes
    real time, in a thread or not, is waited for. What a role dies of, such as a resource that
    doesn't open, is raised by whatever waits next.

    resources: what to use in place of resources, by resource; the others are opened as usual.
    """

    def __init__(
        self,
        *workflows: Workflow[Any, Any],
        resources: Mapping[Resource[Any], object] | None = None,
        start: datetime = START,
    ) -> None:
        if not workflows:
            raise InvalidInput("workflows", "hand in at least one, as in WorkflowTester(orders)")
        self._workflows = by_name(workflows)
        self._resources = {} if resources is None else _checked_resources(resources)
        self._clock = FakeClock(checked_time("start", start))
        self._roles = _Roles(self._clock)
        self._store = _TestedStore(self._clock, self._roles, self._workflows)

    async def __aenter__(self) -> Self:
        described = [deployed_here(workflow) for workflow in self._workflows.values()]
        await merge(self._store, described)
        for role in roles_of(described):
            await self._start(role)
        try:
            await self.settle()
        except BaseException:
            await self._roles.abandon()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            await self._roles.leave()
        else:  # a step may be waiting for what the test will never do now
            await self._roles.abandon()

    @property
    def now(self) -> datetime:
        """The time that it is. UTC."""
        return self._clock.now()

    def client(self, workflow: Workflow[D, S]) -> Client[D, S]:
        """A client of one of the workflows under test. Raises UnknownWorkflow."""
        if self._workflows.get(checked_workflow(workflow).name) is not workflow:
            raise UnknownWorkflow(workflow.name, sorted(self._workflows))
        return Client(workflow, self._store, self._clock)

    async def advance(self, by: Duration) -> None:
        """Let time pass. What gets due on the way happens at its own time, in order.

        Args:
            by: Seconds, or a timedelta.

        Raises:
            InvalidInput: It is neither, or negative.
        """
        target = self.now + timedelta(seconds=seconds_of("by", by))
        while self.now < target:
            await self.settle()
            due = self._store.delayed()
            self._clock.jump(min([target, *(entry.due_at for entry in due[:1] if entry.due_at)]))
        await self.settle()

    async def settle(self) -> None:
        """Let everything run that can without time passing, until no step is being made.

        Raises what a role died of.
        """
        await self._roles.quiet()
        while await self._roles.progress():
            await self._roles.quiet()

    def due(self) -> list[str]:
        """What only time holds back, the next first, in words."""
        return self._store.due_in_words()

    async def _start(self, role: Role) -> None:
        fence = await self._store.acquire(role)
        self._roles.start(
            role,
            role_process(
                role,
                fence,
                list(self._workflows.values()),
                self._store,
                self._clock,
                self._resources,
            ),
        )


class _Roles:
    """The roles under test, as tasks of this event loop."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._stop = asyncio.Event()
        self._consumers: list[Consumer] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, role: Role, process: RoleProcess) -> None:
        if isinstance(process, Consumer):
            self._consumers.append(process)
        self._tasks.append(asyncio.create_task(process.run(self._stop), name=role.name))

    async def quiet(self) -> None:
        """Let everything run until all wait for time, or for a step that is being made.

        Raises what a role died of.
        """
        await self._clock.settle()
        for task in self._tasks:
            if task.done():
                await task

    async def progress(self) -> bool:
        """Wait until some step that is being made is done. False: there is none."""
        busy = [consumer.progress() for consumer in self._consumers if not consumer.idle]
        if busy:
            await _first(busy, self._tasks)
        return bool(busy)

    async def leave(self) -> None:
        """Let the roles finish what they have in hand. Raises what one died of."""
        self._stop.set()
        await asyncio.wait(self._tasks)
        for task in self._tasks:
            await task

    async def abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _TestedStore(MemoryStore):
    """A store in which a wait that time alone could end raises instead."""

    def __init__(
        self, clock: FakeClock, roles: _Roles, workflows: Mapping[str, Workflow[Any, Any]]
    ) -> None:
        super().__init__(clock)
        self._roles = roles
        self._workflows = workflows

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        await self._roles.quiet()
        while not (changed := await super().watch(seen, wait=0, at_rest=at_rest)):
            if not await self._roles.progress():
                raise NothingLeft(" and ".join(map(self._whereabouts, seen)), self.due_in_words())
            await self._roles.quiet()
        return changed

    def due_in_words(self) -> list[str]:
        return [self._in_words(entry) for entry in self.delayed()]

    def _in_words(self, entry: OutboxEntry) -> str:
        assert entry.event is not None, "timeouts are kept beside the records here"
        record = self._record(entry.event.run_id)
        due_at = entry.due_at or self._clock.now()
        wait = (due_at - self._clock.now()).total_seconds()
        return (
            f"{self._named(record, entry.event.status)}, again at {due_at:%Y-%m-%d %H:%M:%S} (in"
            f" {wait:g} s)"
        )

    def _whereabouts(self, run_id: RunId) -> str:
        record = self._record(run_id)
        return f"{self._named(record, record.status)}, {record.run_state.name}"

    def _named(self, record: Record, status: int) -> str:
        return (
            f"{record.workflow} {record.foreign_id!r} at"
            f" {self._workflows[record.workflow].status_of(status).name}"
        )

    def _record(self, run_id: RunId) -> Record:
        record = self._contents.runs.get(run_id)
        assert record is not None, "events and waits are about runs that are stored"
        return record


def _checked_resources(given: Mapping[Resource[Any], object]) -> dict[Resource[Any], object]:
    if not _is_a(given, Mapping) or not all(_is_a(key, Resource) for key in given):
        raise InvalidInput(
            "resources", "hand in values by resource, as in {warehouse: Warehouse()}"
        )
    return dict(given)


def _is_a(value: object, kind: type) -> bool:
    return isinstance(value, kind)


async def _first(
    calls: Sequence[Coroutine[Any, Any, bool]], others: Iterable[asyncio.Task[None]]
) -> None:
    """Wait until one of the calls or of the other tasks is done; the calls are ended then."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        await asyncio.wait({*tasks, *others}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
