"""The role that publishes the outbox. No other role publishes, so offsets follow the order of
commits.
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
"""The entries that are published at once."""
MOST = 10 * BATCH
"""The most entries that are read at once, if timeouts that can't be created precede events."""

TopicPartition: TypeAlias = tuple[Topic, int]


class MovingStore(Store, OutboxMover, Protocol):
    """A store that holds both outbox and stream."""


class MovingPublisher:
    """Publishes in a store that holds both outbox and stream: the store moves the events itself."""

    def __init__(
        self, fence: Fence, store: MovingStore, clock: Clock, *, timeouts_apart: bool = False
    ) -> None:
        """timeouts_apart: Another store holds the timeouts, so that they are carried there."""
        self._fence = fence
        self._store = store
        self._clock = clock
        self._timeouts = TimeoutCarrier(fence, store, clock) if timeouts_apart else None

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`. Raises RoleLost.

        If it is cancelled, the last move may have happened or not; the next one goes on from there.
        """
        await _beside(self._move_all, self._fence, self._store, self._clock, self._timeouts, stop)

    async def _move_all(self, stop: asyncio.Event, tasks: asyncio.TaskGroup) -> None:
        async with Interruptible(stop) as until_stopped:
            while not stop.is_set():
                await until_stopped.wait(lambda: persist(self._move, self._clock, self._fence.role))

    async def _move(self) -> int:
        return await self._store.move(self._fence, limit=BATCH, wait=LONG_POLL)


class SendingPublisher:
    """Sends pending events, in order per topic-partition, and removes them from the outbox.

    Events are sent at least once; a repeat is stale when it arrives. A topic-partition that fails
    backs off alone, and delays no other.
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
        self._timeouts_seen = 0  # the number of timeouts in the last read

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`, then finish what is being sent. Raises RoleLost.

        If it is cancelled, it leaves that to the next holder.
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
                elif pending and not events:  # only timeouts, which another task carries
                    await self._clock.wait(stop, FIRST_PAUSE)

    async def _pending(self) -> list[OutboxEntry]:
        # a short wait, so that events for a recovered topic-partition are read soon
        wait = LONGEST_PAUSE if self._failing else LONG_POLL
        limit = min(BATCH + self._timeouts_seen, MOST)
        pending = await self._store.pending(
            self._fence, limit=limit, wait=wait, without=tuple(self._failing)
        )
        self._timeouts_seen = sum(entry.timeout is not None for entry in pending)
        return pending

    async def _retry(self, entries: list[OutboxEntry], stop: asyncio.Event) -> None:
        """Send the entries, after pauses that double, until all are sent.

        Until then `pending` leaves out their topic-partitions.
        """
        pause = FIRST_PAUSE
        while entries and not await self._clock.wait(stop, pause):
            pause = min(2 * pause, LONGEST_PAUSE)
            entries = await self._send(entries)

    async def _send(self, entries: list[OutboxEntry]) -> list[OutboxEntry]:
        """Send the entries, and remove those that have arrived.

        Returns:
            The others, which may have arrived too.
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
        """Send the events. Returns the topic-partitions in which some may be missing."""
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
    """Creates the timeouts of committed writes in the timeout store, at least once, and removes
    them from the outbox.
    """

    def __init__(self, fence: Fence, store: Store, clock: Clock) -> None:
        self._fence = fence
        self._store = store
        self._clock = clock

    async def run(self, stop: asyncio.Event) -> None:
        """Carry timeouts until `stop`. Raises RoleLost."""
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
    """Publish, and meanwhile trim topics and carry timeouts."""
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
