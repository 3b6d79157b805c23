"""Starts the runs of triggers, and cancels those that they replace."""

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import msgspec
from pydantic import BaseModel

from workflow_ray.client.connection import Connection
from workflow_ray.client.handle import Handle
from workflow_ray.client.keys import find_reused
from workflow_ray.client.triggers import TriggerOutcome, outcome_of, under_way
from workflow_ray.definition import Status, Workflow
from workflow_ray.engine.announcements import announcing, asked_states
from workflow_ray.engine.next_version import Next
from workflow_ray.errors import RunActive
from workflow_ray.records import (
    Record,
    RunId,
    Version,
    Write,
    WriteGroup,
    WriteResult,
    new_write_id,
)

D = TypeVar("D", bound=BaseModel)
S = TypeVar("S", bound=Status)


class Started(msgspec.Struct, frozen=True, gc=False):
    """The run that a trigger has led to. Many are kept for a while, so garbage collections do not
    look through them.
    """

    run_id: RunId
    outcome: TriggerOutcome
    under_way: Version | None
    differing: tuple[str, ...]  # from what the key was first used for


class Starting(Generic[D, S]):
    """Commits the first writes of runs of one workflow."""

    def __init__(self, connection: Connection[D, S]) -> None:
        self._connection = connection
        self._workflow: Workflow[D, S] = connection.workflow

    async def start(
        self,
        writes: Sequence[Write],
        data: Mapping[RunId, D],
        within: object = None,
        *,
        after: tuple[Write, ...] = (),
    ) -> list[Started]:
        """Commit the writes of triggers.

        Args:
            writes: The writes.
            data: The data of those that have an idempotency key, by run id.
            within: As for `Client.trigger`.
            after: Writes of other runs that come first, in the same transaction.
        """
        connection = self._connection
        answer = await connection.writer.commit(WriteGroup(writes=(*after, *writes)), within)
        results = answer.results[len(after) :]
        reused = await find_reused(self._workflow, connection.records, data, writes, results)
        return [
            _started(write, result, reused.get(write.run_id, ()))
            for write, result in zip(writes, results, strict=True)
        ]

    async def replace(self, write: Write, data: D, active: RunId, within: object = None) -> Started:
        """Cancel the unfinished run of a trigger's foreign id and start its run, both or neither.

        A run that changes meanwhile is looked up again, until both are committed.

        Args:
            write: The write of the trigger.
            data: Its data.
            active: The unfinished run.
            within: As for `Client.trigger`.

        Raises:
            RunActive: It was started in the transaction of `within`.
        """
        while True:
            # On SQLite the transaction of `within` holds the lock that a fresh read waits for. Then
            # nobody else writes, so another read misses nothing.
            (record,) = await self._connection.records.lookup([active], fresh=within is None)
            if record is None and within is not None:
                assert write.new is not None, "a trigger makes a new run"
                raise RunActive(self._workflow.name, write.new.foreign_id, active)
            cancels = record is not None and not record.run_state.finished
            after = (self._cancellation(record, write.run_id),) if cancels and record else ()
            (started,) = await self.start([write], {write.run_id: data}, within, after=after)
            if started.outcome is not TriggerOutcome.ACTIVE:
                return started
            active = started.run_id

    def _cancellation(self, record: Record, by_run: RunId) -> Write:
        nxt = Next(record, self._connection.writer.by, new_write_id())
        write = nxt.cancel(f"it was replaced by run {by_run}")
        return announcing(asked_states(self._workflow.checked()), record, write)

    def handle(self, started: Started) -> Handle[D, S]:
        return Handle(self._connection, started.run_id, started.under_way, started.outcome)


def _started(write: Write, result: WriteResult, differing: tuple[str, ...]) -> Started:
    run_id, outcome = outcome_of(result, is_reused=bool(differing))
    return Started(run_id, outcome, under_way(write, outcome), differing)
