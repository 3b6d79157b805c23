"""The store. Nothing in a method awaits between looking and changing: that makes each of them atomic in its event loop."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from uuid import uuid4

from workflow_ray.ports import Clock
from workflow_ray.records import (
    Committed,
    DeployedWorkflow,
    Deployment,
    Event,
    Fence,
    Fenced,
    GroupResult,
    HistoryEntry,
    OutboxEntry,
    Position,
    Received,
    Record,
    Role,
    RoleName,
    RunCount,
    RunId,
    RunQuery,
    Stored,
    Taken,
    Topic,
    Version,
    Write,
    WriteGroup,
    WriteResult,
    check_write,
)
from workflow_ray_adapters.memory.deployments import Deployments, Fences
from workflow_ray_adapters.memory.hints import Hints
from workflow_ray_adapters.memory.outbox import Outbox
from workflow_ray_adapters.memory.runs import Runs
from workflow_ray_adapters.memory.stream import Stream

T = TypeVar("T")

OUTBOX = RoleName("")  # the hint that any publisher waits for, beside the one that its own role was taken


class Contents:
    """What a store holds: everybody who opens it in this process shares it, each by a clock of its own."""

    def __init__(self) -> None:
        self.store_id = str(uuid4())
        self.runs = Runs()
        self.outbox = Outbox()
        self.stream = Stream()
        self.fences = Fences()
        self.deployments = Deployments(self.store_id)
        self.positions: dict[str, dict[int, int]] = {}
        self.writes = Hints[RunId]()
        self.arrivals = Hints[Topic]()
        self.publishing = Hints[RoleName]()


class MemoryStore:
    """ports.Store without a file or a server, for one event loop. The ports' docstrings hold; this is their reference.

    Used for the records alone or the events alone it works too: `receive` then finds no record.
    """

    def __init__(self, clock: Clock, contents: Contents | None = None) -> None:
        self._clock = clock
        self._contents = contents or Contents()

    @property
    def store_id(self) -> str:
        return self._contents.store_id

    def due(self) -> list[OutboxEntry]:
        """The events that only time holds back, the next one first. For test kits."""
        return self._contents.outbox.delayed(self._clock.now())

    # --- RecordStore -----------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        for group in groups:
            for write in group.writes:
                check_write(write)
        now = self._clock.now()
        return [self._commit(group, now) for group in groups]

    def _commit(self, group: WriteGroup, now: datetime) -> GroupResult:
        if group.fence and (current := self._contents.fences.epoch(group.fence.role)) != group.fence.epoch:
            return Fenced(group.fence.role, current)
        for position in group.positions:
            offsets = self._contents.positions.setdefault(position.group, {})
            offsets[position.partition] = max(position.offset, offsets.get(position.partition, 0))
        return Committed(tuple(self._make(write, now) for write in group.writes))

    def _make(self, write: Write, now: datetime) -> WriteResult:
        if answer := self._contents.runs.answer(write):
            return answer
        self._contents.runs.make(write, now)
        self._contents.writes.give([write.run_id])
        if write.events:
            self._contents.outbox.add(write, now)
            self._contents.publishing.give([OUTBOX])
        return Stored(write.run_id, write.version)

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        return [self._contents.runs.get(run_id) for run_id in run_ids]

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        return [self._contents.runs.latest(workflow, foreign_id) for foreign_id in foreign_ids]

    async def runs(self, query: RunQuery) -> list[Record]:
        return self._contents.runs.page(query)

    async def counts(self, workflow: str) -> list[RunCount]:
        return self._contents.runs.counts(workflow)

    async def history(self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000) -> list[HistoryEntry]:
        return self._contents.runs.history(run_id, after, limit)

    async def watch(self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False) -> list[Record]:
        return await self._contents.writes.poll(seen, lambda: self._contents.runs.newer(seen, at_rest), clock=self._clock, wait=wait)

    async def positions(self, group: str) -> list[Position]:
        offsets = self._contents.positions.get(group, {})
        return [Position(group, partition, offset) for partition, offset in sorted(offsets.items())]

    async def pending(self, fence: Fence, *, limit: int, wait: float, without: Sequence[tuple[Topic, int]] = ()) -> list[OutboxEntry]:
        left_out = frozenset(without)
        return await self._once_due(fence, wait, lambda: self._contents.outbox.peek(self._clock.now(), limit, left_out))

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        self._contents.fences.check(fence)
        self._contents.outbox.remove(ids)

    async def deployment(self) -> Deployment:
        return self._contents.deployments.current

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        return self._contents.deployments.deploy(expected, workflows)

    # --- EventStreamer and OutboxMover -----------------------------------------------------------

    async def send(self, events: Sequence[Event]) -> None:
        self._contents.stream.append(events)
        self._contents.arrivals.give({event.topic for event in events})

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, limit: int, wait: float) -> list[Received]:
        def look() -> list[Received]:
            return self._contents.stream.read(topic, offsets, limit, self._contents.runs)

        return await self._contents.arrivals.poll([topic], look, clock=self._clock, wait=wait)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return self._contents.stream.lag(topic, offsets)

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        def publish() -> int:
            events = [entry.event for entry in self._contents.outbox.pop(self._clock.now(), limit)]
            self._contents.stream.append(events)
            self._contents.arrivals.give({event.topic for event in events})
            return len(events)

        deadline, moved = self._clock.now() + timedelta(seconds=wait), 0
        while True:
            moved += await self._once_due(fence, (deadline - self._clock.now()).total_seconds(), publish)
            if self._clock.now() >= deadline:
                return moved

    async def _once_due(self, fence: Fence, wait: float, look: Callable[[], T]) -> T:
        """What `look` finds in the outbox, by a publisher that still holds its role when it looks."""

        def look_as_holder() -> T:
            self._contents.fences.check(fence)
            return look()

        keys, due = (OUTBOX, fence.role), self._contents.outbox.next_due
        return await self._contents.publishing.poll(keys, look_as_holder, clock=self._clock, wait=wait, due=due)

    # --- RoleScheduler ---------------------------------------------------------------------------

    async def take(self, role: Role) -> Taken:
        taken = self._contents.fences.take(role, self._contents.deployments.shards(role.group))
        self._contents.publishing.give([role.name])  # whoever held it before is told now, not when its wait is over
        return taken

    async def release(self, fence: Fence) -> None:
        self._contents.fences.release(fence)
