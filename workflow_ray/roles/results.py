"""What a consumer has to write, gathered: while one group commits the next one grows."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from workflow_ray.engine.progress import Progress
from workflow_ray.errors import RoleLost, WriteRejected
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import (
    BATCH_DATA,
    Conflict,
    Fence,
    Fenced,
    Position,
    Received,
    Record,
    RunId,
    Version,
    Write,
    WriteGroup,
    WriteResult,
)

log = logging.getLogger(__name__)

BATCH = 500
"""Writes of one group."""


@dataclass(slots=True)
class Result:
    """A write, and what it settles: `item` None settles nothing yet; `write` None only lets the position move."""

    record: Record | None
    write: Write | None
    item: Received | None
    answer: asyncio.Future[WriteResult] | None = None


Refuse: TypeAlias = Callable[[Record, Write, str], Write]
"""The write to make instead of one that the store can't hold."""


class Results:
    """Commits results in groups, with the positions that they make true. Raises RoleLost out of `run`."""

    def __init__(self, fence: Fence, group: str, store: RecordStore, clock: Clock, refuse: Refuse) -> None:
        self._fence, self._group, self._store, self._clock, self._refuse = fence, group, store, clock, refuse
        self._queue: list[Result] = []
        self._wakeup, self._settled = asyncio.Event(), asyncio.Event()
        self._closing = False
        self._progress: Mapping[int, Progress] = {}
        self._stored: dict[int, int] = {}  # partition -> the position that was committed last
        self.in_hand = 0  # events that were begun and aren't settled
        self.attempts: set[tuple[RunId, Version]] = set()  # the versions that an attempt is being made on, until it is committed

    def begin(self, progress: Mapping[int, Progress]) -> None:
        """From the positions in the store on."""
        self._progress = progress
        self._stored = {partition: at.position for partition, at in progress.items()}

    def add(self, result: Result) -> None:
        self._queue.append(result)
        self._wakeup.set()

    async def commit(self, record: Record, write: Write) -> WriteResult:
        """Write ahead of settling: returns once it is committed, or has lost."""
        answer: asyncio.Future[WriteResult] = asyncio.get_running_loop().create_future()
        self.add(Result(record, write, None, answer))
        return await answer

    async def make_sure(self) -> None:
        """Raise RoleLost if the role has a newer holder: one that has nothing to write would never hear of it."""
        await self._store_group([], ())

    def close(self) -> None:
        """Let `run` end once all that was added is committed."""
        self._closing = True
        self._wakeup.set()

    async def room(self, below: int) -> None:
        """Wait until fewer than `below` events are in hand."""
        while self.in_hand >= below:
            await self.next_settled()

    def next_settled(self) -> Coroutine[Any, Any, bool]:
        """Await it until the next events are settled, counted from this call."""
        return self._settled.wait()

    async def run(self) -> None:
        while not (self._closing and not self._queue):
            await self._wakeup.wait()
            self._wakeup.clear()
            while self._queue:
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
        for result in batch:
            if result.item is not None:
                self._progress[result.item.event.partition].finish(result.item.offset)
        moved = {p: at.position for p, at in self._progress.items() if at.position != self._stored[p]}
        positions = tuple(Position(self._group, partition, offset) for partition, offset in moved.items())
        writing = [result for result in batch if result.write is not None]
        if writing or positions:
            await self._store_group(writing, positions)
        self._stored.update(moved)
        settled = [result for result in batch if result.item is not None]
        self.in_hand -= len(settled)
        self.attempts.difference_update((result.record.run_id, result.record.version) for result in settled if result.record is not None)
        told, self._settled = self._settled, asyncio.Event()
        told.set()

    async def _store_group(self, batch: Sequence[Result], positions: tuple[Position, ...]) -> None:
        """A group that the store rejects is stored in halves, down to the write that is to blame; the positions go last."""
        writes = tuple(result.write for result in batch if result.write is not None)
        group = WriteGroup(writes=writes, positions=positions, fence=self._fence)
        try:
            (answer,) = await persist(lambda: self._store.store([group]), self._clock, self._fence.role)
        except WriteRejected as error:
            if len(batch) > 1:
                half = len(batch) // 2
                await self._store_group(batch[:half], ())
                await self._store_group(batch[half:], positions)
            else:
                await self._store_refused(batch, positions, error)
            return
        if isinstance(answer, Fenced):
            raise RoleLost(self._fence.role, self._fence.epoch, answer.current)
        for result, landed in zip(batch, answer.results, strict=True):
            self._answered(result, landed)

    async def _store_refused(self, batch: Sequence[Result], positions: tuple[Position, ...], error: WriteRejected) -> None:
        """One write that can't be held fails its run; if that can't be held either, the role can't go on."""
        if not batch or (result := batch[0]).record is None or result.write is None or result.write.data is None:
            raise error
        result.write = self._refuse(result.record, result.write, str(error))
        await self._store_group(batch, positions)

    def _answered(self, result: Result, landed: WriteResult) -> None:
        if isinstance(landed, Conflict):  # whoever moved the run has put its own event in the outbox
            log.debug("the run went on without this role", extra={"run_id": landed.run_id, "role": self._fence.role})
        if result.answer is not None and not result.answer.done():
            result.answer.set_result(landed)
