"""The writing of a consumer's results as one group, and what becomes of those that are refused."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from workflow_ray.errors import WriteRejected
from workflow_ray.ports import Clock, RecordStore
from workflow_ray.records import (
    ChildRefused,
    Conflict,
    Event,
    Fence,
    MessageGone,
    Position,
    RunId,
    Stored,
    WriteGroup,
    WriteResult,
)
from workflow_ray.roles.attempt import Attempt
from workflow_ray.roles.fencing import store_fenced
from workflow_ray.roles.own_writes import OwnWrites
from workflow_ray.roles.result import Result, why_refused

log = logging.getLogger(__name__)

Refuse: TypeAlias = Callable[[Attempt, str], Result]
"""Makes the result that replaces one that the store refuses, for a reason."""


class GroupStore:
    """Stores groups of results under the fence of a role, and notes which runs it has written."""

    def __init__(
        self,
        fence: Fence,
        store: RecordStore,
        clock: Clock,
        refuse: Refuse,
        own_writes: OwnWrites[RunId],
    ) -> None:
        self._fence = fence
        self._store = store
        self._clock = clock
        self._refuse = refuse
        self._own_writes = own_writes

    async def store(
        self, batch: Sequence[Result], rows: tuple[Position, ...], events: tuple[Event, ...]
    ) -> list[Result]:
        """Store results, with the rows of partitions and events to send again.

        If the store rejects a write, they are stored in halves, to find that write. The rows are
        stored last.

        Returns:
            The results that replace those that the store has refused, to be stored as well.

        Raises:
            RoleLost: The fence is old.
        """
        writing = [result for result in batch if result.write is not None]
        others = [each for each in batch if each.has_extras]
        storing = [result for result in others if result.once is not None]
        group = WriteGroup(
            writes=tuple(result.write for result in writing if result.write is not None),
            positions=rows,
            fence=self._fence,
            events=events,
            failures=tuple(result.failure for result in others if result.failure is not None),
            results=tuple(result.once for result in storing if result.once is not None),
            postponed=tuple(each.postponed for each in others if each.postponed is not None),
        )
        try:
            answer = await store_fenced(self._store, group, self._clock)
        except WriteRejected as error:
            if len(batch) > 1:
                half = len(batch) // 2
                replacing = await self.store(batch[:half], (), ())
                return replacing + await self.store(batch[half:], rows, events)
            return await self._store_refused(batch, rows, events, error)
        replacing = list[Result]()
        for result, written in zip(writing, answer.results, strict=True):
            if isinstance(written, Stored):
                self._own_writes.note(written.run_id, written.version)
            else:
                replacing += self._refused(result, written)
            if result.answer is not None:
                result.set_answer(written)
        for failure in group.failures:
            self._own_writes.note(failure.run_id)
        for result, kept in zip(storing, answer.once, strict=True):
            result.set_answer(kept)
        return replacing

    async def _store_refused(
        self,
        batch: Sequence[Result],
        rows: tuple[Position, ...],
        events: tuple[Event, ...],
        error: WriteRejected,
    ) -> list[Result]:
        """Fail the attempt whose result the store can't hold.

        If the store can't hold that either, leave it out: the run stays as it is.
        """
        if not batch or batch[0].write is None:
            raise error
        (result,) = batch
        write, attempt = result.write, result.attempt
        assert write is not None, "only writes are rejected"
        if attempt is not None and not attempt.refused:
            attempt.refused = True
            other = self._refuse(attempt, str(error))
            result.write = other.write
            result.failure = other.failure
            return await self.store(batch, rows, events)
        where = {"run_id": write.run_id, "version": write.expected, "role": self._fence.role}
        log.error(
            "%s: run %s stays at version %d: %s",
            self._fence.role,
            write.run_id,
            write.expected,
            error,
            extra=where,
        )
        result.set_answer(Conflict(write.run_id, write.expected))
        return await self.store([], rows, events)

    def _refused(self, result: Result, written: WriteResult) -> Iterator[Result]:
        """Note that a write was left out, and make the result that replaces it, if one does.

        After a conflict nothing is to be done: the write that has moved the run has put its own
        event into the outbox.
        """
        log.debug(
            "the run went on without this role",
            extra={"run_id": written.run_id, "role": self._fence.role},
        )
        attempt = result.attempt
        if attempt is not None and isinstance(written, MessageGone):
            attempt.look_again()
        elif attempt is not None and isinstance(written, ChildRefused) and not attempt.refused:
            attempt.refused = True
            yield self._refuse(attempt, why_refused(written))
