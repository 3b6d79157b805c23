"""The store. Nothing in a method awaits between looking and changing: that makes each of them atomic in its event loop."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar
from uuid import uuid4

from workflow_ray.errors import StoreInUse
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
    Shared,
    Stored,
    Taken,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    Write,
    WriteGroup,
    WriteResult,
    check_write,
    status_topic,
)
from workflow_ray_adapters.memory.deployments import Deployments
from workflow_ray_adapters.memory.hints import Hints
from workflow_ray_adapters.memory.outbox import Outbox
from workflow_ray_adapters.memory.roles import Roles
from workflow_ray_adapters.memory.runs import Runs
from workflow_ray_adapters.memory.stream import Stream
from workflow_ray_adapters.memory.timeouts import Timeouts

T = TypeVar("T")

OUTBOX = RoleName("")  # the hint that any publisher waits for, beside the one that its own role was taken


class Contents:
    """What a store holds: everybody who opens it in this process shares it, each by a clock of its own."""

    def __init__(self, where: str = "memory:") -> None:
        self.where = where
        self.store_id = str(uuid4())
        self.served = False  # somebody has it open exclusively
        self.runs = Runs()
        self.outbox = Outbox()
        self.stream = Stream(where)
        self.timeouts = Timeouts()
        self.roles = Roles()
        self.deployments = Deployments(self.store_id)
        self.positions: dict[str, dict[int, int]] = {}
        self.writes = Hints[RunId]()
        self.arrivals = Hints[Topic]()
        self.publishing = Hints[RoleName]()
        self.timing = Hints[tuple[str, int]]()  # a workflow and a status of it


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

    def delayed(self) -> list[OutboxEntry]:
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
        if group.fence and (current := self._contents.roles.epoch(group.fence.role)) != group.fence.epoch:
            return Fenced(group.fence.role, current)
        for position in group.positions:
            offsets = self._contents.positions.setdefault(position.group, {})
            offsets[position.partition] = max(position.offset, offsets.get(position.partition, 0))
        results = tuple(self._make(write, now) for write in group.writes)
        for event in group.events:
            self._contents.outbox.add(event)
        if group.events or any(write.events for write in group.writes):
            self._contents.publishing.give([OUTBOX])
        return Committed(results)

    def _make(self, write: Write, now: datetime) -> WriteResult:
        if answer := self._contents.runs.answer(write):
            return answer
        self._contents.runs.make(write, now)
        self._contents.writes.give([write.run_id])
        self._contents.outbox.add_all(write, now)
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
        self._contents.roles.check(fence)
        self._contents.outbox.remove(ids)

    async def idle(self, workflow: str, statuses: Sequence[int], *, seconds: float, limit: int, after: RunId | None = None) -> list[Event]:
        since, awaited = self._clock.now() - timedelta(seconds=seconds), self._contents.outbox.awaited()
        records = self._contents.runs.unmoved(workflow, statuses, since, after)
        return [_awakening(record) for record in islice((record for record in records if record.run_id not in awaited), limit)]

    async def deployment(self) -> Deployment:
        return self._contents.deployments.current

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        return self._contents.deployments.deploy(expected, workflows)

    # --- EventStreamer and OutboxMover -----------------------------------------------------------

    @property
    def stream_id(self) -> str:
        return self._contents.store_id

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        self._contents.stream.prepare(topics)

    async def send(self, events: Sequence[Event]) -> None:
        self._contents.stream.append(events)
        self._contents.arrivals.give({event.topic for event in events})

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, limit: int, wait: float) -> list[Received]:
        def look() -> list[Received]:
            return self._contents.stream.read(topic, offsets, limit, self._contents.runs)

        return await self._contents.arrivals.poll([topic], look, clock=self._clock, wait=wait)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return self._contents.stream.lag(topic, offsets)

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return {partition: self._contents.stream.end(topic, partition) for partition in partitions}

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
            self._contents.roles.check(fence)
            return look()

        keys, due = (OUTBOX, fence.role), self._contents.outbox.next_due
        return await self._contents.publishing.poll(keys, look_as_holder, clock=self._clock, wait=wait, due=due)

    # --- TimeoutStore ----------------------------------------------------------------------------

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        self._contents.timeouts.add(timeouts)
        self._contents.timing.give({(timeout.workflow, timeout.status) for timeout in timeouts})

    async def due(self, workflow: str, status: int, partitions: Collection[int], *, limit: int, wait: float) -> list[Timeout]:
        def look() -> list[Timeout]:
            return self._contents.timeouts.due(workflow, status, partitions, self._clock.now(), limit)

        def next_due() -> datetime | None:
            return self._contents.timeouts.next_due(workflow, status, partitions)

        return await self._contents.timing.poll([(workflow, status)], look, clock=self._clock, wait=wait, due=next_due)

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        self._contents.timeouts.complete(keys)

    # --- RoleScheduler ---------------------------------------------------------------------------

    async def take(self, role: Role) -> Taken:
        taken = self._contents.roles.take(role, self._contents.deployments.shards)
        self._contents.publishing.give([role.name])  # whoever held it before is told now, not when its wait is over
        return taken

    async def release(self, fence: Fence) -> None:
        self._contents.roles.release(fence)

    async def share(self, member: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float) -> Shared:
        if self._contents.served:
            raise StoreInUse(self._contents.where, "a process has it to itself: it gives out the roles, and none are shared.")
        now = self._clock.now()
        until = now + timedelta(seconds=lease)
        shared = self._contents.roles.share(member, roles, held, self._contents.deployments.shards, now=now, until=until)
        self._contents.publishing.give(taken.fence.role for taken in shared.taken)
        return shared

    async def leave(self, member: str) -> None:
        self._contents.roles.leave(member)


def _awakening(record: Record) -> Event:
    """The event that the run's last write should have been followed by."""
    return Event(
        run_id=record.run_id,
        topic=status_topic(record.workflow, record.status),
        partition=record.partition,
        version=record.version,
        status=record.status,
    )
