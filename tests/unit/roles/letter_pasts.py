"""What was seen of the runs of letters, and what retention may have removed of them since."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from tests.unit.roles.letters import AGES, HISTORY, KEYS, SCRUBBED
from workflow_ray.ports import Store
from workflow_ray.records import (
    Cause,
    HistoryEntry,
    Record,
    RunId,
    RunQuery,
    RunState,
)

MANY = 100_000
LATE = timedelta(seconds=90)
"""How late a role may be beside the tenth of an age: its looks are a minute apart at least."""
TENTH = 0.1
"""How late a role may be, as a part of an age. One that has just begun is not."""


def created_at(run_id: RunId) -> datetime:
    """The time in a run id, to the millisecond."""
    return datetime.fromtimestamp((UUID(run_id).int >> 80) / 1000, UTC)


@dataclass
class Past:
    """A run when it was last seen, with all entries that were ever seen of its history."""

    record: Record
    entries: dict[int, HistoryEntry]
    seen_at: datetime
    is_trimmed: bool = False
    gone_at: datetime | None = None
    """When it was first missed."""

    def stood(self, now: datetime) -> Iterator[tuple[RunState, timedelta]]:
        """For how long each known version of the finished run was the newest one.

        A role removes what it has seen a moment before. So an older version counts too: the
        deletion of data may add a version between.
        """
        known = sorted(self.entries.values(), key=lambda entry: entry.version)
        ends = [*(entry.at for entry in known[1:]), now]
        for entry, end in zip(known, ends, strict=True):
            if entry.run_state.finished:
                yield entry.run_state, end - entry.at


class Pasts:
    """Looks at all runs now and then, and checks what has become of them since.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.known: dict[RunId, Past] = {}

    async def look(self, now: datetime) -> None:
        """Look at all runs, and check what was removed. Raises AssertionError.

        now: The time by the store's clock.
        """
        records = await self._records()
        for record in records.values():
            await self._look_at(record, now)
        for run_id in self.known.keys() - records.keys():
            past = self.known[run_id]
            if past.gone_at is None:
                _check_gone(past, now)
                past.gone_at = now
            assert await self._store.history(run_id) == [], f"a part of {past} is left"

    async def check_ages(self, now: datetime, late: float) -> None:
        """Check that nothing is kept for too long. The last look was now.

        late: How late the role may be, as a part of an age.
        """
        for past in self.known.values():
            record, age = past.record, AGES.get(past.record.run_state)
            if past.gone_at is not None:
                continue
            if age is not None:
                assert now - record.updated_at <= age * (1 + late) + LATE, (
                    f"at {now}, {record} is kept"
                )
            is_old = now - record.updated_at > HISTORY * (1 + late) + LATE
            if record.run_state.finished and is_old:
                kept = await self._store.history(record.run_id)
                assert len(kept) == 1, f"at {now}, the history of {record} is kept: {kept}"

    def is_gone(self, run_id: RunId) -> bool:
        """Whether the run was missing at the last look."""
        return run_id in self.known and self.known[run_id].gone_at is not None

    def may_be_forgotten(self, run_id: RunId, now: datetime) -> bool:
        """Whether the keys of a run may be gone. The last look was now."""
        return self.is_gone(run_id) and now - created_at(run_id) >= KEYS

    def must_be_forgotten(self, run_id: RunId, now: datetime) -> bool:
        """Whether the keys of a run must be gone, if a role has begun since."""
        gone_at = self.known[run_id].gone_at if run_id in self.known else None
        if gone_at is None:
            return False
        return now > max(created_at(run_id) + KEYS, gone_at) + LATE

    async def _records(self) -> dict[RunId, Record]:
        query = RunQuery(workflow="letters", limit=MANY)
        return {record.run_id: record for record in await self._store.runs(query)}

    async def _look_at(self, record: Record, now: datetime) -> None:
        entries = await self._store.history(record.run_id, limit=MANY)
        (again,) = await self._store.lookup([record.run_id])
        if again is None or again.version != record.version:
            return  # it has moved on meanwhile
        _check_newest(record, entries)
        past = self.known.setdefault(record.run_id, Past(record, {}, now))
        assert past.gone_at is None, f"{record} is back"
        _check_same(past.entries, entries)
        past.record, past.seen_at, past.is_trimmed = record, now, entries[0].version > 1
        past.entries |= {entry.version: entry for entry in entries}
        _check_trimmed(past, entries, now)


def _check_gone(past: Past, now: datetime) -> None:
    """Check that a run that is missing was finished for long enough."""
    stood = dict(past.stood(now))
    if not past.record.run_state.finished:
        is_old = now - past.seen_at >= min(AGES.values())
    else:
        is_old = any(stood[state] >= age for state, age in AGES.items() if state in stood)
        if past.record.run_state is not RunState.DATA_DELETED:  # it may have been since
            is_old = is_old or now - past.record.updated_at >= AGES[RunState.DATA_DELETED]
    assert is_old, f"at {now}, {past} is gone"


def _check_newest(record: Record, entries: list[HistoryEntry]) -> None:
    """The newest entry is there, and is the record's."""
    assert entries, f"{record} has no history"
    newest = entries[-1]
    expected = (record.version, record.status, record.run_state, record.cause, record.updated_at)
    found = (newest.version, newest.status, newest.run_state, newest.cause, newest.at)
    assert found == expected, (record, newest)
    if record.run_state is RunState.DATA_DELETED:
        assert (record.data, record.reason) == (SCRUBBED, None), record


def _check_trimmed(past: Past, entries: list[HistoryEntry], now: datetime) -> None:
    """Only versions before one that was the newest, of a finished run, for long enough are gone."""
    record, versions = past.record, [entry.version for entry in entries]
    assert versions == list(range(record.version - len(entries) + 1, record.version + 1)), entries
    if versions[0] == 1:
        return
    assert entries[0].run_state.finished, f"{record} has lost a part of its history: {entries}"
    is_old = any(time >= HISTORY for _, time in past.stood(now))
    assert is_old, f"{record} has lost it too early: {entries}"


def _check_same(before: dict[int, HistoryEntry], now: Iterable[HistoryEntry]) -> None:
    """Entries never change, but for what a deletion of data takes away."""
    entries = list(now)
    is_deleted = any(entry.cause is Cause.DATA_DELETED for entry in entries)
    for entry in entries:
        earlier = before.get(entry.version, entry)
        if is_deleted:
            earlier, entry = (
                msgspec.structs.replace(each, data=None, reason=None, error=None)
                for each in (earlier, entry)
            )
        assert entry == earlier, (earlier, entry)
