"""The store that SQL databases share: what reads goes to the database's readers, what writes to its gathering writer."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from workflow_ray.errors import StoreInUse
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
from workflow_ray_adapters.sql import deployments, idle, leases, outbox, queries, roles, stream
from workflow_ray_adapters.sql import timeouts as timers
from workflow_ray_adapters.sql.database import Database
from workflow_ray_adapters.sql.hints import Hints
from workflow_ray_adapters.sql.known import Ends, Versions
from workflow_ray_adapters.sql.notifications import Notification
from workflow_ray_adapters.sql.rows import AT_ONCE, micros
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.standing import Standing
from workflow_ray_adapters.sql.transaction import Done, Receive, Work
from workflow_ray_adapters.sql.wakeups import Alarm, Pulse
from workflow_ray_adapters.sql.writer import Writer

OUTBOX = "outbox"


class SqlStore:
    """ports.Store on a database. Nothing that was read is kept for a later transaction."""

    def __init__(self, database: Database, clock: Clock, store_id: str) -> None:
        self._database, self._clock, self._store_id = database, clock, store_id
        self._standing = Standing(clock)
        self._writer = Writer(database, clock, self._announce, self._standing.receives)
        self._versions = Hints[RunId](clock)
        self._ends_of_runs = Hints[RunId](clock)
        self._arrivals = Hints[Topic](clock)
        self._pending = Hints[str](clock)
        self._alarm = Alarm(clock, self._publish)
        self._timeouts = Hints[tuple[str, int]](clock)
        self._timer = Alarm(clock, self._timeouts.give_all)
        self._pulse = Pulse(partial(database.word, self._waited_for), self._heard)
        self._written, self._ends = Versions(), Ends()
        self._turn = 0

    @property
    def store_id(self) -> str:
        return self._store_id

    @asynccontextmanager
    async def serve(self) -> AsyncGenerator["SqlStore"]:
        """Work until left; then what was asked is finished, and the database may close."""
        writer = asyncio.create_task(self._writer.run())
        wakeups = [asyncio.create_task(waking.run()) for waking in (self._alarm, self._timer, self._pulse)]
        try:
            yield self
        finally:
            for task in wakeups:
                task.cancel()
            self._writer.close()
            await asyncio.gather(writer, *wakeups, return_exceptions=True)

    # --- RecordStore -----------------------------------------------------------------------------

    async def store(self, groups: Sequence[WriteGroup]) -> list[GroupResult]:
        return await self._writer.store(groups)

    async def lookup(self, run_ids: Sequence[RunId], *, fresh: bool = False) -> list[Record | None]:
        if fresh:
            return await self._writer.call(lambda session: queries.lookup(session, run_ids))
        return await self._database.read(lambda session: queries.lookup(session, run_ids))

    async def latest(self, workflow: str, foreign_ids: Sequence[str]) -> list[Record | None]:
        return await self._database.read(lambda session: queries.latest(session, workflow, foreign_ids))

    async def runs(self, query: RunQuery) -> list[Record]:
        return await self._database.read(lambda session: queries.runs(session, query))

    async def counts(self, workflow: str) -> list[RunCount]:
        return await self._database.read(lambda session: queries.counts(session, workflow))

    async def history(self, run_id: RunId, *, after: Version = Version(0), limit: int = 1000) -> list[HistoryEntry]:
        return await self._database.read(lambda session: queries.history(session, run_id, after, limit))

    async def watch(self, seen: Mapping[RunId, Version], *, wait: float, at_rest: bool = False) -> list[Record]:
        look = partial(self._database.read, lambda session: queries.newer(session, seen, at_rest))
        hints = self._ends_of_runs if at_rest else self._versions
        return await hints.poll(seen, look, wait, no_news=lambda: self._written.are(seen))

    async def positions(self, group: str) -> list[Position]:
        return await self._database.read(lambda session: queries.positions(session, group))

    async def pending(self, fence: Fence, *, limit: int, wait: float, without: Sequence[tuple[Topic, int]] = ()) -> list[OutboxEntry]:
        async def look() -> list[OutboxEntry]:
            now = micros(self._clock.now())
            entries, next_due = await self._database.read(lambda session: outbox.look(session, fence, now, limit, without))
            if next_due is not None:
                self._alarm.set(next_due)
            return entries

        return await self._pending.poll([OUTBOX], look, wait)

    async def published(self, fence: Fence, ids: Sequence[int]) -> None:
        await self._writer.call(lambda session: outbox.published(session, fence, ids))

    async def idle(self, workflow: str, statuses: Sequence[int], *, seconds: float, limit: int, after: RunId | None = None) -> list[Event]:
        before = micros(self._clock.now() - timedelta(seconds=seconds))
        return await self._database.read(lambda session: idle.idle(session, workflow, statuses, before, limit, after))

    async def deployment(self) -> Deployment:
        return await self._database.read(deployments.read)

    async def deploy(self, expected: int, workflows: Sequence[DeployedWorkflow]) -> Deployment:
        return await self._writer.call(lambda session: deployments.deploy(session, expected, workflows))

    # --- EventStreamer and OutboxMover -----------------------------------------------------------

    @property
    def stream_id(self) -> str:
        return self._database.url

    async def prepare(self, topics: Mapping[Topic, int]) -> None:
        """Topics are rows' values here: each is there, with any number of partitions."""

    async def send(self, events: Sequence[Event]) -> None:
        await self._writer.call(lambda session: stream.append(session, events))

    async def receive(self, topic: Topic, offsets: Mapping[int, int], *, limit: int, wait: float) -> list[Received]:
        async def look() -> list[Received]:
            mark, unsure, turned = self._ends.mark(topic), self._ends.beyond(topic, offsets), self._turned(offsets)

            def read(session: Session) -> list[Received]:
                stream.check(session, self._database.where, topic, unsure)
                return stream.read(session, topic, turned, limit)

            received = await self._database.read(read)
            self._ends.note(topic, mark, offsets, limit, received)
            return received

        began = self._clock.now()
        if wait > 0 and self._ends.are(topic, offsets):
            if received := await self._standing.receive(Receive(topic, offsets, limit), wait):
                return received
            wait -= (self._clock.now() - began).total_seconds()
        return await self._arrivals.poll([topic], look, wait)

    async def lag(self, topic: Topic, offsets: Mapping[int, int]) -> int:
        return await self._database.read(lambda session: stream.lag(session, topic, offsets))

    async def ends(self, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
        return await self._database.read(lambda session: stream.ends(session, topic, partitions))

    async def move(self, fence: Fence, *, limit: int, wait: float) -> int:
        return await self._writer.move(fence, limit, wait)

    # --- RoleScheduler ---------------------------------------------------------------------------

    async def take(self, role: Role) -> Taken:
        return await self._writer.call(lambda session: roles.take(session, role))

    async def release(self, fence: Fence) -> None:
        await self._writer.call(lambda session: roles.release(session, fence))

    async def share(self, member: str, roles: Sequence[Role], held: Sequence[Fence], *, lease: float) -> Shared:
        if await self._database.served_elsewhere():
            raise StoreInUse(self._database.where, "a process has it to itself: it gives out the roles, and none are shared.")

        def beat(session: Session) -> Shared:
            now = self._clock.now()
            heartbeat = leases.Heartbeat(member, roles, held, now=micros(now), until=micros(now + timedelta(seconds=lease)))
            return leases.share(session, heartbeat)

        return await self._writer.call(beat)

    async def leave(self, member: str) -> None:
        await self._writer.call(lambda session: leases.leave(session, member))

    # --- TimeoutStore ----------------------------------------------------------------------------

    async def create(self, timeouts: Sequence[Timeout]) -> None:
        await self._writer.call(lambda session: timers.create(session, timeouts))

    async def due(self, workflow: str, status: int, partitions: Collection[int], *, limit: int, wait: float) -> list[Timeout]:
        async def look() -> list[Timeout]:
            now = micros(self._clock.now())
            found, next_due = await self._database.read(lambda session: timers.due(session, workflow, status, partitions, now, limit))
            if next_due is not None:
                self._timer.set(next_due)
            return found

        return await self._timeouts.poll([(workflow, status)], look, wait)

    async def complete(self, keys: Sequence[TimeoutKey]) -> None:
        await self._writer.call(lambda session: timers.complete(session, keys))

    def _turned(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """Beginning with another partition each time, or a small limit would starve the last ones."""
        self._turn += 1
        partitions = list(offsets)
        first = self._turn % (len(partitions) or 1)
        return {partition: offsets[partition] for partition in partitions[first:] + partitions[:first]}

    # --- hints -----------------------------------------------------------------------------------

    def _announce(self, work: Work, done: Done) -> None:
        self._spread(done.notification)
        for receive, received in zip(work.receives, done.received, strict=True):
            if received:
                self._ends.note(receive.topic, self._ends.mark(receive.topic), receive.offsets, receive.limit, received)
                self._standing.answer(receive, received)
        if done.next_due is not None:
            self._alarm.set(done.next_due)

    def _heard(self, notification: Notification | None) -> None:
        """Another process has committed something."""
        if notification is None:
            self._look_again()
            return
        self._spread(notification)
        if notification.roles or AT_ONCE in notification.due:
            self._writer.nudge()

    def _spread(self, notification: Notification) -> None:
        self._written.note(notification.runs)
        self._versions.give(notification.runs)
        self._ends_of_runs.give(notification.at_rest)
        self._ends.grow(notification.events)
        self._arrivals.give(notification.events)
        self._standing.tell(notification.events)
        for due in notification.due - {AT_ONCE}:
            self._alarm.set(due)
        for *_, due in notification.timeouts:
            self._timer.set(due)
        if notification.roles or AT_ONCE in notification.due:  # whoever published before is told now, not when its wait is over
            self._pending.give([OUTBOX])

    def _publish(self) -> None:
        self._pending.give([OUTBOX])
        self._writer.nudge()

    def _waited_for(self) -> bool:
        return bool(
            self._versions
            or self._ends_of_runs
            or self._arrivals
            or self._standing.receives()
            or self._pending
            or self._writer.waited_for
            or self._timeouts
        )

    def _look_again(self) -> None:
        self._written.forget()
        self._ends.forget()
        self._standing.tell_all()
        self._versions.give_all()
        self._ends_of_runs.give_all()
        self._arrivals.give_all()
        self._timeouts.give_all()
        self._publish()
