"""Provides the load for adapters: batches of runs, steps and events, as clients and roles send."""

from collections.abc import Sequence

from benchmarks.stopwatch import Stopwatch
from benchmarks.workload import Job, JobStatus, jobs
from workflow_ray.engine.runs import first_write
from workflow_ray.engine.transition import Returned, decide
from workflow_ray.ports import EventStreamer
from workflow_ray.records import (
    PUBLISHER,
    Committed,
    Event,
    Position,
    Record,
    Role,
    Stored,
    Topic,
    Write,
    WriteGroup,
    consumer_group,
    new_run_id,
    new_write_id,
)
from workflow_ray.runtime.deploying import describe, merge
from workflow_ray.runtime.mixed import MovingStore

GROUP = consumer_group(jobs.name, JobStatus.QUEUED.value)
SENT = Topic("sent-1")
"""A separate topic, so that these events do not mix with those of the outbox."""
PARTITIONS = range(jobs.partitions)
PATIENCE = 10.0
"""Seconds to wait for events that were sent."""


class RecordBatches:
    """Stores new runs and their first step, looks them up, and moves their events."""

    def __init__(self, store: MovingStore) -> None:
        self._store = store
        self._events = EventBatches(store)
        self._offset = 0

    async def begin(self) -> None:
        await merge(self._store, [describe(jobs)])
        await self._events.begin()
        self._consumer = await self._store.acquire(Role(GROUP))
        self._publisher = await self._store.acquire(Role(PUBLISHER))

    async def round(self, size: int, watch: Stopwatch) -> None:
        writes = _triggers(size)
        await watch.timed(
            "store new runs", size, lambda: self._store_group(WriteGroup(writes=writes))
        )
        records = await watch.timed(
            "lookup", size, lambda: self._store.lookup([write.run_id for write in writes])
        )
        self._offset += size
        positions = tuple(Position(GROUP, partition, self._offset) for partition in PARTITIONS)
        group = WriteGroup(writes=_steps(records), positions=positions, fence=self._consumer)
        await watch.timed("store steps", size, lambda: self._store_group(group))
        await self._events.round(size, watch, writes)
        while await watch.untimed(lambda: self._store.move(self._publisher, limit=2000, wait=0)):
            pass

    async def _store_group(self, group: WriteGroup) -> None:
        (answer,) = await self._store.store([group])
        assert isinstance(answer, Committed)
        assert all(isinstance(result, Stored) for result in answer.results)


class EventBatches:
    """Sends and receives events."""

    def __init__(self, store: EventStreamer) -> None:
        self._store = store

    async def begin(self) -> None:
        await self._store.prepare({SENT: jobs.partitions})

    async def round(
        self, size: int, watch: Stopwatch, writes: Sequence[Write] | None = None
    ) -> None:
        events = [
            _event(write, at % jobs.partitions)
            for at, write in enumerate(writes or _triggers(size))
        ]
        offsets = await watch.untimed(lambda: self._store.ends(SENT, PARTITIONS))
        await watch.timed("send", size, lambda: self._store.send(events))
        await watch.timed("receive", size, lambda: self._receive(offsets, size))

    async def _receive(self, offsets: dict[int, int], count: int) -> None:
        while count > 0:
            found = (
                await self._store.receive(
                    SENT, offsets, reader="benchmark", limit=count, wait=PATIENCE
                )
            ).events
            assert found, "events that were sent don't arrive"
            offsets |= {item.event.partition: item.offset + 1 for item in found}
            count -= len(found)


def _triggers(count: int) -> tuple[Write, ...]:
    """Make new runs, as a client triggers them."""
    data = jobs.encode(Job(number=1))
    run_ids = [new_run_id() for _ in range(count)]
    return tuple(
        first_write(
            jobs,
            f"job-{run_id}",
            data,
            JobStatus.QUEUED,
            run_id=run_id,
            write_id=new_write_id(),
            by="benchmark",
        )
        for run_id in run_ids
    )


def _steps(records: Sequence[Record | None]) -> tuple[Write, ...]:
    """Make the writes of the first step."""
    step = jobs.checked().step(JobStatus.QUEUED)
    assert step
    outcome = Returned(JobStatus.PREPARED, jobs.encode(Job(number=1, steps=1)))
    return tuple(
        decide(record, outcome, step, jobs, by=GROUP, write_id=new_write_id())
        for record in records
        if record
    )


def _event(write: Write, partition: int) -> Event:
    """Make the event of a write, in a given partition.

    Each partition gets as many events; otherwise a batch would leave some of the fullest partition
    to the next batch.
    """
    return Event(
        run_id=write.run_id,
        topic=SENT,
        partition=partition,
        version=write.version,
        status=write.status,
    )
