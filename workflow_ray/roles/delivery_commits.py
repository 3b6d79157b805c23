"""The commits of a deliverer: positions, and the entries that it sets aside or takes back."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic

from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import (
    BATCH_DATA,
    Fence,
    NewSetAside,
    Position,
    SetAsideKey,
    WriteGroup,
)
from workflow_ray.roles.delivery import Delivery, E, Phase
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.group_commits import BATCH, PINNED, GroupCommits
from workflow_ray.roles.own_writes import OwnWrites
from workflow_ray.roles.partition import Partition


@dataclass(slots=True, eq=False)
class Change(Generic[E]):
    """What becomes of an event. All fields are optional.

    `answer` is done when this change and all earlier ones are committed.
    """

    delivery: Delivery[E] | None = None  # it is finished
    set_aside: NewSetAside | None = None
    taken_back: SetAsideKey | None = None
    answer: asyncio.Future[None] | None = None


class Commits(GroupCommits[Change[E]], Generic[E]):
    """Commits what becomes of events.

    Args:
        fence: The role's.
        group: The role's group.
        log_id: The id of the log.
        store: Where positions and entries are.
        clock: Measures waits.
        entry: Makes the entry of a delivery that runs for so long that it holds up the position.
    """

    def __init__(
        self,
        fence: Fence,
        group: str,
        log_id: str,
        store: RecordStore,
        clock: Clock,
        entry: Callable[[Delivery[E]], NewSetAside],
    ) -> None:
        super().__init__(fence, group, log_id, store, clock)
        self._entry = entry
        self._free: Callable[[], int] = lambda: 0
        self.own_writes = OwnWrites[SetAsideKey]()  # the entries that are settled
        self.in_hand = set[Delivery[E]]()
        self.data = 0  # the bytes in hand

    def begin(self, partitions: Collection[Partition], free: Callable[[], int]) -> None:
        """Commit the rows of these partitions from now on.

        Args:
            partitions: They may become more.
            free: How many further deliveries may begin now.
        """
        self._partitions = partitions
        self._free = free

    def take(self, delivery: Delivery[E]) -> None:
        """Take a delivery in hand."""
        self.in_hand.add(delivery)
        self.data += delivery.item.size

    def aside(self) -> set[SetAsideKey]:
        """Return the keys of the entries in hand."""
        return {delivery.key for delivery in self.in_hand if delivery.is_aside}

    def forget(self, delivery: Delivery[E]) -> None:
        """Leave the delivery to the next holder."""
        delivery.phase = Phase.ABANDONED
        if delivery.partition is not None:
            delivery.partition.trying.discard(delivery.item.offset)
        self._remove(delivery)
        delivery.ended.set()
        self._notify_settled()

    def add(self, change: Change[E]) -> None:
        if change.delivery is not None:
            change.delivery.phase = Phase.DONE
        self._queue.append(change)
        self._wakeup.set()

    async def flush(self, change: Change[E] | None = None) -> None:
        """Wait until the change and the current rows of the partitions are committed."""
        change = change or Change()
        change.answer = asyncio.get_running_loop().create_future()
        self.add(change)
        await change.answer

    async def settled(self) -> None:
        """Wait until nothing is in hand."""
        while self.in_hand:
            await self.next_settled().wait()

    def _next_batch(self) -> list[Change[E]]:
        size = count = 0
        for change in self._queue[:BATCH]:
            count += 1
            size += len(change.set_aside.event) if change.set_aside is not None else 0
            if size > BATCH_DATA:
                break
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    async def _commit(self, batch: Sequence[Change[E]]) -> None:
        finished = [change.delivery for change in batch if change.delivery is not None]
        for delivery in finished:
            delivery.finish()
        if finished:
            self._pace.note(len(finished))
        entries = {entry.key: entry for entry in self._pinning()} | _entries(batch)
        rows = self._rows(self._pace.reach(self._free()))
        if entries or rows:
            await self._store_group(
                tuple(rows.values()),
                tuple(entry for entry in entries.values() if entry is not None),
                tuple(key for key, entry in entries.items() if entry is None),
            )
        for partition, row in rows.items():
            partition.stored(row)
        for delivery in finished:
            self._remove(delivery)
        for change in batch:
            if change.answer is not None and not change.answer.done():
                change.answer.set_result(None)
        self._notify_settled()

    def _pinning(self) -> list[NewSetAside]:
        """Set aside the deliveries that run for so long that they hold up a position."""
        if max([at.progress.span for at in self._partitions], default=0) <= PINNED:
            return []
        pinning = [delivery for delivery in self.in_hand if delivery.pins(PINNED)]
        entries = [self._entry(delivery) for delivery in pinning]
        for delivery in pinning:
            delivery.is_aside = True
            delivery.finish()
        return entries

    def _remove(self, delivery: Delivery[E]) -> None:
        if delivery in self.in_hand:
            self.in_hand.remove(delivery)
            self.data -= delivery.item.size
            if delivery.is_aside:
                self.own_writes.note(delivery.key)

    async def _store_group(
        self,
        rows: tuple[Position, ...],
        set_aside: tuple[NewSetAside, ...],
        taken_back: tuple[SetAsideKey, ...],
    ) -> None:
        group = WriteGroup(
            positions=rows, fence=self._fence, set_aside=set_aside, taken_back=taken_back
        )
        await store_fenced(self._store, group, self._clock)
        self._committed_at = self._clock.monotonic()


def _entries(batch: Sequence[Change[E]]) -> dict[SetAsideKey, NewSetAside | None]:
    """The entries that the changes make, or take back (None). The last change of each counts."""
    entries: dict[SetAsideKey, NewSetAside | None] = {}
    for change in batch:
        if change.set_aside is not None:
            entries[change.set_aside.key] = change.set_aside
        if change.taken_back is not None:
            entries[change.taken_back] = None
    return entries
