"""The records of the runs that events are for."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import TypeAlias

from workflow_ray.engine.events import is_ahead
from workflow_ray.ports import Clock, RecordStore, persist
from workflow_ray.records import NO_VERSION, Received, Record, RoleName, RunId, Version

Written: TypeAlias = Mapping[RunId, Version]
"""The versions that the role itself has written since its read began. NO_VERSION: only a message of
the run.
"""


class EventRecords:
    """Reads records that are as new as their events, and as what the role itself has written."""

    def __init__(self, role: RoleName, records: RecordStore, clock: Clock) -> None:
        self._role = role
        self._records = records
        self._clock = clock

    async def of(
        self, received: Sequence[Received], written: Written
    ) -> list[tuple[Received, Record | None]]:
        """Return a prefix of the events, each with a record that is new enough."""
        if not any(is_old(item, item.record, written) for item in received):
            # this is usual if the store also holds the stream
            return [(item, item.record) for item in received]
        found = await self.look_up(
            [item.event.run_id for item in received if item.record is None], fresh=False
        )
        known = [
            (item, item.record or found[item.event.run_id]) for item in _answered(received, found)
        ]
        old = [item.event.run_id for item, record in known if is_old(item, record, written)]
        newest = await self.look_up(old, fresh=True)
        answered: list[tuple[Received, Record | None]] = []
        for item, record in known:
            run_id = item.event.run_id
            if is_old(item, record, written):
                if run_id not in newest:
                    break
                record = newest[run_id]
            answered.append((item, record))
        return answered

    async def look_up(
        self, run_ids: Sequence[RunId], *, fresh: bool = False
    ) -> dict[RunId, Record | None]:
        """Read the records of these runs. The store may return only those of the first ones."""
        ids = list(dict.fromkeys(run_ids))
        if not ids:
            return {}
        records = await persist(
            lambda: self._records.lookup(ids, fresh=fresh), self._clock, self._role
        )
        return dict(zip(ids, records, strict=False))


def is_old(item: Received, record: Record | None, written: Written) -> bool:
    """Whether the record was read from a snapshot older than the event, or may have been, or before
    the role itself wrote a later version.

    The event of a message has no version that would show it.
    """
    if item.event.version == NO_VERSION and item.record is None:
        return True
    return is_ahead(item.event, record) or is_overwritten(record, written)


def is_overwritten(record: Record | None, written: Written) -> bool:
    """Whether the role itself has written a later version than the record's."""
    return record is not None and record.version < written.get(record.run_id, NO_VERSION)


def _answered(received: Sequence[Received], found: Collection[RunId]) -> Iterator[Received]:
    """The events before the first one whose record is missing and was not looked up."""
    return takewhile(lambda item: item.record is not None or item.event.run_id in found, received)
