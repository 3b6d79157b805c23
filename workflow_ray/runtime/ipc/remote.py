"""A store that another process owns."""

from collections.abc import Collection, Mapping, Sequence

from workflow_ray.records import (
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
from workflow_ray.runtime.ipc import calls, methods
from workflow_ray.runtime.ipc.methods import About, C, Method, R
from workflow_ray.runtime.ipc.transport import Transport

PATIENCE = 30.0
"""Seconds for an answer, on top of what a call waits by itself; then StoreUnavailable."""


async def remote_store(transport: Transport) -> "RemoteStore":
    """The store at the other end; an OutboxMover where that is one. Raises StoreUnavailable."""
    about = methods.ABOUT.result(await transport.call(methods.ABOUT.name, methods.ABOUT.request(calls.Call()), deadline=PATIENCE))
    return (RemoteMover if about.moves else RemoteStore)(transport, about)


class RemoteStore:
    """Implements `ports.Store`: the contract, errors included, is that of the store at the other end."""

    def __init__(self, transport: Transport, about: About, *, patience: float = PATIENCE) -> None:
        self._transport, self._about, self._patience = transport, about, patience

    @property
    def store_id(self) -> str:
        return self._about.store_id

    @property
    def stream_id(self) -> str:
        return self._about.stream_id

    async def _ask(self, method: Method[C, R], call: C, wait: float = 0.0) -> R:
        return method.result(await self._transport.call(method.name, method.request(call), deadline=wait + self._patience))

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        return await self._ask(methods.STORE, calls.StoreCall(tuple(groups)))

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        return await self._ask(methods.LOOKUP, calls.LookupCall(tuple(run_ids), fresh))

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        return await self._ask(methods.LATEST, calls.LatestCall(workflow, tuple(foreign_ids)))

    async def runs(self, query: RunQuery) -> list[Record]:
        return await self._ask(methods.RUNS, calls.RunsCall(query))

    async def counts(self, workflow: str) -> list[RunCount]:
        return await self._ask(methods.COUNTS, calls.CountsCall(workflow))

    async def history(self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000) -> list[HistoryEntry]:
        return await self._ask(methods.HISTORY, calls.HistoryCall(run_id, after, limit))

    async def watch(self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False) -> list[Record]:
        return await self._ask(methods.WATCH, calls.WatchCall(dict(seen), wait, at_rest), wait)

    async def positions(self, group: str) -> list[Position]:
        return await self._ask(methods.POSITIONS, calls.PositionsCall(group))

    async def pending(
        self, fence: Fence, *, limit: int, wait: float, without: Sequence[tuple[Topic, int]] = (), timeouts_only: bool = False
    ) -> list[OutboxEntry]:
        return await self._ask(methods.PENDING, calls.PendingCall(fence, limit, wait, tuple(without), timeouts_only), wait)

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        await self._ask(methods.PUBLISHED, calls.PublishedCall(fence, tuple(ids)))

    async def waiting(self, query: WaitingQuery) -> Waiting:
        return await self._ask(methods.WAITING, calls.WaitingCall(query))

    async def deployment(self, *, newer_than: int | None = None, wait: float = 0.0) -> Deployment:
        return await self._ask(methods.DEPLOYMENT, calls.DeploymentCall(newer_than, wait), wait)

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        return await self._ask(methods.DEPLOY, calls.DeployCall(expected, tuple(workflows)))

    async def acquire(self, role: Role) -> Fence:
        return await self._ask(methods.ACQUIRE, calls.AcquireCall(role))

    async def release(self, fence: Fence) -> None:
        await self._ask(methods.RELEASE, calls.ReleaseCall(fence))

    async def share(self, worker: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float) -> Shared:
        return await self._ask(methods.SHARE, calls.ShareCall(worker, tuple(roles), tuple(held), lease))

    async def leave(self, worker: str) -> None:
        await self._ask(methods.LEAVE, calls.LeaveCall(worker))

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        await self._ask(methods.PREPARE, calls.PrepareCall(dict(topics)))

    async def send(self, events: Sequence[Event]) -> None:
        await self._ask(methods.SEND, calls.SendCall(tuple(events)))

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, reader: str, limit: int, wait: float) -> Arrivals:
        return await self._ask(methods.RECEIVE, calls.ReceiveCall(topic, dict(offsets), reader, limit, wait), wait)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return await self._ask(methods.LAG, calls.LagCall(topic, dict(offsets)))

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return await self._ask(methods.ENDS, calls.EndsCall(topic, tuple(partitions)))

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        await self._ask(methods.CREATE, calls.CreateCall(tuple(timeouts)))

    async def due(
        self, workflow: str, status: int, partitions: Collection[int], *, limit: int, wait: float, after: Timeout | None = None
    ) -> list[Timeout]:
        return await self._ask(methods.DUE, calls.DueCall(workflow, status, tuple(partitions), limit, wait, after), wait)

    async def trim_timeouts(self, *, completed: float, limit: int) -> int:
        return await self._ask(methods.TRIM_TIMEOUTS, calls.TrimTimeoutsCall(completed, limit))

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        await self._ask(methods.COMPLETE, calls.CompleteCall(tuple(keys)))


class RemoteMover(RemoteStore):
    """Implements `ports.OutboxMover` and `ports.Trimmer` too."""

    async def trim(self, fence: Fence, topic: Topic, offsets: Mapping[int, int], *, limit: int) -> int:
        return await self._ask(methods.TRIM, calls.TrimCall(fence, topic, dict(offsets), limit))

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        return await self._ask(methods.MOVE, calls.MoveCall(fence, limit, wait), wait)
