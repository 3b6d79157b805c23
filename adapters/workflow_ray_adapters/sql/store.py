"""The store of every SQL database. Reads go to the database's readers, writes to its gathering
writer.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from msgspec import structs

from workflow_ray.errors import StoreInUse
from workflow_ray.ports import Clock
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
)
from workflow_ray_adapters.sql import (
    activity,
    deployments,
    leases,
    outbox,
    pages,
    positions,
    queries,
    roles,
    stream,
    waiting,
)
from workflow_ray_adapters.sql import timeouts as timers
from workflow_ray_adapters.sql.background import background
from workflow_ray_adapters.sql.database import BRIEF, Database
from workflow_ray_adapters.sql.fence_checks import FenceChecks, is_fence_check
from workflow_ray_adapters.sql.moves import Moves
from workflow_ray_adapters.sql.poller import Poller
from workflow_ray_adapters.sql.receiving import Receiving
from workflow_ray_adapters.sql.session import Session, store_time
from workflow_ray_adapters.sql.waiters import wait_until
from workflow_ray_adapters.sql.wakeups import OUTBOX, Wakeups
from workflow_ray_adapters.sql.writer import Writer

T = TypeVar("T")


class SqlStore:
    """A store on a database. Nothing that was read is kept for a later transaction."""

    def __init__(self, database: Database, clock: Clock, store_id: str) -> None:
        self._database = database
        self._clock = clock
        self._store_id = store_id
        moves = Moves(clock)
        self._wakeups = Wakeups(clock, moves)
        self._writer = Writer(
            database, clock, moves, self._wakeups.committed, self._wakeups.readers.awaited
        )
        self._poller = Poller(database, self._wakeups)
        self._fences = FenceChecks(database)
        self._receiving = Receiving(database, clock, self._wakeups.readers)

    @property
    def store_id(self) -> str:
        return self._store_id

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator["SqlStore"]:
        """Work until the block ends. What was asked is then finished, and the database may
        close.
        """
        writer = asyncio.create_task(self._writer.run())
        try:
            async with (
                background("timer", self._database.where, self._wakeups.timer.run),
                background("poller", self._database.where, self._poller.run),
            ):
                yield self
        finally:
            self._writer.close()
            await asyncio.gather(writer, return_exceptions=True)

    # --- RecordStore ----------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        if all(is_fence_check(group) for group in groups):
            return await self._fences.check(groups)
        return await self._writer.store(groups)

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        if fresh:
            return await self._writer.call(lambda session: queries.lookup(session, run_ids))
        return await self._database.read(
            lambda session: queries.lookup(session, run_ids), brief=len(run_ids) <= BRIEF
        )

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        return await self._database.read(
            lambda session: queries.latest(session, workflow, foreign_ids)
        )

    async def runs(self, query: RunQuery) -> list[Record]:
        return await self._database.read(lambda session: pages.runs(session, query))

    async def counts(self, workflow: str) -> list[RunCount]:
        return await self._database.read(lambda session: pages.counts(session, workflow))

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> list[HistoryEntry]:
        return await self._database.read(
            lambda session: queries.history(session, run_id, after, limit)
        )

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        with self._wakeups.watchers.watching(seen, at_rest=at_rest) as wakeup:
            began = self._clock.monotonic()
            if wait > 0 and self._wakeups.versions.is_newest(seen):
                await self._clock.wait(wakeup, wait)
            look = partial(
                self._database.read,
                lambda session: queries.newer(session, seen, at_rest),
                brief=len(seen) <= BRIEF,
            )
            return await wait_until(
                self._clock, wakeup, look, wait - (self._clock.monotonic() - began)
            )

    async def positions(self, group: str) -> list[Position]:
        return await self._database.read(lambda session: positions.read(session, group))

    async def pending(
        self,
        fence: Fence,
        *,
        limit: int,
        wait: float,
        without: Sequence[tuple[Topic, int]] = (),
        timeouts_only: bool = False,
    ) -> list[OutboxEntry]:
        asked = outbox.Pending(limit, without, timeouts_only)

        async def look() -> list[OutboxEntry]:
            entries, next_due = await self._read_by_time(
                lambda session: outbox.read_pending(session, fence, asked)
            )
            if next_due is not None:
                self._wakeups.timer.set(OUTBOX, next_due)
            return entries

        with self._wakeups.publishers.waiting(fence) as wakeup:
            return await wait_until(self._clock, wakeup, look, wait)

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        await self._writer.call(lambda session: outbox.published(session, fence, ids))

    async def waiting(self, query: WaitingQuery) -> Waiting:
        return await self._read_by_time(lambda session: waiting.waiting(session, query))

    async def activity(self, *, limit: int = 500) -> Activity:
        found = await self._read_by_time(lambda session: activity.activity(session, limit))
        return structs.replace(found, is_served=await self._database.is_served())

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        if newer_than is None:
            return await self._database.read(deployments.read)

        with self._wakeups.deployments.waiting(newer_than) as wakeup:
            look = partial(self._database.read, partial(deployments.newer, than=newer_than))
            newer = await wait_until(self._clock, wakeup, look, wait)
        return await self._database.read(deployments.read) if newer is None else newer

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        return await self._writer.call(
            lambda session: deployments.deploy(session, expected, workflows)
        )

    # --- EventStreamer, OutboxMover and Trimmer ---------------------------------------------------

    @property
    def stream_id(self) -> str:
        return self._database.url

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        """Do nothing: a topic is a value of rows here, and has any number of partitions."""

    async def send(self, events: Sequence[Event]) -> None:
        await self._writer.call(lambda session: stream.append(session, events))

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        return await self._receiving.receive(topic, offsets, reader=reader, limit=limit, wait=wait)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return await self._database.read(lambda session: stream.lag(session, topic, offsets))

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return await self._database.read(lambda session: stream.ends(session, topic, partitions))

    async def trim(
        self, fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int
    ) -> int:
        return await self._writer.call(
            lambda session: stream.trim(session, fence, topic, offsets, limit)
        )

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        return await self._writer.move(fence, limit, wait)

    # --- RoleScheduler --------------------------------------------------------------------------

    async def acquire(self, role: Role) -> Fence:
        return await self._writer.call(lambda session: roles.acquire(session, role))

    async def release(self, fence: Fence) -> None:
        await self._writer.call(lambda session: roles.release(session, fence))

    async def share(
        self, worker: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float
    ) -> Shared:
        if await self._database.is_served():
            raise StoreInUse(
                self._database.where,
                "a process has it to itself: it gives out the roles, and none are shared.",
            )
        heartbeat = leases.Heartbeat(worker, roles, held, lease)
        mine = await self._read_by_time(lambda session: leases.fair_share(session, heartbeat))
        return await self._writer.call(lambda session: leases.share(session, heartbeat, mine))

    async def leave(self, worker: str) -> None:
        await self._writer.call(lambda session: leases.leave(session, worker))

    # --- TimeoutStore ---------------------------------------------------------------------------

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        await self._writer.call(lambda session: timers.create(session, timeouts))

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
        asked = timers.Due(workflow, status, partitions, limit, after)

        async def look() -> list[Timeout]:
            found, next_due = await self._read_by_time(lambda session: timers.due(session, asked))
            if next_due is not None:
                self._wakeups.timer.set((workflow, status), next_due)
            return found

        with self._wakeups.timeouts.waiting((workflow, status)) as wakeup:
            return await wait_until(self._clock, wakeup, look, wait)

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        await self._writer.call(lambda session: timers.complete(session, keys))

    async def trim_timeouts(self, *, completed: float, limit: int) -> int:
        return await self._writer.call(lambda session: timers.trim(session, completed, limit))

    # --- time -----------------------------------------------------------------------------------

    async def _read_by_time(self, read: Callable[[Session], T]) -> T:
        """Run a read that goes by the store's time, and note that for the timer."""

        def timed(session: Session) -> tuple[T, int]:
            session.time = store_time(self._clock)
            return read(session), session.now()

        found, now = await self._database.read(timed)
        self._wakeups.timer.note(now)
        return found
