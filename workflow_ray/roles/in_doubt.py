"""The partitions of a role in which an earlier holder may have run events: what is left of them to
read, and when they are claimed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Protocol

from workflow_ray.errors import StoreError
from workflow_ray.ports import Clock
from workflow_ray.records import Position
from workflow_ray.roles.observation import OBSERVED
from workflow_ray.roles.partition import Partition
from workflow_ray.roles.waiting import Interruptible

CHUNK = 100
"""The events that are read at once."""
PAUSE = 1.0
"""The seconds that a read waits for events that are not available now."""
LOOK = 0.5
"""The seconds between two looks whether an earlier holder has released."""
LOOKS = 10
"""The looks until an earlier holder counts as dead.

One that is alive loses its fence and releases in the meantime. Looks are counted, and not seconds,
because it can't release while the store does not answer, or while a blocking step holds up the
process of both.
"""


class Ending(Protocol):
    """What a recovery has started."""

    @property
    def ended(self) -> asyncio.Event: ...


class PartitionsInDoubt:
    """Those of a role's partitions that have events in doubt, until they are claimed.

    Args:
        partitions: The role's.
        ends: Reads where logs end, of partitions by their numbers. It may leave some out.
        positions: Reads the rows of the partitions.
        clock: Measures waits.
    """

    def __init__(
        self,
        partitions: Iterable[Partition],
        ends: Callable[[list[int]], Awaitable[dict[int, int]]],
        positions: Callable[[], Awaitable[Sequence[Position]]],
        clock: Clock,
    ) -> None:
        self._left = [partition for partition in partitions if partition.in_doubt]
        self._read_ends = ends
        self._positions = positions
        self._clock = clock
        self._ends: dict[Partition, int] = {}

    def __bool__(self) -> bool:
        return bool(self._left)

    async def let_release(self, stop: asyncio.Event, until_stopped: Interruptible) -> None:
        """Wait for the earlier holder to release partitions with suspects, and claim these."""
        held = [partition for partition in self._left if partition.is_held]
        looks = LOOKS
        while held and looks:
            looks -= 1
            await until_stopped.wait(partial(self._clock.wait, asyncio.Event(), LOOK))
            if stop.is_set():
                return  # the rows stay as they are
            in_use = {row.partition for row in await self._positions() if row.in_use}
            for partition in held:
                if partition.number not in in_use:
                    partition.claim()
            held = [partition for partition in held if partition.is_held]
        for partition in held:
            partition.is_held = False

    def by_number(self) -> dict[int, Partition]:
        return {partition.number: partition for partition in self._left if partition.in_doubt}

    async def to_read(self) -> list[Partition]:
        """Return the partitions with events in doubt that were not read yet."""
        await self._find_ends(self._unread())
        return self._unread()  # there may be fewer, because their ends are known now

    def end(self, partition: Partition) -> int:
        """Return the offset at or beyond which nothing is in doubt."""
        begun = partition.in_doubt.begun if partition.in_doubt else 0
        return min(begun, self._ends.get(partition, begun))

    def end_here(self, partitions: Collection[Partition]) -> None:
        """Take the next offset of each as its log's end, where that is not known."""
        for partition in partitions:
            self._ends.setdefault(partition, partition.progress.next)

    def claim_tried(self, waiting: Collection[Partition]) -> bool:
        """Claim the partitions in which everything was tried.

        Args:
            waiting: Partitions with events that were read and not tried yet.

        Returns:
            Whether any were claimed.
        """
        untried = {*waiting, *self._unread()}
        tried = [partition for partition in self._left if partition not in untried]
        self._left = [partition for partition in self._left if partition in untried]
        for partition in tried:
            partition.claim()
        return bool(tried)

    async def until_ended(self, group: Iterable[Ending]) -> None:
        """Wait until all of a group have ended, but at most OBSERVED seconds."""
        deadline = self._clock.monotonic() + OBSERVED
        for each in group:
            await self._clock.wait(each.ended, deadline - self._clock.monotonic())

    def _unread(self) -> list[Partition]:
        return [at for at in self._left if at.in_doubt and at.progress.next < self.end(at)]

    async def _find_ends(self, partitions: Collection[Partition]) -> None:
        """Find the ends of the logs. Later events came after the earlier holder died."""
        if unknown := [partition for partition in partitions if partition not in self._ends]:
            try:
                ends = await self._read_ends([partition.number for partition in unknown])
            # it is tried again; until then the end is `begun`, which the holder has committed
            except StoreError:
                return
            self._ends |= {
                partition: ends[partition.number]
                for partition in unknown
                if partition.number in ends
            }
