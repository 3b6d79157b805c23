"""A store that another process owns."""

from collections.abc import Mapping, Sequence

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
    Taken,
    Topic,
    Version,
    WriteGroup,
)
from workflow_ray.runtime.lane import methods
from workflow_ray.runtime.lane.methods import C, Method, R
from workflow_ray.runtime.lane.transport import Transport


class RemoteStore:
    """Implements `ports.Store`: the contract, errors included, is that of the store at the other end.

    patience: seconds for an answer, on top of what a call waits by itself; then StoreUnavailable.
    """

    def __init__(self, transport: Transport, store_id: str, *, patience: float = 30.0) -> None:
        self._transport, self._store_id, self._patience = transport, store_id, patience

    @property
    def store_id(self) -> str:
        return self._store_id

    async def _ask(self, method: Method[C, R], call: C, wait: float = 0.0) -> R:
        return method.result(await self._transport.call(method.name, method.request(call), deadline=wait + self._patience))

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        return await self._ask(methods.STORE, methods.StoreCall(tuple(groups)))

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        return await self._ask(methods.LOOKUP, methods.LookupCall(tuple(run_ids), fresh))

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        return await self._ask(methods.LATEST, methods.LatestCall(workflow, tuple(foreign_ids)))

    async def runs(self, query: RunQuery) -> list[Record]:
        return await self._ask(methods.RUNS, methods.RunsCall(query))

    async def counts(self, workflow: str) -> list[RunCount]:
        return await self._ask(methods.COUNTS, methods.CountsCall(workflow))

    async def history(self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000) -> list[HistoryEntry]:
        return await self._ask(methods.HISTORY, methods.HistoryCall(run_id, after, limit))

    async def watch(self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False) -> list[Record]:
        return await self._ask(methods.WATCH, methods.WatchCall(dict(seen), wait, at_rest), wait)

    async def positions(self, group: str) -> list[Position]:
        return await self._ask(methods.POSITIONS, methods.PositionsCall(group))

    async def pending(self, fence: Fence, *, limit: int, wait: float, without: Sequence[tuple[Topic, int]] = ()) -> list[OutboxEntry]:
        return await self._ask(methods.PENDING, methods.PendingCall(fence, limit, wait, tuple(without)), wait)

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        await self._ask(methods.PUBLISHED, methods.PublishedCall(fence, tuple(ids)))

    async def deployment(self) -> Deployment:
        return await self._ask(methods.DEPLOYMENT, methods.Call())

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        return await self._ask(methods.DEPLOY, methods.DeployCall(expected, tuple(workflows)))

    async def take(self, role: Role) -> Taken:
        return await self._ask(methods.TAKE, methods.TakeCall(role))

    async def release(self, fence: Fence) -> None:
        await self._ask(methods.RELEASE, methods.ReleaseCall(fence))

    async def send(self, events: Sequence[Event]) -> None:
        await self._ask(methods.SEND, methods.SendCall(tuple(events)))

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, limit: int, wait: float) -> list[Received]:
        return await self._ask(methods.RECEIVE, methods.ReceiveCall(topic, dict(offsets), limit, wait), wait)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return await self._ask(methods.LAG, methods.LagCall(topic, dict(offsets)))

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        return await self._ask(methods.MOVE, methods.MoveCall(fence, limit, wait), wait)
