"""Convert between rows and structs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeAlias

import msgspec
from msgspec.structs import replace
from sqlalchemy import Column, Row

from workflow_ray.records import (
    Awaits,
    Cause,
    ErrorDetail,
    Event,
    HistoryEntry,
    Parking,
    Record,
    RunState,
)
from workflow_ray_adapters.sql.marks import CASCADES, HAS_PARENTS, HAS_RESULTS, count_messages
from workflow_ray_adapters.sql.tables import history, records

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
AT_ONCE = 0
"""The due time of entries that are published at once."""
CARRIED = -1
"""The due time of outbox entries that carry a timeout. It is a value of its own, so that each kind
of entry is one range of the index, and none is read to find another.
"""
Values: TypeAlias = dict[str, Any]

RECORD: tuple[Column[Any], ...] = (
    records.c.run_id,
    records.c.workflow,
    records.c.foreign_id,
    records.c.status,
    records.c.run_state,
    records.c.version,
    records.c.visit,
    records.c.attempt,
    records.c.cause,
    records.c.reason,
    records.c.partition_no,
    records.c.data,
    records.c.idempotency_key,
    records.c.awaits,
    records.c.awaited,
    records.c.created_at,
    records.c.updated_at,
    records.c.marks,
    records.c.labels,
    records.c.data_version,
    records.c.parked,
    records.c.parking_key,
    records.c.parking_rank,
)
ENTRY: tuple[Column[Any], ...] = (
    history.c.run_id,
    history.c.version,
    history.c.status,
    history.c.run_state,
    history.c.cause,
    history.c.written_by,
    history.c.reason,
    history.c.written_at,
    history.c.write_id,
    history.c.data,
    history.c.data_version,
    history.c.error,
)


# a look-up takes a fifth of the time of a call of the Enum
RUN_STATES = {int(run_state): run_state for run_state in RunState}
AWAITS = {int(awaits): awaits for awaits in Awaits}
CAUSES = {int(cause): cause for cause in Cause}
ERROR = msgspec.json.Decoder(ErrorDetail)


def lane(status: int, parked: int) -> int:
    """Return where flow control finds a run that is not at rest, as one number: those that are
    parked at a status, and those that hold a slot of it.
    """
    return status * 2 + parked


def resting(status: int, run_state: int) -> int:
    """Return status and run state as one number. The index has it for runs that await no event."""
    return status * 8 + run_state


def micros(at: datetime) -> int:
    return (at - EPOCH) // MICROSECOND


@lru_cache(maxsize=1024)  # all rows of a transaction have the same
def moment(at: int) -> datetime:
    return EPOCH + timedelta(microseconds=at)


def to_record(row: Sequence[Any] | Row[*tuple[Any, ...]]) -> Record:
    """Make a record of the columns RECORD, in their order."""
    (
        run_id,
        workflow,
        foreign_id,
        status,
        run_state,
        version,
        visit,
        attempt,
        cause,
        reason,
        partition,
        data,
        key,
        awaits,
        awaited,
        created,
        updated,
        marks,
        labels,
        data_version,
        parked,
        parking_key,
        parking_rank,
    ) = row
    record = Record(
        run_id=run_id,
        workflow=workflow,
        foreign_id=foreign_id,
        status=status,
        run_state=RUN_STATES[run_state],
        version=version,
        visit=visit,
        attempt=attempt,
        cause=CAUSES[cause],
        reason=reason,
        partition=partition,
        data=data,
        idempotency_key=key,
        awaits=AWAITS[awaits],
        awaited=awaited,
        created_at=moment(created),
        updated_at=moment(updated),
    )
    if marks:
        record = with_marks(record, marks)
    if labels is None and data_version is None and parked is None:
        return record
    return replace(
        record,
        labels=to_headers(labels),
        data_version=1 if data_version is None else data_version,
        parking=None if parked is None else Parking(key=parking_key, priority=-parking_rank),
        parked=bool(parked),
    )


def with_marks(record: Record, marks: int) -> Record:
    """Return the record with what its marks say."""
    return replace(
        record,
        messages=count_messages(marks),
        has_results=bool(marks & HAS_RESULTS),
        has_parents=bool(marks & HAS_PARENTS),
        cascades=bool(marks & CASCADES),
    )


def to_entry(row: Sequence[Any] | Row[*tuple[Any, ...]]) -> HistoryEntry:
    """Make a history entry of the columns ENTRY, in their order."""
    (
        run_id,
        version,
        status,
        run_state,
        cause,
        by,
        reason,
        at,
        write_id,
        data,
        data_version,
        error,
    ) = row
    return HistoryEntry(
        run_id=run_id,
        version=version,
        status=status,
        run_state=RUN_STATES[run_state],
        cause=CAUSES[cause],
        by=by,
        reason=reason,
        at=moment(at),
        write_id=write_id,
        data=data,
        data_version=1 if data_version is None else data_version,
        error=None if error is None else ERROR.decode(error),
    )


def to_event(
    topic: Any, partition: Any, run_id: Any, version: Any, status: Any, headers: Any
) -> Event:
    return Event(
        run_id=run_id,
        topic=topic,
        partition=partition,
        version=version,
        status=status,
        headers=to_headers(headers),
    )


def event_row(event: Event) -> Values:
    return {
        "topic": event.topic,
        "partition_no": event.partition,
        "run_id": event.run_id,
        "version": event.version,
        "status": event.status,
        "headers": from_headers(event.headers),
    }


def from_headers(headers: dict[str, str]) -> str | None:
    return msgspec.json.encode(headers).decode() if headers else None


def to_headers(text: str | None) -> dict[str, str]:
    return msgspec.json.decode(text, type=dict[str, str]) if text else {}
