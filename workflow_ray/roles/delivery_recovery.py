"""Recovery of a deliverer: it tries the events that an earlier holder may have had in hand when its
process died.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Generic

from workflow_ray.ports import Clock
from workflow_ray.records import Position
from workflow_ray.roles.delivery import Batch, Delivery, E, Item, Log
from workflow_ray.roles.delivery_commits import Commits
from workflow_ray.roles.in_doubt import CHUNK, PAUSE, PartitionsInDoubt
from workflow_ray.roles.observation import Observation
from workflow_ray.roles.partition import Partition
from workflow_ray.roles.waiting import Interruptible


class DeliveryRecovery(Generic[E]):
    """Tries the events in doubt in groups, which double in size, and then claims the partitions.

    The offsets of a group are committed in the partitions' rows before the group begins. If the
    process dies, the next holder finds these offsets and sets their events aside, as running under
    the earlier holder. Such entries run one at a time, and an attempt is counted before it begins.
    So an event that kills its process uses up its attempts, and the others lose none.

    Args:
        log: What is read.
        partitions: Those of the role.
        largest: The most deliveries in one group.
        receive: Receives from partitions, up to a limit and a wait.
        take: Takes an item of a partition in hand.
        start: Starts a delivery, in the order of its key.
        suspect: Sets a delivery aside, as running under the earlier holder of its partition.
        commits: Commits the rows.
        observation: Shared by the roles of this process and event loop.
        clock: Measures waits.
        positions: Reads the rows of the partitions.
        claimed: Called when partitions were claimed.
    """

    def __init__(
        self,
        log: Log[E],
        partitions: Collection[Partition],
        largest: int,
        receive: Callable[[Collection[Partition], int, float], Awaitable[Batch[E]]],
        take: Callable[[Item[E]], Delivery[E] | None],
        start: Callable[[Delivery[E]], None],
        suspect: Callable[[Delivery[E], Partition], None],
        commits: Commits[E],
        observation: Observation,
        clock: Clock,
        positions: Callable[[], Awaitable[Sequence[Position]]],
        claimed: Callable[[], None],
    ) -> None:
        self._in_doubt = PartitionsInDoubt(partitions, log.ends, positions, clock)
        self._largest = largest
        self._receive = receive
        self._take = take
        self._start = start
        self._suspect = suspect
        self._commits = commits
        self._observation = observation
        self._claimed = claimed
        self._pending: list[Delivery[E]] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Recover until everything is tried, or until `stop`. Untried events stay in doubt."""
        if not self._in_doubt:
            return
        async with Interruptible(stop) as until_stopped:
            await self._in_doubt.let_release(stop, until_stopped)
            size = 1
            while self._in_doubt and not stop.is_set():
                await self._read(size, stop, until_stopped)
                await self._claim_tried()
                if self._pending and not stop.is_set():
                    await self._try(size, stop, until_stopped)
                    size = min(2 * size, self._largest)
        for delivery in self._pending:
            self._commits.forget(delivery)

    # --- reading --------------------------------------------------------------------------------

    async def _read(self, count: int, stop: asyncio.Event, until_stopped: Interruptible) -> None:
        """Read until that many deliveries are pending, and set suspects aside at once."""
        while (
            len(self._pending) < count
            and not stop.is_set()
            and (reading := await self._in_doubt.to_read())
        ):
            wait = 0.0 if self._pending else PAUSE
            batch = await until_stopped.wait(partial(self._receive, reading, CHUNK, wait))
            if batch is None:
                return
            before = sum(partition.progress.next for partition in reading)
            self._sort(batch)
            if sum(partition.progress.next for partition in reading) == before:
                if self._pending:
                    return  # they need not wait for events that can't be read now
                # The log does not tell its end, and nothing more comes: this is the end.
                self._in_doubt.end_here([at for at in reading if not at.suspects])

    def _sort(self, batch: Batch[E]) -> None:
        partitions = self._in_doubt.by_number()
        for item in batch.items:
            partition = partitions.get(item.partition)
            if partition is None or item.offset >= self._in_doubt.end(partition):
                continue
            delivery = self._take(item)
            if delivery is None:
                continue
            if item.offset in partition.suspects:
                self._suspect(delivery, partition)
            else:
                self._pending.append(delivery)
        for number, offset in batch.read.items():
            if number in partitions:
                at = partitions[number]
                at.progress.skip(min(offset, self._in_doubt.end(at)))

    # --- trying ---------------------------------------------------------------------------------

    async def _try(self, size: int, stop: asyncio.Event, until_stopped: Interruptible) -> None:
        """Run the next deliveries together until all have ended, but at most OBSERVED seconds."""
        if not await until_stopped.wait(self._observation.begin_group):
            return
        try:
            group = self._pending[:size]
            for delivery in group:
                assert delivery.partition is not None, "it was read from the log"
                delivery.partition.trying.add(delivery.item.offset)
            await self._commits.flush()
            if not stop.is_set():
                self._pending = self._pending[size:]
                for delivery in group:
                    self._start(delivery)
                await until_stopped.wait(partial(self._in_doubt.until_ended, group))
        finally:
            await self._observation.end_group()

    async def _claim_tried(self) -> None:
        """Claim the partitions in which everything was tried."""
        waiting = {at for delivery in self._pending if (at := delivery.partition) is not None}
        if self._in_doubt.claim_tried(waiting):
            await self._commits.flush()
            self._claimed()
