"""The store of every SQL database."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from workflow_ray.errors import StoreInUse
from workflow_ray.records import (
    Arrivals,
    Event,
    Fence,
    Role,
    Shared,
    Timeout,
    TimeoutKey,
    Topic,
)
from workflow_ray_adapters.sql import (
    leases,
    roles,
    stream,
)
from workflow_ray_adapters.sql import timeouts as timers
from workflow_ray_adapters.sql.background import background
from workflow_ray_adapters.sql.records import Records
from workflow_ray_adapters.sql.waiters import wait_until


class SqlStore(Records):
    """A store on a database."""

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
