"""The results of a consumer, written in groups: while one commits, the next one is collected."""

import asyncio
import logging
import zlib
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from workflow_ray.engine.pace import Pace
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import (
    BATCH_DATA,
    Event,
    Fence,
    Position,
)
from workflow_ray.roles.attempt import Attempt, Attempts, Phase
from workflow_ray.roles.group_store import GroupStore, Refuse
from workflow_ray.roles.partition import Partition, share
from workflow_ray.roles.result import Answer, Result, size_of_children

log = logging.getLogger(__name__)

BATCH = 500
"""The most writes in one group."""
WINDOW = 2 * BATCH
"""The most events in hand: enough to run one batch while another commits."""
CHECK = 60.0
"""The seconds without a commit after which a role checks its fence. They differ by up to a quarter
from role to role.
"""
PINNED = 8 * BATCH
"""The offsets by which a partition may move on while an attempt holds back its position. Then the
event of the attempt is sent again.
"""


LookAgain: TypeAlias = Callable[[Sequence[Attempt]], object]
"""Looks at the runs of attempts again. Their results are committed, their events wait."""
ReserveAhead: TypeAlias = Callable[[Pace], int]
"""Reserves the offsets of attempts that may begin soon. Returns how many more may begin, whose
events were not received yet.
"""


class Results:
    """Commits results in groups, together with the current rows of the partitions.

    `run` raises RoleLost.
    """

    def __init__(
        self,
        fence: Fence,
        group: str,
        log_id: str,
        store: RecordStore,
        clock: Clock,
        refuse: Refuse,
    ) -> None:
        self._fence = fence
        self._group = group
        self._log_id = log_id
        self._clock = clock
        self._groups = GroupStore(fence, store, clock, refuse)
        self._queue: list[Result] = []
        self._look_again: LookAgain = lambda attempts: None
        self._partitions: Collection[Partition] = ()
        self._pace = Pace()
        self._reserve_ahead: ReserveAhead = lambda pace: 0
        self._wakeup = asyncio.Event()
        self._settled = asyncio.Event()
        self._touched = False
        self._closing = False
        self._committed_at = clock.monotonic()
        self._check_every = CHECK * (0.75 + zlib.crc32(fence.role.encode()) / 2**33)
        self.attempts = Attempts()

    def begin(
        self,
        partitions: Collection[Partition],
        reserve_ahead: ReserveAhead,
        look_again: LookAgain,
    ) -> None:
        """Commit the rows of these partitions from now on."""
        self._partitions = partitions
        self._reserve_ahead = reserve_ahead
        self._look_again = look_again

    def add(self, result: Result) -> None:
        if result.attempt is not None:
            result.attempt.phase = Phase.DONE
        self._queue.append(result)
        self._wakeup.set()

    def touch(self) -> None:
        """Commit the rows soon, because a partition has moved."""
        self._touched = True
        self._wakeup.set()

    async def commit(self, result: Result) -> Answer:
        """Commit a result that settles no attempt, and return the answer to its write or to its
        result of `once`.
        """
        result.answer = asyncio.get_running_loop().create_future()
        self.add(result)
        return await result.answer

    async def flush(self) -> None:
        """Wait until the current rows of the partitions are committed."""
        await self.commit(Result())

    def forget(self, attempt: Attempt) -> None:
        """Leave the attempt and its event to the next holder."""
        attempt.phase = Phase.ABANDONED
        attempt.mark_ended()
        attempt.partition.trying.discard(attempt.offset)
        self.attempts.remove(attempt)
        self._notify_settled()

    async def check_fence(self) -> None:
        """Raise RoleLost if the role has a newer holder. A role without anything to write would not
        notice that.
        """
        if self._clock.monotonic() - self._committed_at >= self._check_every:
            await self._store_group([], (), ())

    def close(self) -> None:
        """Let `run` end when everything that was added is committed."""
        self._closing = True
        self.touch()

    async def settled(self) -> None:
        """Wait until nothing is in hand."""
        while self.attempts:
            await self.next_settled().wait()

    def next_settled(self) -> asyncio.Event:
        """Return what is set when the next attempts are settled, counted from this call."""
        return self._settled

    async def run(self) -> None:
        while not self._closing or self._queue or self._touched:
            await self._wakeup.wait()
            self._wakeup.clear()
            while self._queue or self._touched:
                self._touched = False
                await self._commit(self._next_batch())

    def _next_batch(self) -> list[Result]:
        size = count = 0
        for result in self._queue[:BATCH]:
            count += 1
            write = result.write
            if write is not None:
                size += len(write.data or b"")
                if write.children:
                    size += size_of_children(write)
            elif result.once is not None:
                size += len(result.once.result)
            if size > BATCH_DATA:
                break
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    async def _commit(self, batch: Sequence[Result]) -> None:
        settled = [result.attempt for result in batch if result.attempt is not None]
        for attempt in settled:
            attempt.phase = Phase.COMMITTING
            if not attempt.is_held:
                attempt.finish()
        if settled:
            self._pace.note(len(settled))
        rows = self._rows()
        events = self._pinning() if len(self.attempts) > len(settled) else ()
        writing = [result for result in batch if result.write is not None or result.has_content]
        if writing or rows or events:
            await self._store_group(writing, tuple(rows.values()), events)
        for partition, row in rows.items():
            partition.stored(row)
        self._settle(settled)
        for result in batch:
            if result.answer is not None and not result.answer.done():
                result.answer.set_result(None)
        self._notify_settled()

    def _settle(self, committed: Sequence[Attempt]) -> None:
        """Remove attempts whose results are committed, or look at their runs again."""
        looking: list[Attempt] = []
        for attempt in committed:
            if not attempt.is_held:
                self.attempts.remove(attempt)
            elif attempt.phase is not Phase.COMMITTING:
                continue  # another result replaces the one that was refused
            elif attempt.is_looked_at:
                attempt.phase = Phase.LOOKING
                looking.append(attempt)
            else:
                attempt.finish()
                self.attempts.remove(attempt)
                self.touch()
        if looking:
            self._look_again(looking)

    def _rows(self) -> dict[Partition, Position]:
        spare = min(self._reserve_ahead(self._pace), WINDOW)
        of_each = share(spare, len(self._partitions) or 1)
        return {
            at: row
            for at in self._partitions
            if (row := at.row(self._group, self._log_id, of_each))
        }

    def _pinning(self) -> tuple[Event, ...]:
        """The events of attempts that hold back a position for too long, to send them again."""
        if max([at.progress.span for at in self._partitions], default=0) <= PINNED:
            return ()
        return tuple(
            attempt.event_again() for attempt in self.attempts if attempt.is_pinning(PINNED)
        )

    def _notify_settled(self) -> None:
        settled, self._settled = self._settled, asyncio.Event()
        settled.set()

    async def _store_group(
        self, batch: Sequence[Result], rows: tuple[Position, ...], events: tuple[Event, ...]
    ) -> None:
        for result in await self._groups.store(batch, rows, events):
            self.add(result)
        self._committed_at = self._clock.monotonic()
