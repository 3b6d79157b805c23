"""The role that empties the outbox. It alone publishes, under its fence, so that offsets follow
commit order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Set
from typing import Protocol, TypeAlias

from workflow_ray.errors import SendFailed, StoreError, WorkflowError
from workflow_ray.ports import FIRST_PAUSE, LONGEST_PAUSE, Clock, OutboxMover, Store, persist
from workflow_ray.records import Event, Fence, OutboxEntry, Topic
from workflow_ray.roles.trimming import Trimming
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

log = logging.getLogger(__name__)

BATCH = 2000
"""Entries published at once."""
MOST = 10 * BATCH
"""Entries asked for at once, where timeouts that can't be created now stand before the events."""

TopicPartition: TypeAlias = tuple[Topic, int]


class MovingStore(Store, OutboxMover, Protocol):
    """A store that holds outbox and stream."""


class MovingPublisher:
    """For a store that holds outbox and stream: the events move inside it, and this role only asks
    for it.
    """

    def __init__(
        self, fence: Fence, store: MovingStore, clock: Clock, *, timeouts_apart: bool = False
    ) -> None:
        """timeouts_apart: Another store holds the timeouts, so that they are carried there."""
        self._fence = fence
        self._store = store
        self._clock = clock
        self._timeouts = TimeoutCarrier(fence, store, clock) if timeouts_apart else None

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`. A move cut off has happened or not; either way the next one goes on
        from there. Raises RoleLost.
        """
        await _beside(self._move_all, self._fence, self._store, self._clock, self._timeouts, stop)

    async def _move_all(self, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                await until_stopped.wait(lambda: persist(self._move, self._clock, self._fence.role))

    async def _move(self) -> int:
        return await self._store.move(self._fence, limit=BATCH, wait=LONG_POLL)


class SendingPublisher:
    """Sends what is pending, in order per topic and partition, and removes it. At least once; a
    repeat is stale when it arrives.

    A topic-partition that can't be sent to backs off, and is tried again, beside the others: none
    waits for it.
    """

    def __init__(
        self, fence: Fence, store: Store, clock: Clock, *, timeouts_apart: bool = False
    ) -> None:
        """timeouts_apart: Another store holds the timeouts, so that they are carried there."""
        self._fence = fence
        self._store = store
        self._clock = clock
        self._timeouts = TimeoutCarrier(fence, store, clock) if timeouts_apart else None
        self._failing: frozenset[TopicPartition] = frozenset()
        self._timeouts_seen = 0  # in the last answer

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, then finish what is being sent. Cancelled, it leaves that to the
        next holder. Raises RoleLost.
        """
        await _beside(self._send_all, self._fence, self._store, self._clock, self._timeouts, stop)

    async def _send_all(self, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                pending = await until_stopped.wait(
                    lambda: persist(self._pending, self._clock, self._fence.role)
                )
                events = [entry for entry in pending or () if entry.event is not None]
                if events and (failed := await self._send(events)):
                    tasks.create_task(self._retry(failed, stop))
                elif pending and not events:  # timeouts, which are being carried beside
                    await self._clock.wait(stop, FIRST_PAUSE)

    async def _pending(self) -> list[OutboxEntry]:
        # One that recovers meanwhile has its next events looked for soon
        wait = LONGEST_PAUSE if self._failing else LONG_POLL
        limit = min(BATCH + self._timeouts_seen, MOST)
        pending = await self._store.pending(
            self._fence, limit=limit, wait=wait, without=tuple(self._failing)
        )
        self._timeouts_seen = sum(entry.timeout is not None for entry in pending)
        return pending

    async def _retry(self, entries: list[OutboxEntry], stop: asyncio.Event) -> None:
        """Send them, after a pause that doubles, until all are sent. Until then `pending` leaves
        out their topic-partitions.
        """
        pause = FIRST_PAUSE
        while entries and not await self._clock.wait(stop, pause):
            pause = min(2 * pause, LONGEST_PAUSE)
            entries = await self._send(entries)

    async def _send(self, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        """Send them and remove those that arrived.

        Answers the others, which may have arrived too.
        """
        destinations = {_destination(entry) for entry in entries}
        failed = await self._failed(
            [entry.event for entry in entries if entry.event is not None], destinations
        )
        self._failing |= failed
        if arrived := [entry.id for entry in entries if _destination(entry) not in failed]:
            await persist(
                lambda: self._store.published(self._fence, arrived), self._clock, self._fence.role
            )
        self._failing -= destinations - failed
        return [entry for entry in entries if _destination(entry) in failed]

    async def _failed(
        self, events: list[Event], destinations: Set[TopicPartition]
    ) -> Set[TopicPartition]:
        """Send the events, and tell which topic-partitions may lack some."""
        try:
            await self._store.send(events)
        except StoreError as error:
            if not error.transient:
                raise
            log.warning("%s; trying again", error, extra={"role": self._fence.role})
            return (
                destinations & set(error.topic_partitions)
                if isinstance(error, SendFailed)
                else destinations
            )
        return frozenset()


class TimeoutCarrier:
    """Creates the timeouts of committed writes in the store that holds timeouts, and removes them
    from the outbox. At least once.
    """

    def __init__(self, fence: Fence, store: Store, clock: Clock) -> None:
        self._fence = fence
        self._store = store
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Carry them until `stop`. Raises RoleLost."""
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                await until_stopped.wait(
                    lambda: persist(self._carry, self._clock, self._fence.role)
                )

    async def _carry(self) -> None:
        entries = await self._store.pending(
            self._fence, limit=BATCH, wait=LONG_POLL, timeouts_only=True
        )
        if entries:
            await self._store.create(
                [entry.timeout for entry in entries if entry.timeout is not None]
            )
            await self._store.published(self._fence, [entry.id for entry in entries])


async def _beside(
    publish: Callable[[asyncio.Event, asyncio.TaskGroup], Awaitable[None]],
    fence: Fence,
    store: Store,
    clock: Clock,
    timeouts: TimeoutCarrier | None,
    stop: asyncio.Event,
) -> None:
    """Publish, with what else a publisher does beside it."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Trimming(fence, store, clock).run(stop))
            if timeouts is not None:
                tasks.create_task(timeouts.run(stop))
            await publish(stop, tasks)
    except* WorkflowError as errors:
        raise errors.exceptions[0] from None


def _destination(entry: OutboxEntry) -> TopicPartition:
    assert entry.event is not None, "timeouts are carried apart"
    return entry.event.topic, entry.event.partition
