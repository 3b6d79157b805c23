"""The store: every port. Each call is a script."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

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
    Message,
    MessageQuery,
    OnceResult,
    OutboxEntry,
    Parked,
    ParkedQuery,
    Position,
    Record,
    Role,
    RunCount,
    RunId,
    RunQuery,
    SetAside,
    SetAsideQuery,
    Shared,
    Timeout,
    TimeoutKey,
    Topic,
    Version,
    Waiting,
    WaitingQuery,
    WriteGroup,
)
from workflow_ray_adapters.redis import (
    deployments,
    messages,
    outbox,
    parking,
    positions,
    queries,
    roles,
    set_asides,
    writes,
)
from workflow_ray_adapters.redis import timeouts as timers
from workflow_ray_adapters.redis.background import background
from workflow_ray_adapters.redis.fence_checks import FenceChecks, is_fence_check
from workflow_ray_adapters.redis.leases import Heartbeat
from workflow_ray_adapters.redis.listener import Listener
from workflow_ray_adapters.redis.notifications import Notifications, without_due_time
from workflow_ray_adapters.redis.readers import Readers
from workflow_ray_adapters.redis.roles import share
from workflow_ray_adapters.redis.rows import text
from workflow_ray_adapters.redis.scripts import REMOVE, STORE
from workflow_ray_adapters.redis.server import Server
from workflow_ray_adapters.redis.stream import Stream

OUTBOX = "outbox"
DEPLOYMENT = "deployment"


class RedisStore:
    """A Store and WholeStore on a server. Nothing that was read is kept for a later call.

    It can be used for the events or the timeouts alone: `receive` finds no records then.
    """

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._stream = Stream(server)
        self._notifications = Notifications(clock)
        self._readers = Readers(clock, self._notifications)
        self._fences = FenceChecks(server)

    @property
    def store_id(self) -> str:
        return self._server.store_id

    @property
    def stream_id(self) -> str:
        return self._server.store_id

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator["RedisStore"]:
        """Run the background tasks until the block ends."""
        async with background(
            "listener", self._server.where, Listener(self._server, self._notifications).run
        ):
            yield self

    def _now(self) -> str:
        """Return the time for scripts: that of an injected clock, or "" for the server's."""
        return "" if isinstance(self._clock, SystemClock) else text(self._clock.now())

    # --- RecordStore ----------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        if groups and all(is_fence_check(group) for group in groups):
            return await self._fences.check(groups)
        script = REMOVE if groups and groups[0].removals and writes.only_remove(groups) else STORE
        return writes.results(
            groups, await self._server.call(script, self._now(), *writes.arguments(groups))
        )

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        return await queries.lookup(self._server, run_ids)

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        return await queries.latest(self._server, workflow, foreign_ids)

    async def runs(self, query: RunQuery) -> list[Record]:
        return await queries.runs(self._server, query)

    async def counts(self, workflow: str) -> list[RunCount]:
        return await queries.counts(self._server, workflow)

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> list[HistoryEntry]:
        return await queries.history(self._server, run_id, after, limit)

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        names = [f"{'rest' if at_rest else 'run'}:{run_id}" for run_id in seen]
        return await self._notifications.poll(
            names, without_due_time(lambda: queries.newer(self._server, seen, at_rest)), wait
        )

    async def messages(
        self, query: MessageQuery, *, settled: bool = False, wait: float = 0.0
    ) -> list[Message]:
        names = [messages.topic_of(key) for key in query.keys]
        names += [f"inbox:{run_id}" for run_id in query.run_ids]
        return await self._notifications.poll(
            names, lambda: messages.read(self._server, self._now(), query, settled), wait
        )

    async def results(self, run_ids: Sequence[RunId]) -> list[OnceResult]:
        return await messages.results(self._server, run_ids)

    async def set_aside(self, query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
        async def look() -> tuple[set_asides.Page, float | None]:
            page = await set_asides.read(self._server, self._now(), query)
            return page, page.due_in

        return await self._notifications.poll(
            [f"set_aside:{query.group}"],
            look,
            wait if query.due else 0.0,
            enough=set_asides.Page.is_due,
        )

    async def positions(self, group: str) -> list[Position]:
        return await positions.read(self._server, group)

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
        return await self._notifications.poll(
            [OUTBOX, _role(fence)],
            lambda: outbox.pending(self._server, fence, self._now(), asked),
            wait,
        )

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        await outbox.published(self._server, fence, ids)

    async def waiting(self, query: WaitingQuery) -> Waiting:
        return await queries.waiting(self._server, self._now(), query)

    async def parked(self, query: ParkedQuery, *, wait: float = 0.0) -> Parked:
        def has_changed(found: Parked) -> bool:
            return query.seen is None or found.change != query.seen

        look = without_due_time(lambda: parking.read(self._server, self._now(), query))
        return await self._notifications.poll([parking.topic_of(query)], look, wait, has_changed)

    async def activity(
        self, *, limit: int = 500, steps: Mapping[RunId, Version] | None = None
    ) -> Activity:
        return await queries.activity(self._server, self._now(), limit, steps)

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        if newer_than is None:
            return await deployments.read(self._server)
        look = without_due_time(partial(deployments.newer, self._server, newer_than))
        newer = await self._notifications.poll([DEPLOYMENT], look, wait)
        return await deployments.read(self._server) if newer is None else newer

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        return await deployments.deploy(self._server, expected, workflows)

    # --- EventStreamer, OutboxMover and Trimmer -------------------------------------------------

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        await self._stream.prepare(topics)

    async def send(self, events: Sequence[Event]) -> None:
        await self._stream.append(events)

    async def receive(
        self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float
    ) -> Arrivals:
        return await self._readers.receive(
            reader, topic, offsets, lambda: self._stream.read(topic, offsets, limit), wait
        )

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return await self._stream.lag(topic, offsets)

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return await self._stream.ends(topic, partitions)

    async def trim(
        self, fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int
    ) -> int:
        return await self._stream.trim(fence, topic, offsets, limit)

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        async def publish() -> tuple[int, float | None]:
            return await outbox.move(self._server, fence, self._now(), limit)

        deadline, moved = self._clock.monotonic() + wait, 0
        while True:
            moved += await self._notifications.poll(
                [OUTBOX, _role(fence)], publish, deadline - self._clock.monotonic()
            )
            if self._clock.monotonic() >= deadline:
                return moved

    # --- TimeoutStore ---------------------------------------------------------------------------

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        await timers.create(self._server, timeouts)

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
        asked = timers.Due(workflow, status, list(partitions), limit, after)
        names = [f"due:{queue}" for queue in timers.queues_of(workflow, status, partitions)]
        return await self._notifications.poll(
            names, lambda: timers.due(self._server, self._now(), asked), wait
        )

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        await timers.complete(self._server, self._now(), keys)

    async def trim_timeouts(self, *, completed: float, limit: int) -> int:
        return await timers.trim(self._server, self._now(), completed, limit)

    # --- RoleScheduler --------------------------------------------------------------------------

    async def acquire(self, role: Role) -> Fence:
        return await roles.acquire(self._server, role)

    async def release(self, fence: Fence) -> None:
        await roles.release(self._server, fence)

    async def share(
        self, worker: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float
    ) -> Shared:
        return await share(self._server, self._now(), Heartbeat(worker, roles, held, lease))

    async def leave(self, worker: str) -> None:
        await roles.leave(self._server, worker)


def _role(fence: Fence) -> str:
    """Return the name that is notified when the role has a new epoch."""
    return f"role:{fence.role}"
