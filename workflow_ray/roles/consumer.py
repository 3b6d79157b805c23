"""The role that runs the step of one status, for the partitions of its shard."""

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from workflow_ray.definition import Resource, Status, Workflow
from workflow_ray.engine.progress import Progress
from workflow_ray.engine.transition import Failed, attempt_counted, decide, doubt
from workflow_ray.errors import WorkflowError
from workflow_ray.ports import Clock, EventStreamer, RecordStore, persist
from workflow_ray.records import Awaits, Cause, Conflict, Fence, Received, Record, Role, RunId, Write, new_write_id, status_topic
from workflow_ray.roles.execution import Execution, opened
from workflow_ray.roles.results import BATCH, Result, Results
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

log = logging.getLogger(__name__)

WINDOW = 2 * BATCH
"""Events in hand: enough to run one batch while another commits."""
UNEVEN = 2
"""A partition may have this many times its equal share of the window in hand. Of what a holder leaves in doubt, no more is."""
SUSPENSE = 5.0
"""Seconds after which a step taken in doubt no longer holds up the next: what kills a process does so sooner."""
FULL_PAUSE = 0.05
"""Seconds between looks at the stream while some partition's share of the window is used up."""


@dataclass(frozen=True)
class StepWork:
    """What a consumer is for, and what its step's resources are replaced with (in tests)."""

    role: Role
    workflow: Workflow[Any, Any]
    status: Status
    replaced: Mapping[Resource[Any], object]


class Consumer:
    """Receives events, runs the step for each that is news, and commits what came of it with the positions.

    A slow or failing run holds up no other: steps run side by side, up to the step's `max_in_flight`, and results are
    written as they come. Where the holder before died, what it may have had in hand is taken one at a time, each attempt
    counted before it is made.
    """

    def __init__(self, work: StepWork, fence: Fence, records: RecordStore, events: EventStreamer, clock: Clock) -> None:
        step = work.workflow.checked().step(work.status)
        if step is None:
            raise ValueError(f"{work.status!r} has no step")
        self._work, self._step, self._graph = work, step, work.workflow.checked()
        self._fence, self._records, self._events, self._clock = fence, records, events, clock
        self._topic = status_topic(work.workflow.name, work.status.value)
        self._owned = work.role.owned(work.workflow.partitions)
        self._share = -(-UNEVEN * WINDOW // len(self._owned))
        self._doubtful: dict[int, int] = {}
        self._progress: dict[int, Progress] = {}
        self._results = Results(fence, work.role.group, records, clock, self._refuse)
        self._in_flight = asyncio.Semaphore(step.max_in_flight)

    @property
    def idle(self) -> bool:
        """True where all that was received is committed."""
        return not self._results.in_hand

    def progress(self) -> Coroutine[Any, Any, bool]:
        """Await it until the next of what it has in hand is committed, counted from this call."""
        return self._results.next_settled()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then finish what is in hand. Cancelled, it leaves that to the next holder. Raises RoleLost."""
        try:
            async with opened(self._work.workflow, self._step, self._work.replaced) as execution:
                await self._begin()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._results.run())
                    await self._receive(stop, tasks, execution)
                    await self._results.room(below=1)
                    self._results.close()
        except* WorkflowError as errors:
            raise errors.exceptions[0] from None

    async def _begin(self) -> None:
        stored = await persist(lambda: self._records.positions(self._work.role.group), self._clock, self._fence.role)
        offsets = {position.partition: position.offset for position in stored}
        self._progress = {partition: Progress(offsets.get(partition, 0)) for partition in self._owned}
        self._results.begin(self._progress)

    async def _receive(self, stop: asyncio.Event, tasks: asyncio.TaskGroup, execution: Execution) -> None:
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                if received := await until_stopped.wait(self._next):
                    await self._dispatch(received, stop, tasks, execution)

    async def _next(self) -> list[Received]:
        """The next events; while some partitions have used up their share of the window only the others are asked."""
        await self._results.room(below=WINDOW)
        offsets = {p: at.next for p, at in self._progress.items() if at.in_hand < self._share}
        limit, all_asked = min(BATCH, WINDOW - self._results.in_hand), len(offsets) == len(self._owned)
        wait = LONG_POLL if all_asked and not self._doubtful else 0.0
        reader = self._work.role.name
        arrivals = await persist(
            lambda: self._events.receive(self._topic, offsets, reader=reader, limit=limit, wait=wait), self._clock, self._fence.role
        )
        received = list(arrivals.events)
        if not received and all_asked:
            self._doubtful.clear()  # all that the holder before can have seen has been begun
            await self._results.make_sure()
        elif not received:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._results.next_settled(), FULL_PAUSE)
        return self._within_share(received)

    def _within_share(self, received: Sequence[Received]) -> list[Received]:
        """What goes beyond a partition's share is left for the next time: whoever comes after a crash counts on the share."""
        room = {partition: self._share - at.in_hand for partition, at in self._progress.items()}
        within: list[Received] = []
        for item in received:
            room[item.event.partition] -= 1
            if room[item.event.partition] >= 0:
                within.append(item)
        return within

    async def _dispatch(self, received: Sequence[Received], stop: asyncio.Event, tasks: asyncio.TaskGroup, execution: Execution) -> None:
        for item in received:
            self._progress[item.event.partition].begin(item.offset)
        self._results.in_hand += len(received)
        for item, record in await self._news(received):
            if self._is_doubtful(item):
                if stop.is_set():  # left in doubt: neither begun nor finished
                    self._results.in_hand -= 1
                    continue
                await self._done(tasks.create_task(self._run_counted(item, record, execution)), within=SUSPENSE)
            elif record.cause is Cause.DOUBT:  # it died when counted last: count it again, whoever takes it
                tasks.create_task(self._run_counted(item, record, execution))
            else:
                tasks.create_task(self._run(item, record, execution))

    async def _done(self, task: asyncio.Task[None], *, within: float) -> None:
        done = asyncio.Event()
        task.add_done_callback(lambda _: done.set())
        await self._clock.wait(done, within)

    async def _news(self, received: Sequence[Received]) -> list[tuple[Received, Record]]:
        """The events that are news, each with the record it is about. The others settle without a write.

        News is what stands at its record's version, with no attempt being made on that yet. Such a repeat may be dropped: the
        first is of the same partition and keeps its position back, so that whoever comes next receives both again.
        """
        unclear = [item for item in received if item.record is None]
        looked_up = await self._look_up(unclear, fresh=False) if unclear else {}
        found = {item.event.run_id: item.record or looked_up.get(item.event.run_id) for item in received}
        ahead = [item for item in received if _is_ahead(item, found[item.event.run_id])]
        if ahead:  # the reader's snapshot was older than the event
            found |= await self._look_up(ahead, fresh=True)
        news: list[tuple[Received, Record]] = []
        for item in received:
            record = found[item.event.run_id]
            attempt = item.event.run_id, item.event.version
            if record is not None and _is_current(item, record) and attempt not in self._results.attempts:
                self._results.attempts.add(attempt)
                news.append((item, record))
            else:
                self._drop(item, record)
        return news

    async def _look_up(self, items: Sequence[Received], *, fresh: bool) -> dict[RunId, Record | None]:
        ids = list({item.event.run_id for item in items})
        records = await persist(lambda: self._records.lookup(ids, fresh=fresh), self._clock, self._fence.role)
        return dict(zip(ids, records, strict=True))

    def _drop(self, item: Received, record: Record | None) -> None:
        """Stale, as a rule. The writer has every version that an event was sent for, unless the store was set back."""
        if _is_ahead(item, record):
            where = {"run_id": item.event.run_id, "version": item.event.version, "role": self._fence.role}
            log.error("the store has no such version of the run any more: was it restored from a backup?", extra=where)
        self._results.add(Result(None, None, item))

    def _is_doubtful(self, item: Received) -> bool:
        left = self._doubtful.get(item.event.partition, 0)
        if left:
            self._doubtful[item.event.partition] = left - 1
        return left > 0

    async def _run(self, item: Received, record: Record, execution: Execution) -> None:
        async with self._in_flight:
            outcome = await execution.outcome(record)
        write = decide(record, outcome, self._step, self._graph, by=self._fence.role, write_id=new_write_id())
        self._results.add(Result(record, write, item))

    async def _run_counted(self, item: Received, record: Record, execution: Execution) -> None:
        """Count the attempt, then make it: it is counted once, whether it fails or kills the process."""
        write = doubt(record, self._step, self._graph, by=self._fence.role, write_id=new_write_id())
        if not attempt_counted(write):
            self._results.add(Result(record, write, item))
            return
        landed = await self._results.commit(record, write)
        self._results.attempts.discard((record.run_id, record.version))
        if isinstance(landed, Conflict):
            self._results.add(Result(None, None, item))
        else:
            self._results.attempts.add((record.run_id, write.version))  # the write's event may come while the attempt is being made
            await self._run(item, msgspec.structs.replace(write.onto(record), attempt=record.attempt), execution)

    def _refuse(self, record: Record, write: Write, why: str) -> Write:
        return decide(record, Failed(why, fatal=True), self._step, self._graph, by=write.by, write_id=new_write_id())


def _is_current(item: Received, record: Record) -> bool:
    return record.awaits is Awaits.EVENT and record.awaited <= item.event.version <= record.version


def _is_ahead(item: Received, record: Record | None) -> bool:
    return record is None or record.version < item.event.version
