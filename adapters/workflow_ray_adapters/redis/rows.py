"""Between what Redis keeps and structs. JSON, in fields of a run's hash: what is written once, and an entry for each version."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from workflow_ray.records import (
    Cause,
    Event,
    HistoryEntry,
    OutboxEntry,
    Received,
    Record,
    RunId,
    RunState,
    Version,
    Write,
    WriteId,
    status_topic,
)

BEGIN = datetime.min.replace(tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DIGITS = 18
"""Of a time as text: microseconds since the year 1. Sorted as text it is sorted as time, whatever time it is."""
Answer: TypeAlias = Sequence[Any]
"""Of a script: what Redis makes of Lua's tables. What reads answers rows as one JSON array, then the data of those that have some."""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written with a run's first version. Fields are only added, with a default."""

    run_id: RunId
    workflow: str
    foreign_id: str
    partition: int
    created_at: datetime
    idempotency_key: str | None = None


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written with each version; the last one is the record's, too. Fields are only added, with a default."""

    version: Version
    status: int
    run_state: RunState
    visit: Version
    cause: Cause
    by: str
    at: datetime
    write_id: WriteId
    attempt: int = 0
    reason: str | None = None


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A record but for its data."""

    origin: Origin
    last: Entry


class ReceivedRow(msgspec.Struct, frozen=True, array_like=True):
    partition: int
    id: str  # the offset and one, since no id is 0
    event: Event
    row: Row | None


class PendingRow(msgspec.Struct, frozen=True, array_like=True):
    id: int
    due: str
    event: Event


class HistoryRow(msgspec.Struct, frozen=True, array_like=True):
    entry: Entry
    has_data: bool


_encoder = msgspec.json.Encoder()
_rows = msgspec.json.Decoder(list[Row | None])
_received = msgspec.json.Decoder(list[ReceivedRow])
_pending = msgspec.json.Decoder(list[PendingRow])
_history = msgspec.json.Decoder(list[HistoryRow])


def encode(value: object) -> str:
    """As JSON, for Redis to keep: its scripts put such texts together, and read little of them."""
    return _encoder.encode(value).decode()


def text(at: datetime) -> str:
    """The time as Redis keeps it."""
    return f"{(at - BEGIN) // MICROSECOND:0{DIGITS}}"


def moment(at: bytes | str) -> datetime | None:
    """The time of such a text; None of an empty one."""
    return BEGIN + int(at) * MICROSECOND if at else None


def entry_of(write: Write, now: datetime) -> Entry:
    return Entry(
        version=write.version,
        status=write.status,
        run_state=write.run_state,
        visit=write.visit,
        cause=write.cause,
        by=write.by,
        at=now,
        write_id=write.write_id,
        attempt=write.attempt,
        reason=write.reason,
    )


def to_records(answer: Answer) -> list[Record | None]:
    data = iter(answer[1])
    return [None if row is None else _record(row, next(data)) for row in _rows.decode(answer[0])]


def found(answer: Answer) -> list[Record]:
    """Of an answer that has a record in every row."""
    return [record for record in to_records(answer) if record is not None]


def to_awakenings(answer: Answer) -> list[Event]:
    """Of rows without data: the events that should have woken these runs."""
    return [
        Event(
            run_id=row.origin.run_id,
            topic=status_topic(row.origin.workflow, row.last.status),
            partition=row.origin.partition,
            version=row.last.version,
            status=row.last.status,
        )
        for row in _rows.decode(answer[0])
        if row is not None
    ]


def to_received(answer: Answer) -> list[Received]:
    data = iter(answer[1])
    return [
        Received(event=row.event, offset=int(row.id) - 1, record=None if row.row is None else _record(row.row, next(data)))
        for row in _received.decode(answer[0])
    ]


def to_entries(answer: Answer) -> list[OutboxEntry]:
    rows = [OutboxEntry(id=row.id, event=row.event, due_at=moment(row.due)) for row in _pending.decode(answer[0])]
    return sorted(rows, key=lambda entry: entry.id)


def to_history(run_id: RunId, answer: Answer) -> Iterator[HistoryEntry]:
    data = iter(answer[1])
    for row in _history.decode(answer[0]):
        entry = row.entry
        yield HistoryEntry(
            run_id=run_id,
            version=entry.version,
            status=entry.status,
            run_state=entry.run_state,
            cause=entry.cause,
            by=entry.by,
            reason=entry.reason,
            at=entry.at,
            write_id=entry.write_id,
            data=next(data) if row.has_data else None,
        )


def _record(row: Row, data: bytes) -> Record:
    origin, last = row.origin, row.last
    return Record(
        run_id=origin.run_id,
        workflow=origin.workflow,
        foreign_id=origin.foreign_id,
        status=last.status,
        run_state=last.run_state,
        version=last.version,
        visit=last.visit,
        attempt=last.attempt,
        cause=last.cause,
        reason=last.reason,
        partition=origin.partition,
        data=data,
        idempotency_key=origin.idempotency_key,
        created_at=origin.created_at,
        updated_at=last.at,
    )
