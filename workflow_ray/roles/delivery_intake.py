"""The intake of a deliverer: its partitions, and the events that it takes in hand."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Generic

from workflow_ray.engine.recovery import Start, start
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import Fence, Position, Role, SetAsideKey
from workflow_ray.roles.delivery import Batch, Delivery, E, Item, Log
from workflow_ray.roles.delivery_commits import Commits
from workflow_ray.roles.group_commits import BATCH, FULL_PAUSE, ROOM, WINDOW, WINDOW_DATA
from workflow_ray.roles.partition import Partition, share
from workflow_ray.roles.waiting import LONG_POLL, Interruptible

logger = logging.getLogger(__name__)

RECOVERING = 0.5
"""The seconds that a receive waits while other partitions are in doubt, whose events are read too.
"""
DISCOVERY = 30.0
"""The seconds after which a log is asked again which partitions it has."""


class DeliveryIntake(Generic[E]):
    """Receives the events of the partitions that a role owns: those with a number p for which
    p % shards is the number of its shard, from 0.
    """

    def __init__(
        self,
        role: Role,
        fence: Fence,
        log: Log[E],
        records: RecordStore,
        commits: Commits[E],
        clock: Clock,
    ) -> None:
        self._role = role
        self._fence = fence
        self._log = log
        self._records = records
        self._commits = commits
        self._clock = clock
        self._discovered_at = 0.0
        self._until_stopped: Interruptible | None = None
        self.partitions: dict[int, Partition] = {}

    async def begin(self) -> None:
        """Read the rows of the owned partitions. `Commits.flush` then claims those without events
        in doubt.
        """
        rows = {row.partition: row for row in await self.positions()}
        self._discovered_at = self._clock.monotonic()
        for number, first in (await self._owned_starts()).items():
            row = rows.get(number)
            if row is not None and row.log == self._log.id:
                begin = start(row, self._fence, self._log.id)
            else:
                begin = Start(first)
            self.partitions[number] = Partition(number, begin, self._fence)

    async def positions(self) -> list[Position]:
        """Read the rows of the group."""
        group = self._role.group
        return await persist(lambda: self._records.positions(group), self._clock, self._fence.role)

    async def receive_until(
        self, stop: asyncio.Event, arrive: Callable[[Delivery[E]], None]
    ) -> None:
        """Take events in hand until `stop`."""
        async with Interruptible(stop) as self._until_stopped:
            while not stop.is_set():
                items = await self._until_stopped.wait(self._next)
                for item in items or ():
                    if delivery := self.take(item):
                        arrive(delivery)

    def receive_claimed(self) -> None:
        """Receive from partitions that were claimed since the current receive began."""
        if self._until_stopped is not None:
            self._until_stopped.cut()

    def take(self, item: Item[E]) -> Delivery[E] | None:
        """Take an event in hand. None: it was received before."""
        partition = self.partitions[item.partition]
        if item.offset < partition.progress.next:
            return None
        partition.progress.begin(item.offset)
        place = partition.number, item.offset, self._log.id, partition.incarnation
        delivery = Delivery(item, SetAsideKey(self._role.group, *place), 0, partition)
        self._commits.take(delivery)
        return delivery

    async def receive(
        self, partitions: Collection[Partition], limit: int, wait: float, *, suffix: str = ""
    ) -> Batch[E]:
        """Receive the next events of the partitions. One whose log is a new one begins again."""
        offsets = {partition.number: partition.progress.next for partition in partitions}
        reader = f"{self._role.name}{suffix}"
        batch = await persist(
            lambda: self._log.receive(offsets, reader=reader, limit=limit, wait=wait),
            self._clock,
            self._fence.role,
        )
        below = {item.partition for item in batch.items if item.offset < offsets[item.partition]}
        restarted = below.union(batch.lost)
        for number in sorted(restarted):
            text = (
                "%s: partition %d of %s ends below position %d: it lost events, or was made again."
                " Reading it from its beginning."
            )
            where = {"role": self._fence.role}
            logger.warning(
                text, self._fence.role, number, self._log.id, offsets[number], extra=where
            )
            self.partitions[number].restart()
        if restarted:
            await self._commits.flush()
        return batch

    async def _next(self) -> Sequence[Item[E]]:
        """Receive the next events, from the partitions that have not used up their share of the
        window.
        """
        while len(self._commits.in_hand) > WINDOW - ROOM or self._commits.data >= WINDOW_DATA:
            await self._commits.next_settled().wait()
        await self._discover()
        claimed = [at for at in self.partitions.values() if at.in_doubt is None]
        most = share(WINDOW, len(self.partitions) or 1)
        asked = [at for at in claimed if at.progress.in_hand < most]
        if not asked:
            await self._pause(claimed)
            return ()
        limit = min(BATCH, WINDOW - len(self._commits.in_hand))
        patience = LONG_POLL if len(claimed) == len(self.partitions) else RECOVERING
        batch = await self.receive(asked, limit, patience if len(asked) == len(claimed) else 0.0)
        self._pass(batch)
        if not batch.items:
            await self._commits.check_fence()
        return batch.items

    async def _pause(self, claimed: Sequence[Partition]) -> None:
        """Wait until a partition has room, or is claimed, or the log may have a new one."""
        if claimed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._commits.next_settled().wait(), FULL_PAUSE)
        else:
            await self._clock.wait(asyncio.Event(), LONG_POLL)
            await self._commits.check_fence()

    def _pass(self, batch: Batch[E]) -> None:
        """Go on behind what are not events, in partitions without an event in the batch."""
        with_events = {item.partition for item in batch.items}
        for number, offset in batch.read.items():
            progress = self.partitions[number].progress
            if number not in with_events and offset > progress.next:
                progress.skip(offset)
                self._commits.touch()

    async def _owned_starts(self) -> dict[int, int]:
        starts = await persist(self._log.starts, self._clock, self._fence.role)
        shards, mine = self._role.shards, self._role.shard - 1
        return {number: starts[number] for number in sorted(starts) if number % shards == mine}

    async def _discover(self) -> None:
        """Begin with partitions that the log has got since the last look, at their beginning."""
        if self._clock.monotonic() - self._discovered_at < DISCOVERY:
            return
        self._discovered_at = self._clock.monotonic()
        new = [number for number in await self._owned_starts() if number not in self.partitions]
        for number in new:
            self.partitions[number] = Partition(number, Start(0), self._fence)
        if new:
            await self._commits.flush()
