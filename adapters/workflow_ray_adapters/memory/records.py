"""The methods of RecordStore."""

from collections.abc import Mapping, Sequence

from workflow_ray.records import (
    Activity,
    DeployedWorkflow,
    Deployment,
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
    RunCount,
    RunId,
    RunQuery,
    SetAside,
    SetAsideQuery,
    Topic,
    Version,
    Waiting,
    WaitingQuery,
    WriteGroup,
    asks_for,
    check_group,
)
from workflow_ray_adapters.memory.opening import Opening


class Records(Opening):
    """An opening's records, messages and entries set aside."""

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        for group in groups:
            check_group(group)
        return self._contents.commit_all(groups, self._now())

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        return self._contents.runs.lookup(run_ids)

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        return [self._contents.runs.latest(workflow, foreign_id) for foreign_id in foreign_ids]

    async def runs(self, query: RunQuery) -> list[Record]:
        return self._contents.runs.page(query, self._contents.families.members(query))

    async def counts(self, workflow: str) -> list[RunCount]:
        return self._contents.runs.counts(workflow)

    async def history(
        self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000
    ) -> list[HistoryEntry]:
        return self._contents.runs.histories.page(run_id, after, limit)

    async def watch(
        self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False
    ) -> list[Record]:
        return await self._contents.writes.poll(
            seen, lambda: self._contents.runs.newer(seen, at_rest), clock=self._clock, wait=wait
        )

    async def messages(
        self, query: MessageQuery, *, settled: bool = False, wait: float = 0.0
    ) -> list[Message]:
        inboxes = self._contents.messaging.inboxes

        def look() -> list[Message]:
            return inboxes.read(query, self._now(), settled=settled)

        def due_in() -> float:
            return self._seconds_until(inboxes.next_expiry(query))

        return await self._contents.messaging.changes.poll(
            (*query.keys, *query.run_ids), look, clock=self._clock, wait=wait, due_in=due_in
        )

    async def results(self, run_ids: Sequence[RunId]) -> list[OnceResult]:
        return self._contents.transitions.results.of(run_ids)

    async def set_aside(self, query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
        entries = self._contents.set_asides

        def look() -> list[SetAside]:
            return entries.page(query)

        def is_due(page: list[SetAside]) -> bool:
            first = page[0].due_at if page else None
            return first is not None and first <= self._now()

        def due_in() -> float:
            return self._seconds_until(entries.next_due(query))

        return await self._contents.setting_aside.poll(
            [query.group],
            look,
            clock=self._clock,
            wait=wait if query.due else 0.0,
            enough=is_due,
            due_in=due_in,
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

    async def parked(self, query: ParkedQuery, *, wait: float = 0.0) -> Parked:
        parkings = self._contents.runs.parkings

        def has_changed(parked: Parked) -> bool:
            return query.seen is None or parked.change != query.seen

        return await parkings.changes.poll(
            [(query.workflow, query.status)],
            lambda: parkings.read(query, self._now()),
            clock=self._clock,
            wait=wait,
            enough=has_changed,
        )

    async def activity(
        self, *, limit: int = 500, steps: Mapping[RunId, Version] | None = None
    ) -> Activity:
        now = self._now()
        delayed = self._contents.outbox.delayed(now)
        if steps is not None:
            delayed = [entry for entry in delayed if asks_for(entry, steps)]
        return Activity(
            now=now,
            is_served=self._contents.served,
            holders=self._contents.roles.holders(now),
            delayed=tuple(delayed[:limit]),
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
