"""The role that empties the outbox. It alone publishes, under its fence, so that offsets follow commit order."""

import asyncio
import logging
from collections.abc import Set
from typing import TypeAlias

from workflow_ray.errors import SendFailed, StoreBusy, StoreFull, StoreUnavailable, WorkflowError
from workflow_ray.ports import FIRST_PAUSE, LONGEST_PAUSE, Clock, EventStreamer, OutboxMover, RecordStore, persist
from workflow_ray.records import Event, Fence, OutboxEntry, Topic
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

log = logging.getLogger(__name__)

BATCH = 2000
"""Events published at once."""

Lane: TypeAlias = tuple[Topic, int]


class MovingPublisher:
    """For a store that holds outbox and stream: the events move inside it, and this role only asks for it."""

    def __init__(self, fence: Fence, store: OutboxMover, clock: Clock) -> None:
        self._fence, self._store, self._clock = fence, store, clock

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`. A move cut off has happened or not; either way the next one goes on from there. Raises RoleLost."""
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                await until_stopped.wait(lambda: persist(self._move, self._clock, self._fence.role))

    async def _move(self) -> int:
        return await self._store.move(self._fence, limit=BATCH, wait=LONG_POLL)


class SendingPublisher:
    """Sends what is pending, in order per topic and partition, and removes it. At least once; a repeat is stale when it arrives.

    A topic and partition that can't be sent to backs off, and is tried again, beside the others: none waits for it.
    """

    def __init__(self, fence: Fence, records: RecordStore, events: EventStreamer, clock: Clock) -> None:
        self._fence, self._records, self._events, self._clock = fence, records, events, clock
        self._failing: frozenset[Lane] = frozenset()

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, then finish what is being sent. Cancelled, it leaves that to the next holder. Raises RoleLost."""
        try:
            async with asyncio.TaskGroup() as retries, Interruptible(stop) as until_stopped:
                while not stop.is_set():
                    pending = await until_stopped.wait(lambda: persist(self._pending, self._clock, self._fence.role))
                    if pending and (failed := await self._send(pending)):
                        retries.create_task(self._retry(failed, stop))
        except* WorkflowError as errors:
            raise errors.exceptions[0] from None

    async def _pending(self) -> list[OutboxEntry]:
        wait = LONGEST_PAUSE if self._failing else LONG_POLL  # a lane that recovers meanwhile has its next events looked for soon
        return await self._records.pending(self._fence, limit=BATCH, wait=wait, without=tuple(self._failing))

    async def _retry(self, entries: list[OutboxEntry], stop: asyncio.Event) -> None:
        """Send them, after a pause that doubles, until all are sent. Until then their lanes are left out of what is pending."""
        pause = FIRST_PAUSE
        while entries and not await self._clock.wait(stop, pause):
            pause = min(2 * pause, LONGEST_PAUSE)
            entries = await self._send(entries)

    async def _send(self, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        """Send them and remove those that arrived. Answers the others, which may have arrived too."""
        lanes = {_lane(entry) for entry in entries}
        failed = await self._failed([entry.event for entry in entries if entry.event is not None], lanes)
        self._failing |= failed
        if arrived := [entry.id for entry in entries if _lane(entry) not in failed]:
            await persist(lambda: self._records.published(self._fence, arrived), self._clock, self._fence.role)
        self._failing -= lanes - failed
        return [entry for entry in entries if _lane(entry) in failed]

    async def _failed(self, events: list[Event], lanes: Set[Lane]) -> Set[Lane]:
        """Send the events, and tell which of their lanes may lack some."""
        try:
            await self._events.send(events)
        except (StoreUnavailable, StoreBusy, StoreFull) as error:
            log.warning("%s; trying again", error, extra={"role": self._fence.role})
            return lanes & set(error.topic_partitions) if isinstance(error, SendFailed) else lanes
        return frozenset()


def _lane(entry: OutboxEntry) -> Lane:
    assert entry.event is not None, "timeouts are carried apart"
    return entry.event.topic, entry.event.partition
