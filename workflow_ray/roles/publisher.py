"""The role that empties the outbox. It alone publishes, under its fence, so that offsets follow commit order."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeAlias

from workflow_ray.errors import StoreUnavailable
from workflow_ray.ports import FIRST_PAUSE, LONGEST_PAUSE, Clock, EventStreamer, OutboxMover, RecordStore, persist
from workflow_ray.records import Fence, OutboxEntry, Topic
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

BATCH = 2000
"""Events published at once."""

Lane: TypeAlias = tuple[Topic, int]


class MovingPublisher:
    """For a store that holds outbox and stream: the events move inside it, and this role only asks for it."""

    def __init__(self, fence: Fence, store: OutboxMover, clock: Clock) -> None:
        self._fence, self._store, self._clock = fence, store, clock
        self.settled = True  # whoever comes next moves what is left

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`. A move cut off has happened or not; either way the next one goes on from there. Raises RoleLost."""
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                await until_stopped.wait(lambda: persist(self._move, self._clock, self._fence.role))

    async def _move(self) -> int:
        return await self._store.move(self._fence, limit=BATCH, wait=LONG_POLL)


class SendingPublisher:
    """Sends what is pending, in order per topic and partition, and removes it. At least once; a repeat is stale when it arrives.

    A topic and partition that can't be sent to backs off alone: the others go on.
    """

    def __init__(self, fence: Fence, records: RecordStore, events: EventStreamer, clock: Clock) -> None:
        self._fence, self._records, self._events, self._clock = fence, records, events, clock
        self._failing: dict[Lane, tuple[float, datetime]] = {}  # the pause in seconds, and when it is over
        self.settled = True  # whoever comes next sends what is left

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, then finish the batch in hand. Cancelled, it leaves that to the next holder. Raises RoleLost."""
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                if pending := await until_stopped.wait(lambda: persist(self._pending, self._clock, self._fence.role)):
                    await self._publish(pending)

    async def _pending(self) -> list[OutboxEntry]:
        now = self._clock.now()
        backing_off = {lane: until for lane, (_, until) in self._failing.items() if until > now}
        wait = min(((until - now).total_seconds() for until in backing_off.values()), default=LONG_POLL)
        return await self._records.pending(self._fence, limit=BATCH, wait=wait, without=tuple(backing_off))

    async def _publish(self, pending: Sequence[OutboxEntry]) -> None:
        lanes: dict[Lane, list[OutboxEntry]] = defaultdict(list)
        for entry in pending:
            lanes[entry.event.topic, entry.event.partition].append(entry)
        try:
            await self._events.send([entry.event for entry in pending])
            sent = list(pending)
            self._failing = {lane: pause for lane, pause in self._failing.items() if lane not in lanes}
        except StoreUnavailable:  # which of them failed is unknown: each on its own
            tried = await asyncio.gather(*(self._send(lane, entries) for lane, entries in lanes.items()))
            sent = [entry for entries in tried for entry in entries]
        ids = [entry.id for entry in sent]
        if ids:
            await persist(lambda: self._records.published(self._fence, ids), self._clock, self._fence.role)

    async def _send(self, lane: Lane, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        try:
            await self._events.send([entry.event for entry in entries])
        except StoreUnavailable:
            pause = min(2 * self._failing[lane][0], LONGEST_PAUSE) if lane in self._failing else FIRST_PAUSE
            self._failing[lane] = (pause, self._clock.now() + timedelta(seconds=pause))
            return []
        self._failing.pop(lane, None)
        return entries
