"""The store: every port, each call a script."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import TypeVar

from workflow_ray.ports import Clock
from workflow_ray.records import (
    DeployedWorkflow,
    Deployment,
    Event,
    Fence,
    GroupResult,
    HistoryEntry,
    OutboxEntry,
    Position,
    Received,
    Record,
    Role,
    RunCount,
    RunId,
    RunQuery,
    Shared,
    Taken,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    WriteGroup,
)
from workflow_ray_adapters.redis import deployments, outbox, queries, writes
from workflow_ray_adapters.redis.hints import Hints
from workflow_ray_adapters.redis.listener import Listener
from workflow_ray_adapters.redis.roles import leave, release, share, take
from workflow_ray_adapters.redis.scripts import STORE
from workflow_ray_adapters.redis.server import Server
from workflow_ray_adapters.redis.stream import Stream
from workflow_ray_adapters.redis.timeouts import complete, create, due, lanes_of

T = TypeVar("T")

OUTBOX = "outbox"


class RedisStore:
    """ports.Store and ports.WholeStore on a server. Nothing that was read is kept for a later call.

    Used for the events or the timeouts alone it works too: `receive` then finds no record.
    """

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server, self._clock = server, clock
        self._stream = Stream(server)
        self._hints = Hints(clock)

    @property
    def store_id(self) -> str:
        return self._server.store_id

    @property
    def stream_id(self) -> str:
        return self._server.store_id

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator["RedisStore"]:
        """Work until left."""
        listening = asyncio.create_task(Listener(self._server, self._hints.give, self._hints.give_all).run())
        try:
            yield self
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    # --- RecordStore -----------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        return writes.results(groups, await self._server.call(STORE, *writes.arguments(groups, self._clock.now())))

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        return await queries.lookup(self._server, run_ids)

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        return await queries.latest(self._server, workflow, foreign_ids)

    async def runs(self, query: RunQuery) -> list[Record]:
        return await queries.runs(self._server, query)

    async def counts(self, workflow: str) -> list[RunCount]:
        return await queries.counts(self._server, workflow)

    async def history(self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000) -> list[HistoryEntry]:
        return await queries.history(self._server, run_id, after, limit)

    async def watch(self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False) -> list[Record]:
        names = [f"{'rest' if at_rest else 'run'}:{run_id}" for run_id in seen]
        return await self._hints.poll(names, _undated(lambda: queries.newer(self._server, seen, at_rest)), wait)

    async def positions(self, group: str) -> list[Position]:
        return await queries.positions(self._server, group)

    async def pending(self, fence: Fence, *, limit: int, wait: float, without: Sequence[tuple[Topic, int]] = ()) -> list[OutboxEntry]:
        return await self._hints.poll([OUTBOX], lambda: outbox.pending(self._server, fence, self._clock.now(), limit, without), wait)

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        await outbox.published(self._server, fence, ids)

    async def idle(self, workflow: str, statuses: Sequence[int], *, seconds: float, limit: int, after: RunId | None = None) -> list[Event]:
        return await queries.idle(self._server, workflow, statuses, self._clock.now() - timedelta(seconds=seconds), limit, after)

    async def deployment(self) -> Deployment:
        return await deployments.read(self._server)

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        return await deployments.deploy(self._server, expected, workflows)

    # --- EventStreamer and OutboxMover -----------------------------------------------------------

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        await self._stream.prepare(topics)

    async def send(self, events: Sequence[Event]) -> None:
        await self._stream.append(events)

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, limit: int, wait: float) -> list[Received]:
        return await self._hints.poll([f"topic:{topic}"], _undated(lambda: self._stream.read(topic, offsets, limit)), wait)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return await self._stream.lag(topic, offsets)

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return await self._stream.ends(topic, partitions)

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        async def publish() -> tuple[int, datetime | None]:
            return await outbox.move(self._server, fence, self._clock.now(), limit, self._stream.retained)

        deadline, moved = self._clock.now() + timedelta(seconds=wait), 0
        while True:
            moved += await self._hints.poll([OUTBOX], publish, (deadline - self._clock.now()).total_seconds())
            if self._clock.now() >= deadline:
                return moved

    # --- TimeoutStore ----------------------------------------------------------------------------

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        await create(self._server, timeouts)

    async def due(self, workflow: str, status: int, partitions: Collection[int], *, limit: int, wait: float) -> list[Timeout]:
        async def look() -> tuple[list[Timeout], datetime | None]:
            return await due(self._server, workflow, status, list(partitions), self._clock.now(), limit)

        names = [f"due:{lane}" for lane in lanes_of(workflow, status, partitions)]
        return await self._hints.poll(names, look, wait)

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        await complete(self._server, keys)

    # --- RoleScheduler ---------------------------------------------------------------------------

    async def take(self, role: Role) -> Taken:
        return await take(self._server, role)

    async def release(self, fence: Fence) -> None:
        await release(self._server, fence)

    async def share(self, member: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float) -> Shared:
        now = self._clock.now()
        return await share(self._server, member, roles, held, now=now, until=now + timedelta(seconds=lease))

    async def leave(self, member: str) -> None:
        await leave(self._server, member)


def _undated(look: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[tuple[T, None]]]:
    """A look that only a hint can change."""

    async def looked() -> tuple[T, None]:
        return await look(), None

    return looked
