"""Runs: their records and histories, with the indexes over them."""

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from workflow_ray.records import (
    BATCH_DATA,
    NO_VERSION,
    ActiveRun,
    Awaits,
    Conflict,
    HistoryEntry,
    KeyUsed,
    NewRun,
    Record,
    RunCount,
    RunId,
    RunQuery,
    RunState,
    Stored,
    Version,
    WaitingQuery,
    Write,
    WriteResult,
)
from workflow_ray_adapters.memory.histories import Histories
from workflow_ray_adapters.memory.paging import page_of
from workflow_ray_adapters.memory.parkings import Parkings


class Runs:
    """Records and histories.

    The runs of a workflow, and those of a foreign id, are sorted by run id.
    """

    def __init__(self) -> None:
        self.histories = Histories()
        self.parkings = Parkings()
        self._records: dict[RunId, Record] = {}
        self._by_workflow: dict[str, list[RunId]] = {}
        self._by_foreign_id: dict[tuple[str, str], list[RunId]] = {}
        self._unfinished: dict[tuple[str, str], RunId] = {}
        # (workflow, idempotency key) -> the run that used it first, its digest
        self._keys: dict[tuple[str, str], tuple[RunId, bytes | None]] = {}
        self._counts: dict[str, Counter[tuple[int, RunState]]] = {}
        # the runs that await an event, by workflow and partition
        self._awaiting: dict[tuple[str, int], list[RunId]] = {}

    # --- writing --------------------------------------------------------------------------------

    def answer(self, write: Write) -> WriteResult | None:
        """Return the answer to a write that must not be made, because it was made already or lost.

        None: it may be made.
        """
        record = self._records.get(write.run_id)
        found = record.version if record else NO_VERSION
        if found != write.expected:
            return (
                Stored(write.run_id, write.version)
                if self.histories.has(write)
                else Conflict(write.run_id, found)
            )
        return None if write.new is None else self._taken(write.run_id, write.new)

    def _taken(self, run_id: RunId, new: NewRun) -> WriteResult | None:
        if new.idempotency_key is not None and (
            used := self._keys.get((new.workflow, new.idempotency_key))
        ):
            return KeyUsed(run_id, *used)
        if active := self._unfinished.get((new.workflow, new.foreign_id)):
            return ActiveRun(run_id, active)
        return None

    def make(self, write: Write, now: datetime) -> None:
        """Make a write for which `answer` returned None."""
        before = self._records.get(write.run_id)
        record = replace(write.onto(before), updated_at=now) if before else _first(write, now)
        self._records[write.run_id] = record
        self.histories.add(write, now)
        if record.parking or (before and before.parking):
            self.parkings.move(before, record)
        counts = self._counts.setdefault(record.workflow, Counter())
        counts[record.status, record.run_state] += 1
        if before is None:
            self._index(record)
            self._keep_key(write)
        else:
            counts[before.status, before.run_state] -= 1
        if record.run_state.finished:
            self._finish(record)
        if (record.awaits is Awaits.EVENT) != (
            before is not None and before.awaits is Awaits.EVENT
        ):
            self._toggle_awaiting(record)

    def amend(self, record: Record) -> None:
        """Replace the record of a run by one of the same version and status."""
        before = self._records[record.run_id]
        self._records[record.run_id] = record
        if (record.awaits is Awaits.EVENT) != (before.awaits is Awaits.EVENT):
            self._toggle_awaiting(record)

    def remove(self, record: Record) -> None:
        """Remove a finished run. Its idempotency key is kept."""
        del self._records[record.run_id]
        self.histories.remove(record.run_id)
        self._counts[record.workflow][record.status, record.run_state] -= 1
        _remove(self._by_workflow[record.workflow], record.run_id)
        key = (record.workflow, record.foreign_id)
        _remove(self._by_foreign_id[key], record.run_id)
        if not self._by_foreign_id[key]:
            del self._by_foreign_id[key]

    def forget_key(self, workflow: str, idempotency_key: str) -> None:
        del self._keys[workflow, idempotency_key]

    def _index(self, record: Record) -> None:
        key = (record.workflow, record.foreign_id)
        insort(self._by_workflow.setdefault(record.workflow, []), record.run_id)
        insort(self._by_foreign_id.setdefault(key, []), record.run_id)
        self._unfinished[key] = record.run_id

    def _keep_key(self, write: Write) -> None:
        new = write.new
        if new is not None and new.idempotency_key is not None:
            self._keys[new.workflow, new.idempotency_key] = (write.run_id, new.digest)

    def _finish(self, record: Record) -> None:
        key = (record.workflow, record.foreign_id)
        if self._unfinished.get(key) == record.run_id:
            del self._unfinished[key]

    def _toggle_awaiting(self, record: Record) -> None:
        run_ids = self._awaiting.setdefault((record.workflow, record.partition), [])
        if record.awaits is Awaits.EVENT:
            insort(run_ids, record.run_id)
        else:
            _remove(run_ids, record.run_id)

    # --- reading --------------------------------------------------------------------------------

    def get(self, run_id: RunId) -> Record | None:
        return self._records.get(run_id)

    def unfinished(self, workflow: str, foreign_id: str) -> RunId | None:
        """Return the unfinished run of the foreign id."""
        return self._unfinished.get((workflow, foreign_id))

    def known(self, run_id: RunId) -> Record:
        """Return the record of a run that exists."""
        return self._records[run_id]

    def lookup(self, run_ids: Iterable[RunId]) -> list[Record | None]:
        """Return the records of the runs, up to the one whose data exceeds BATCH_DATA."""
        found: list[Record | None] = []
        size = 0
        for run_id in run_ids:
            record = self._records.get(run_id)
            found.append(record)
            size += len(record.data) if record else 0
            if size > BATCH_DATA:
                break
        return found

    def latest(self, workflow: str, foreign_id: str) -> Record | None:
        run_ids = self._by_foreign_id.get((workflow, foreign_id))
        return self._records[run_ids[-1]] if run_ids else None

    def page(self, query: RunQuery, family: Sequence[RunId] | None) -> list[Record]:
        """Return a page of the runs.

        Args:
            query: The runs.
            family: The only runs that it allows, by run id. None: any.
        """
        records = (self._records[run_id] for run_id in self._candidates(query, family))
        return page_of((record for record in records if query.admits(record)), query.limit)

    def _candidates(self, query: RunQuery, family: Sequence[RunId] | None) -> Iterator[RunId]:
        if family is not None:
            run_ids: Sequence[RunId] = family
        elif query.foreign_id is None:
            run_ids = self._by_workflow.get(query.workflow, ())
        else:
            run_ids = self._by_foreign_id.get((query.workflow, query.foreign_id), ())
        if query.newest_first:
            end = len(run_ids) if query.after is None else bisect_left(run_ids, query.after)
            return (run_ids[at] for at in range(end - 1, -1, -1))
        start = 0 if query.after is None else bisect_right(run_ids, query.after)
        return (run_ids[at] for at in range(start, len(run_ids)))

    def counts(self, workflow: str) -> list[RunCount]:
        counts = self._counts.get(workflow, Counter())
        return [
            RunCount(status, run_state, runs)
            for (status, run_state), runs in sorted(counts.items())
            if runs
        ]

    def paused(self, workflow: str) -> list[tuple[Record, Sequence[HistoryEntry]]]:
        """Return the workflow's paused runs, each with the entries of its visit after the first."""
        found = map(self._records.__getitem__, self._by_workflow.get(workflow, ()))
        return [
            (record, self.histories.after(record.run_id, record.visit))
            for record in found
            if record.run_state is RunState.PAUSED
        ]

    def awaiting(self, query: WaitingQuery) -> list[Record]:
        """Return the next runs of the partition that await an event, up to the query's limit."""
        run_ids = self._awaiting.get((query.workflow, query.partition), [])
        start = 0 if query.after is None else bisect_right(run_ids, query.after)
        return [self._records[run_id] for run_id in run_ids[start : start + query.limit]]

    def newer(self, seen: Mapping[RunId, Version], at_rest: bool) -> list[Record]:
        """Return the records above the versions seen, by run id; or only those at rest.

        The answer is at most a page.
        """
        records = (
            record
            for run_id in sorted(seen)
            if (record := self._records.get(run_id)) and record.version > seen[run_id]
        )
        return page_of(
            (record for record in records if record.run_state.at_rest or not at_rest), len(seen)
        )


def _remove(run_ids: list[RunId], run_id: RunId) -> None:
    """Remove a run from sorted ones."""
    del run_ids[bisect_left(run_ids, run_id)]


def _first(write: Write, now: datetime) -> Record:
    new, data = write.new, write.data
    assert new, "check_write has refused it"
    assert data is not None, "check_write has refused it"
    return Record(
        run_id=write.run_id,
        workflow=new.workflow,
        foreign_id=new.foreign_id,
        status=write.status,
        run_state=write.run_state,
        version=write.version,
        visit=write.visit,
        attempt=write.attempt,
        cause=write.cause,
        reason=write.reason,
        partition=new.partition,
        data=data,
        idempotency_key=new.idempotency_key,
        awaits=write.awaits,
        awaited=write.version if write.asks else NO_VERSION,
        labels=write.labels or {},
        data_version=write.data_version,
        parking=write.parking,
        parked=write.parked,
        created_at=now,
        updated_at=now,
    )
