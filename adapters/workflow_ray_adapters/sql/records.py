"""The methods of RecordStore. Reads go to the database's readers, writes to its gathering
writer.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from msgspec import structs

from workflow_ray.ports import Clock
from workflow_ray.records import (
    Activity,
    DeployedWorkflow,
    Deployment,
    Fence,
    GroupResult,
    HistoryEntry,
    Message,
    MessageKey,
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
)
from workflow_ray_adapters.sql import (
    activity,
    deployments,
    messages,
    once_results,
    outbox,
    pages,
    parking,
    positions,
    queries,
    set_asides,
    waiting,
)
from workflow_ray_adapters.sql.database import BRIEF, Database
from workflow_ray_adapters.sql.fence_checks import FenceChecks, is_fence_check
from workflow_ray_adapters.sql.moves import Moves
from workflow_ray_adapters.sql.poller import Poller
from workflow_ray_adapters.sql.receiving import Receiving
from workflow_ray_adapters.sql.rows import micros, moment
from workflow_ray_adapters.sql.session import Session, store_time
from workflow_ray_adapters.sql.waiters import wait_until
from workflow_ray_adapters.sql.wakeups import OUTBOX, POSTED, SETTLED, Wakeups
from workflow_ray_adapters.sql.writer import Writer

T = TypeVar("T")


class Records:
    """The records, messages and entries set aside of a store on a database. Nothing that was read
    is kept for a later transaction.
    """

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

    async def messages(
        self, query: MessageQuery, *, settled: bool = False, wait: float = 0.0
    ) -> list[Message]:
        kinds = (SETTLED,) if settled else (POSTED, SETTLED)
        keys: list[MessageKey | RunId] = [*query.keys, *query.run_ids]
        asked = [(kind, key) for kind in kinds for key in keys]

        async def look() -> list[Message]:
            found, expiring = await self._read_by_time(
                lambda session: messages.read(session, query, settled=settled),
                brief=messages.is_brief(query),
            )
            for key, at in expiring:
                self._wakeups.timer.set(key, at)
            return found

        with self._wakeups.messages.waiting(*asked) as wakeup:
            return await wait_until(self._clock, wakeup, look, wait)

    async def results(self, run_ids: Sequence[RunId]) -> list[OnceResult]:
        return await self._database.read(
            lambda session: once_results.read(session, run_ids), brief=len(run_ids) <= BRIEF
        )

    async def set_aside(self, query: SetAsideQuery, *, wait: float = 0.0) -> list[SetAside]:
        deadline = self._clock.monotonic() + (wait if query.due else 0.0)

        async def look() -> list[SetAside]:
            page, now = await self._read_by_time(
                lambda session: (set_asides.page(session, query), moment(session.now()))
            )
            due_at = page[0].due_at if page and query.due else None
            if due_at is None or due_at <= now or self._clock.monotonic() >= deadline:
                return page
            self._wakeups.timer.set(query.group, micros(due_at))
            return []

        with self._wakeups.set_asides.waiting(query.group) as wakeup:
            return await wait_until(self._clock, wakeup, look, deadline - self._clock.monotonic())

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

    async def parked(self, query: ParkedQuery, *, wait: float = 0.0) -> Parked:
        if query.seen is None:
            return await self._read_by_time(lambda session: parking.read(session, query))
        seen = (query.workflow, query.status, query.seen)
        with self._wakeups.flow.waiting(seen) as wakeup:
            look = partial(self._database.read, lambda session: parking.changed(session, [seen]))
            await wait_until(self._clock, wakeup, look, wait)
        return await self._read_by_time(lambda session: parking.read(session, query))

    async def activity(
        self, *, limit: int = 500, steps: Mapping[RunId, Version] | None = None
    ) -> Activity:
        found = await self._read_by_time(lambda session: activity.activity(session, limit, steps))
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

    async def _read_by_time(self, read: Callable[[Session], T], *, brief: bool = False) -> T:
        """Run a read that goes by the store's time, and note that for the timer."""

        def timed(session: Session) -> tuple[T, int]:
            session.time = store_time(self._clock)
            return read(session), session.now()

        found, now = await self._database.read(timed, brief=brief)
        self._wakeups.timer.note(now)
        return found
