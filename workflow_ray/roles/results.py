"""The results of a consumer, which are committed in groups."""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

from workflow_ray.engine.pace import Pace
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import (
    BATCH_DATA,
    Event,
    Fence,
    Position,
    RunId,
    Version,
)
from workflow_ray.roles.attempt import Attempt, Attempts, Phase
from workflow_ray.roles.group_commits import BATCH, PINNED, GroupCommits
from workflow_ray.roles.group_store import GroupStore, Refuse
from workflow_ray.roles.own_writes import OwnWrites
from workflow_ray.roles.partition import Partition
from workflow_ray.roles.result import Answer, Result, size_of_children, size_of_error

log = logging.getLogger(__name__)

LookAgain: TypeAlias = Callable[[Sequence[Attempt]], object]
"""Looks at the runs of attempts again. Their results are committed, their events wait."""
ReserveAhead: TypeAlias = Callable[[Pace], int]
"""Reserves the offsets of attempts that may begin soon. Returns how many more may begin, whose
events were not received yet.
"""


class Results(GroupCommits[Result]):
    """Commits the results of a consumer."""

    def __init__(
        self,
        fence: Fence,
        group: str,
        log_id: str,
        store: RecordStore,
        clock: Clock,
        refuse: Refuse,
    ) -> None:
        super().__init__(fence, group, log_id, store, clock)
        self.attempts = Attempts()
        self.own_writes = OwnWrites[RunId]()
        self._groups = GroupStore(fence, store, clock, refuse, self.own_writes)
        self._look_again: LookAgain = lambda attempts: None
        self._reserve_ahead: ReserveAhead = lambda pace: 0

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

    async def settled(self) -> None:
        """Wait until nothing is in hand."""
        while self.attempts:
            await self.next_settled().wait()

    def _next_batch(self) -> list[Result]:
        size = count = 0
        for result in self._queue[:BATCH]:
            count += 1
            write = result.write
            if write is not None:
                if write.data is not None:
                    size += len(write.data)
                elif write.error is not None:  # a failed attempt changes no data
                    size += size_of_error(write.error)
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
        rows = self._rows(self._reserve_ahead(self._pace))
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
            if attempt.is_committed:
                self.own_writes.note(attempt.record.run_id, Version(attempt.record.version + 1))
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

    def _pinning(self) -> tuple[Event, ...]:
        """The events of attempts that hold back a position for too long, to send them again."""
        if max([at.progress.span for at in self._partitions], default=0) <= PINNED:
            return ()
        return tuple(
            attempt.event_again() for attempt in self.attempts if attempt.is_pinning(PINNED)
        )

    async def _store_group(
        self, batch: Sequence[Result], rows: tuple[Position, ...], events: tuple[Event, ...]
    ) -> None:
        for result in await self._groups.store(batch, rows, events):
            self.add(result)
        self._committed_at = self._clock.monotonic()
