"""The store: every port, for one event loop."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from workflow_ray.errors import StoreInUse
from workflow_ray.records import (
    Arrivals,
    Event,
    Fence,
    HistoryEntry,
    OutboxEntry,
    Position,
    Record,
    Role,
    RunId,
    SetAside,
    Shared,
    Timeout,
    TimeoutKey,
    Topic,
)
from workflow_ray_adapters.memory.records import Records


class MemoryStore(Records):
    """A Store without a file or a server, for one event loop.

    It is the reference for the docstrings of the ports. It can be used for the records alone or the
    events alone: `receive` finds no records then.
    """

    def delayed(self) -> list[OutboxEntry]:
        """Return the events that are not due yet, the next one first. For test kits."""
        return self._contents.outbox.delayed(self._now())

    def exists(self, run_id: RunId) -> bool:
        """Whether a run exists. For test kits."""
        return self._contents.runs.get(run_id) is not None

    def stored(self, run_id: RunId) -> Record:
        """Return a run that exists. For test kits."""
        record = self._contents.runs.get(run_id)
        assert record is not None, "only runs that exist have events, timeouts and waits"
        return record

    def paused(self, workflow: str) -> list[tuple[Record, Sequence[HistoryEntry]]]:
        """Return the workflow's paused runs, each with the entries of its visit after the first.
        For test kits.
        """
        return self._contents.runs.paused(workflow)

    def stored_positions(self, group: str) -> list[Position]:
        """Return the group's positions. For test kits."""
        return self._contents.positions.of(group)

    def pending_timeouts(self) -> list[Timeout]:
        """Return the timeouts that are not completed, the next one first. For test kits."""
        return self._contents.timeouts.pending()

    def to_retry(self) -> list[SetAside]:
        """Return the entries set aside that are to be tried again, the next one first. For test
        kits.
        """
        return self._contents.set_asides.to_retry()

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
