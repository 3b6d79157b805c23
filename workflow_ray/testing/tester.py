"""Runs workflows in a test, by a clock that only the test moves."""

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
from workflow_ray.runtime.deploying import describe_here, merge
from workflow_ray.runtime.hosting import RoleProcess, role_process, roles_of
from workflow_ray.testing.clock import START, FakeClock
from workflow_ray_adapters.memory import MemoryStore

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class WorkflowTester:
    """Runs the roles of workflows on the memory adapter, in the test's event loop.

    Time stands still until the test calls `advance`. A call that waits, such as `handle.wait`, runs
    everything that can run without time passing. If that is not enough, it raises NothingLeft,
    which says what is due and when. Steps that take real time, in threads too, are waited for.
    The next call that waits raises the error of a role that has crashed, for example because a
    resource could not be opened.

    Args:
        workflows: The workflows to run, at least one.
        resources: Objects to use in place of resources. The other resources are opened as usual.
        start: The time at the beginning, with a timezone.

    Raises:
        InvalidInput: No workflow is given, or an argument can't be used.
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
        described = [describe_here(workflow) for workflow in self._workflows.values()]
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
            await self._roles.finish()
        else:  # a step may wait for something that the test does not do any more
            await self._roles.abandon()

    @property
    def now(self) -> datetime:
        """The current time, in UTC."""
        return self._clock.now()

    def client(self, workflow: Workflow[D, S]) -> Client[D, S]:
        """Make a client of one of the workflows.

        Raises:
            UnknownWorkflow: The tester does not run this workflow.
        """
        if self._workflows.get(checked_workflow(workflow).name) is not workflow:
            raise UnknownWorkflow(workflow.name, sorted(self._workflows))
        return Client(workflow, self._store, self._clock)

    async def advance(self, by: Duration) -> None:
        """Let time pass. Everything that becomes due meanwhile happens at its own time, in order.

        Args:
            by: Seconds, or a timedelta.

        Raises:
            InvalidInput: `by` is neither seconds nor a timedelta, or is negative.
        """
        target = self.now + timedelta(seconds=seconds_of("by", by))
        while self.now < target:
            await self.settle()
            due = self._store.delayed()
            self._clock.jump(min([target, *(entry.due_at for entry in due[:1] if entry.due_at)]))
        await self.settle()

    async def settle(self) -> None:
        """Run everything that can run without time passing, and wait for the steps that run.

        Raises the error of a role that has crashed.
        """
        await self._roles.settle()
        while await self._roles.wait_for_step():
            await self._roles.settle()

    def due(self) -> list[str]:
        """List what is due later, the next one first, as text."""
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
    """Runs the roles as tasks of this event loop."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._stop = asyncio.Event()
        self._consumers: list[Consumer] = []
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, role: Role, process: RoleProcess) -> None:
        if isinstance(process, Consumer):
            self._consumers.append(process)
        self._tasks.append(asyncio.create_task(process.run(self._stop), name=role.name))

    async def settle(self) -> None:
        """Run everything until it waits for time, or for a step that takes real time.

        Raises the error of a role that has crashed.
        """
        while await self._settle_once():
            pass
        for task in self._tasks:
            if task.done():
                await task

    async def _settle_once(self) -> bool:
        """Whether a step's result was committed, perhaps in the last turn: then more may run."""
        results = [consumer.progress() for consumer in self._consumers]
        await self._clock.settle()
        return any(result.is_set() for result in results)

    async def wait_for_step(self) -> bool:
        """Wait until one of the running steps has ended. Returns False if no step runs."""
        busy = [one.progress().wait() for one in self._consumers if not one.idle]
        if busy:
            await _first(busy, self._tasks)
        return bool(busy)

    async def finish(self) -> None:
        """Let the roles finish their work and end. Raises the error of a role that has crashed."""
        self._stop.set()
        await asyncio.wait(self._tasks)
        for task in self._tasks:
            await task

    async def abandon(self) -> None:
        """Cancel the roles, whatever they are doing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _TestedStore(MemoryStore):
    """A store that raises NothingLeft where a call would wait for time to pass."""

    def __init__(
        self, clock: FakeClock, roles: _Roles, workflows: Mapping[str, Workflow[Any, Any]]
    ) -> None:
        super().__init__(clock)
        self._roles = roles
        self._workflows = workflows

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        await self._roles.settle()
        while not (changed := await super().watch(seen, wait=0, at_rest=at_rest)):
            if not await self._roles.wait_for_step():
                raise NothingLeft(" and ".join(map(self._position, seen)), self.due_in_words())
            await self._roles.settle()
        return changed

    def due_in_words(self) -> list[str]:
        """List what is due later, the next one first, as text."""
        return [self._in_words(entry) for entry in self.delayed()]

    def _in_words(self, entry: OutboxEntry) -> str:
        assert entry.event is not None, "this store keeps timeouts, so none is in the outbox"
        record = self._record(entry.event.run_id)
        due_at = entry.due_at or self._clock.now()
        wait = (due_at - self._clock.now()).total_seconds()
        return (
            f"{self._named(record, entry.event.status)}, again at {due_at:%Y-%m-%d %H:%M:%S} (in"
            f" {wait:g} s)"
        )

    def _position(self, run_id: RunId) -> str:
        record = self._record(run_id)
        return f"{self._named(record, record.status)}, {record.run_state.name}"

    def _named(self, record: Record, status: int) -> str:
        return (
            f"{record.workflow} {record.foreign_id!r} at"
            f" {self._workflows[record.workflow].status_of(status).name}"
        )

    def _record(self, run_id: RunId) -> Record:
        record = self._contents.runs.get(run_id)
        assert record is not None, "only stored runs have events or are waited for"
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
    """Wait until one of the calls or of the other tasks is done, then cancel the other calls."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        await asyncio.wait({*tasks, *others}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
