"""The store: every port, for one event loop."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from workflow_ray.errors import StoreInUse
from workflow_ray.ports import Clock, SystemClock
from workflow_ray.records import (
    Activity,
    Arrivals,
    DeployedWorkflow,
    Deployment,
    Event,
    Fence,
    GroupResult,
    HistoryEntry,
    OutboxEntry,
    Position,
    Record,
    Role,
    RunCount,
    RunId,
    RunQuery,
    Shared,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    Waiting,
    WaitingQuery,
    WriteGroup,
    check_write,
)
from workflow_ray_adapters.memory.contents import OUTBOX, Contents

T = TypeVar("T")


class MemoryStore:
    """A Store without a file or a server, for one event loop.

    It is the reference for the docstrings of the ports. It can be used for the records alone or the
    events alone: `receive` finds no records then.
    """

    def __init__(self, clock: Clock, contents: Contents | None = None) -> None:
        self._clock = clock
        self._contents = contents or Contents()

    @property
    def store_id(self) -> str:
        return self._contents.store_id

    def delayed(self) -> list[OutboxEntry]:
        """Return the events that are not due yet, the next one first. For test kits."""
        return self._contents.outbox.delayed(self._now())

    def _now(self) -> datetime:
        """Return the time by the store's clock.

        That is the host's, unless it was given another clock than SystemClock.
        """
        return datetime.now(UTC) if isinstance(self._clock, SystemClock) else self._clock.now()

    def _seconds_until(self, due_at: datetime | None) -> float:
        return math.inf if due_at is None else (due_at - self._now()).total_seconds()

    # --- RecordStore ----------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        for group in groups:
            for write in group.writes:
                check_write(write)
        now = self._now()
        return [self._contents.commit(group, now) for group in groups]

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        return self._contents.runs.lookup(run_ids)

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        return [self._contents.runs.latest(workflow, foreign_id) for foreign_id in foreign_ids]

    async def runs(self, query: RunQuery) -> list[Record]:
        return self._contents.runs.page(query)

    async def counts(self, workflow: str) -> list[RunCount]:
        return self._contents.runs.counts(workflow)

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> list[HistoryEntry]:
        return self._contents.runs.history(run_id, after, limit)

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        return await self._contents.writes.poll(
            seen, lambda: self._contents.runs.newer(seen, at_rest), clock=self._clock, wait=wait
        )

    async def positions(self, group: str) -> list[Position]:
        return self._contents.positions.of(group)

    async def pending(
        self,
        fence: Fence,
        *,
        limit: int,
        wait: float,
        without: Sequence[tuple[Topic, int]] = (),
        timeouts_only: bool = False,
    ) -> list[OutboxEntry]:
        left_out = frozenset(without)

        def look() -> list[OutboxEntry]:
            return self._contents.outbox.peek(
                self._now(), limit, left_out, timeouts_only=timeouts_only
            )

        return await self._once_due(fence, wait, look)

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        self._contents.roles.check(fence)
        self._contents.outbox.remove(ids)

    async def waiting(self, query: WaitingQuery) -> Waiting:
        return self._contents.waiting(query, self._now())

    async def activity(self, *, limit: int = 500) -> Activity:
        now = self._now()
        return Activity(
            now=now,
            is_served=self._contents.served,
            holders=self._contents.roles.holders(now),
            delayed=tuple(self._contents.outbox.delayed(now)[:limit]),
        )

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        def is_newer(deployment: Deployment) -> bool:
            return newer_than is None or deployment.version > newer_than

        contents = self._contents
        keys = [contents.store_id]
        return await contents.deploying.poll(
            keys,
            lambda: contents.deployments.current,
            clock=self._clock,
            wait=wait,
            enough=is_newer,
        )

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        return self._contents.deploy(expected, workflows)

    # --- EventStreamer, OutboxMover and Trimmer -------------------------------------------------

    @property
    def stream_id(self) -> str:
        return self._contents.store_id

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        self._contents.stream.prepare(topics)

    async def send(self, events: Sequence[Event]) -> None:
        self._contents.append(events)

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        def look() -> Arrivals:
            return self._contents.stream.read(topic, offsets, limit, self._contents.runs)

        def has_news(arrivals: Arrivals) -> bool:
            return bool(arrivals.events or arrivals.lost)

        return await self._contents.arrivals.poll(
            [topic], look, clock=self._clock, wait=wait, enough=has_news
        )

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return self._contents.stream.lag(topic, offsets)

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return {partition: self._contents.stream.end(topic, partition) for partition in partitions}

    async def trim(
        self, fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int
    ) -> int:
        # 0: the role is unknown here, because the records are in another store
        if self._contents.roles.epoch(fence.role):
            self._contents.roles.check(fence)
        return self._contents.stream.trim(topic, offsets, limit)

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        def publish() -> int:
            events = self._contents.outbox.pop_events(self._now(), limit)
            self._contents.append(events)
            return len(events)

        deadline, moved = self._clock.monotonic() + wait, 0
        while True:
            moved += await self._once_due(fence, deadline - self._clock.monotonic(), publish)
            if self._clock.monotonic() >= deadline:
                return moved

    async def _once_due(self, fence: Fence, wait: float, look: Callable[[], T]) -> T:
        """Return what `look` finds in the outbox once an entry is due.

        The publisher must still hold its role then.
        """

        def look_as_holder() -> T:
            self._contents.roles.check(fence)
            return look()

        def due_in() -> float:
            return self._seconds_until(self._contents.outbox.next_due())

        keys = (OUTBOX, fence.role)
        return await self._contents.publishing.poll(
            keys, look_as_holder, clock=self._clock, wait=wait, due_in=due_in
        )

    # --- TimeoutStore ---------------------------------------------------------------------------

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        self._contents.create(timeouts)

    async def due(
        self,
        workflow: str,
        status: int,
        partitions: Collection[int],
        *,
        limit: int,
        wait: float,
        after: Timeout | None = None,
    ) -> list[Timeout]:
        def look() -> list[Timeout]:
            return self._contents.timeouts.due(
                workflow, status, partitions, self._now(), limit, after
            )

        def due_in() -> float:
            return self._seconds_until(
                self._contents.timeouts.next_due(workflow, status, partitions, after)
            )

        return await self._contents.timing.poll(
            [(workflow, status)], look, clock=self._clock, wait=wait, due_in=due_in
        )

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        self._contents.timeouts.complete(keys, self._now())

    async def trim_timeouts(self, *, completed: float, limit: int) -> int:
        return self._contents.timeouts.trim(self._now() - timedelta(seconds=completed), limit)

    # --- RoleScheduler --------------------------------------------------------------------------

    async def acquire(self, role: Role) -> Fence:
        fence = self._contents.roles.acquire(role, self._contents.deployments.shards)
        # The earlier holder gets RoleLost now, and not when its wait is over.
        self._contents.publishing.notify([role.name])
        return fence

    async def release(self, fence: Fence) -> None:
        self._contents.release(fence)

    async def share(
        self, worker: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float
    ) -> Shared:
        if self._contents.served:
            raise StoreInUse(
                self._contents.where,
                "a process has it exclusively: it gives out the roles, and none are shared.",
            )
        now = self._now()
        until = now + timedelta(seconds=lease)
        shared = self._contents.roles.share(
            worker, roles, held, self._contents.deployments.shards, now=now, until=until
        )
        self._contents.publishing.notify(fence.role for fence in shared.acquired)
        return shared

    async def leave(self, worker: str) -> None:
        self._contents.roles.leave(worker)
