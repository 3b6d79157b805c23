"""The commits of a role, made in groups: while one commits, the next one is collected."""

import asyncio
import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

from workflow_ray.engine.pace import Pace
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import BATCH_DATA, Fence, Position, WriteGroup
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.partition import Partition, share

BATCH = 500
"""The most writes in one group."""
WINDOW = 2 * BATCH
"""The most events in hand: enough to run one batch while another commits."""
WINDOW_DATA = 2 * BATCH_DATA
"""The bytes of data in hand above which nothing more is received."""
ROOM = BATCH // 4
"""The room that the window must have before more events are received. Otherwise each call would
receive only a few.
"""
FULL_PAUSE = 0.05
"""The seconds between two receives while a partition has used up its share of the window."""
CHECK = 60.0
"""The seconds without a commit after which a role checks its fence. They differ by up to a quarter
from role to role.
"""
PINNED = 8 * BATCH
"""The offsets by which a partition may move on while an event that runs holds back its position.
Then the event is sent again, or set aside.
"""

T = TypeVar("T")


class GroupCommits(ABC, Generic[T]):
    """Collects what is to be committed, and commits it together with the current rows of the
    partitions.

    Args:
        fence: The role's.
        group: The role's group.
        log_id: The id of the log that the rows are of.
        store: Where everything is committed.
        clock: Measures waits.
    """

    def __init__(
        self, fence: Fence, group: str, log_id: str, store: RecordStore, clock: Clock
    ) -> None:
        self._fence = fence
        self._group = group
        self._log_id = log_id
        self._store = store
        self._clock = clock
        self._queue: list[T] = []
        self._partitions: Collection[Partition] = ()
        self._pace = Pace()
        self._wakeup = asyncio.Event()
        self._settled = asyncio.Event()
        self._touched = False
        self._closing = False
        self._committed_at = clock.monotonic()
        self._check_every = CHECK * (0.75 + zlib.crc32(fence.role.encode()) / 2**33)

    def touch(self) -> None:
        """Commit the rows soon, because a partition has moved."""
        self._touched = True
        self._wakeup.set()

    async def check_fence(self) -> None:
        """Raise RoleLost if the role has a newer holder. A role without anything to write would not
        notice that.
        """
        if self._clock.monotonic() - self._committed_at >= self._check_every:
            await store_fenced(self._store, WriteGroup(fence=self._fence), self._clock)
            self._committed_at = self._clock.monotonic()

    def close(self) -> None:
        """Let `run` end when everything that was added is committed."""
        self._closing = True
        self.touch()

    def next_settled(self) -> asyncio.Event:
        """Return what is set when the next events in hand are settled, counted from this call."""
        return self._settled

    async def run(self) -> None:
        """Commit until `close`. Raises RoleLost."""
        while not self._closing or self._queue or self._touched:
            await self._wakeup.wait()
            self._wakeup.clear()
            while self._queue or self._touched:
                self._touched = False
                await self._commit(self._next_batch())

    @abstractmethod
    def _next_batch(self) -> Sequence[T]:
        """Take what the next group commits from the queue."""

    @abstractmethod
    async def _commit(self, batch: Sequence[T]) -> None:
        """Commit what was taken from the queue, and the rows. Raises RoleLost."""

    def _rows(self, reach: int) -> dict[Partition, Position]:
        """Return the rows that have changed.

        Args:
            reach: How many further events may begin before the next commit.
        """
        of_each = share(min(reach, WINDOW), len(self._partitions) or 1)
        return {
            at: row
            for at in self._partitions
            if (row := at.row(self._group, self._log_id, of_each))
        }

    def _notify_settled(self) -> None:
        settled, self._settled = self._settled, asyncio.Event()
        settled.set()
