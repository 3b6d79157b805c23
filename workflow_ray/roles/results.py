"""The results of a consumer, written in groups: while one commits, the next one is collected."""

import asyncio
import logging
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from workflow_ray.engine.pace import Pace
from workflow_ray.errors import RoleLost, WriteRejected
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    BATCH_DATA,
    Conflict,
    Event,
    Fence,
    Fenced,
    Position,
    Record,
    Write,
    WriteGroup,
    WriteResult,
)
from workflow_ray.roles.attempt import Attempt, Attempts, Phase
from workflow_ray.roles.partition import Partition, share

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


@dataclass(slots=True, eq=False)
class Result:
    """A write, the attempt that it settles, and a future for its result. All are optional.

    The future is done when this result and all earlier ones are committed.
    """

    write: Write | None = None
    attempt: Attempt | None = None
    answer: asyncio.Future[WriteResult | None] | None = None


Refuse: TypeAlias = Callable[[Record, Write, str], Write]
"""Makes the write that replaces one that the store can't hold."""
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
        self._store = store
        self._clock = clock
        self._refuse = refuse
        self._queue: list[Result] = []
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

    def begin(self, partitions: Collection[Partition], reserve_ahead: ReserveAhead) -> None:
        """Commit the rows of these partitions from now on."""
        self._partitions = partitions
        self._reserve_ahead = reserve_ahead

    def add(self, result: Result) -> None:
        if result.attempt is not None:
            result.attempt.phase = Phase.DONE
        self._queue.append(result)
        self._wakeup.set()

    def touch(self) -> None:
        """Commit the rows soon, because a partition has moved."""
        self._touched = True
        self._wakeup.set()

    async def commit(self, write: Write) -> WriteResult:
        """Commit a write that settles no attempt, and return its result."""
        answer = await self._answered(Result(write))
        assert answer is not None, "a write is answered by its result"
        return answer

    async def flush(self) -> None:
        """Wait until the current rows of the partitions are committed."""
        await self._answered(Result())

    async def _answered(self, result: Result) -> WriteResult | None:
        result.answer = asyncio.get_running_loop().create_future()
        self.add(result)
        return await result.answer

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
            size += len(result.write.data or b"") if result.write is not None else 0
            if size > BATCH_DATA:
                break
        batch, self._queue = self._queue[:count], self._queue[count:]
        return batch

    async def _commit(self, batch: Sequence[Result]) -> None:
        settled = [result.attempt for result in batch if result.attempt is not None]
        for attempt in settled:
            attempt.phase = Phase.COMMITTING
            attempt.finish()
        if settled:
            self._pace.note(len(settled))
        rows = self._rows()
        events = self._pinning() if len(self.attempts) > len(settled) else ()
        writing = [result for result in batch if result.write is not None]
        if writing or rows or events:
            await self._store_group(writing, tuple(rows.values()), events)
        for partition, row in rows.items():
            partition.stored(row)
        for attempt in settled:
            self.attempts.remove(attempt)
        for result in batch:
            if result.answer is not None and not result.answer.done():
                result.answer.set_result(None)
        self._notify_settled()

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
        """Store a group. If the store rejects a write, store it in halves, to find that write.

        The rows are stored last.
        """
        writes = tuple(result.write for result in batch if result.write is not None)
        group = WriteGroup(writes=writes, positions=rows, fence=self._fence, events=events)
        try:
            (answer,) = await persist(
                lambda: self._store.store([group]), self._clock, self._fence.role
            )
        except WriteRejected as error:
            if len(batch) > 1:
                half = len(batch) // 2
                await self._store_group(batch[:half], (), ())
                await self._store_group(batch[half:], rows, events)
            else:
                await self._store_refused(batch, rows, events, error)
            return
        if isinstance(answer, Fenced):
            raise RoleLost(self._fence.role, self._fence.epoch, answer.current)
        self._committed_at = self._clock.monotonic()
        for result, written in zip(batch, answer.results, strict=True):
            if result.answer is not None or isinstance(written, Conflict):
                self._answer(result, written)

    async def _store_refused(
        self,
        batch: Sequence[Result],
        rows: tuple[Position, ...],
        events: tuple[Event, ...],
        error: WriteRejected,
    ) -> None:
        """Fail the run whose write the store can't hold.

        If the store can't hold that write either, leave it out: the run stays as it is.
        """
        if not batch:
            raise error
        (result,) = batch
        write, attempt = result.write, result.attempt
        assert write is not None, "only writes are stored one by one"
        if attempt is not None and not attempt.refused:
            attempt.refused = True
            result.write = self._refuse(attempt.record, write, str(error))
            await self._store_group(batch, rows, events)
            return
        where = {"run_id": write.run_id, "version": write.expected, "role": self._fence.role}
        log.error(
            "%s: run %s stays at version %d: %s",
            self._fence.role,
            write.run_id,
            write.expected,
            error,
            extra=where,
        )
        self._answer(result, Conflict(write.run_id, write.expected))
        await self._store_group([], rows, events)

    def _answer(self, result: Result, written: WriteResult) -> None:
        # the write that has moved the run has put its own event into the outbox
        if isinstance(written, Conflict):
            log.debug(
                "the run went on without this role",
                extra={"run_id": written.run_id, "role": self._fence.role},
            )
        if result.answer is not None and not result.answer.done():
            result.answer.set_result(written)
