"""The values that Redis keeps, as structs.

The fields of a run's hash are JSON: one for what is written once, and one for each version.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from workflow_ray.records import (
    Awaits,
    Cause,
    ErrorDetail,
    Event,
    HistoryEntry,
    Parking,
    Received,
    Record,
    RunId,
    RunState,
    Version,
    WaitingQuery,
    Write,
    WriteId,
    status_topic,
)

BEGIN = datetime.min.replace(tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
DIGITS = 18
"""The digits of a time as text: microseconds since the year 1. It sorts like the time."""
NOTHING = (0, 0, 0, 0, 0, 1)
LONGEST = 9e9
"""Seconds that a script can add to a time, 285 years: its numbers are exact up to 2^53."""
Answer: TypeAlias = Sequence[Any]
"""A script's answer. A script that reads returns its rows as one JSON array, then the data of those
rows that have some.
"""


class Origin(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written with a run's first version, beside its time.

    Fields are only added, with a default.
    """

    run_id: RunId
    workflow: str
    foreign_id: str
    partition: int
    idempotency_key: str | None = None
    digest: bytes | None = None


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is written with each version, beside its time. The last one also belongs to the record.

    Fields are only added, with a default.
    """

    version: Version
    status: int
    run_state: RunState
    visit: Version
    cause: Cause
    by: str
    write_id: WriteId
    attempt: int = 0
    reason: str | None = None
    data_version: int = 1
    error: ErrorDetail | None = None


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A record without its data. Times are text.

    `extra`: how many messages wait and how many of these the status accepts; then whether the run
    has results of once, parents, and children that are cancelled with it; and the version of its
    data, unless format 3 has written it. `parking`: whether it is parked, its priority, and its
    key.
    """

    created_at: str
    origin: Origin
    updated_at: str
    last: Entry
    awaits: Awaits
    awaited: Version
    extra: tuple[int, ...] | None
    parking: tuple[int, int, str] | None = None
    labels: dict[str, str] | None = None


class ReceivedRow(msgspec.Struct, frozen=True, array_like=True):
    partition: int
    id: str  # the offset plus one, because no id is 0
    event: Event
    row: Row | None


class WaitingRow(msgspec.Struct, frozen=True, array_like=True):
    run_id: RunId
    status: int
    awaited: Version


class HistoryRow(msgspec.Struct, frozen=True, array_like=True):
    at: str
    entry: Entry
    has_data: bool


_encoder = msgspec.json.Encoder()
_origin = msgspec.json.Decoder(Origin)
_rows = msgspec.json.Decoder(list[Row | None])
_received = msgspec.json.Decoder(list[ReceivedRow])
_waiting = msgspec.json.Decoder(list[WaitingRow])
_history = msgspec.json.Decoder(list[HistoryRow])


def encode(value: object) -> str:
    """Encode as JSON for Redis. Scripts combine such texts, and read little of them."""
    return _encoder.encode(value).decode()


def origin(stored: bytes) -> Origin:
    """Decode a run's origin."""
    return _origin.decode(stored)


def text(at: datetime) -> str:
    """Format a time as Redis keeps it."""
    return f"{(at - BEGIN) // MICROSECOND:0{DIGITS}}"


def moment(at: bytes | str) -> datetime:
    """Parse such a time."""
    return BEGIN + int(at) * MICROSECOND


def numbers(members: Collection[int]) -> str:
    """Format numbers as scripts search them: ,1,2,"""
    return "".join(["," + str(int(number)) for number in members]) + "," if members else ""


def microseconds(seconds: float) -> int:
    """Convert a duration for scripts, to at most what they can add to a time."""
    return round(min(seconds, LONGEST) * 1_000_000)


def seconds(due_in: bytes) -> float | None:
    """Convert a script's time until the next item is due; None: there is none."""
    return int(due_in) / 1_000_000 if due_in else None


def entry_of(write: Write) -> Entry:
    return Entry(
        version=write.version,
        status=write.status,
        run_state=write.run_state,
        visit=write.visit,
        cause=write.cause,
        by=write.by,
        write_id=write.write_id,
        attempt=write.attempt,
        reason=write.reason,
        data_version=write.data_version,
        error=write.error,
    )


def to_records(answer: Answer) -> list[Record | None]:
    data = iter(answer[1])
    return [None if row is None else _record(row, next(data)) for row in _rows.decode(answer[0])]


def found(answer: Answer) -> list[Record]:
    """Decode an answer that has a record in every row."""
    return [record for record in to_records(answer) if record is not None]


def to_waiting(query: WaitingQuery, answer: Answer) -> tuple[Event, ...]:
    """Make the events that should have woken these runs."""
    return tuple(
        [
            Event(
                run_id=row.run_id,
                topic=status_topic(query.workflow, row.status),
                partition=query.partition,
                version=row.awaited,
                status=row.status,
            )
            for row in _waiting.decode(answer[0])
        ]
    )


def to_received(answer: Answer) -> list[Received]:
    data = iter(answer[1])
    return [
        Received(
            event=row.event,
            offset=int(row.id) - 1,
            record=None if row.row is None else _record(row.row, next(data)),
        )
        for row in _received.decode(answer[0])
    ]


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
            at=moment(row.at),
            write_id=entry.write_id,
            data=next(data) if row.has_data else None,
            data_version=entry.data_version,
            error=entry.error,
        )


def _parking(row: Row) -> tuple[bool, Parking | None]:
    """Return whether the run is parked, and where flow control orders it."""
    if row.parking is None:
        return False, None
    parked, priority, key = row.parking
    return bool(parked), Parking(key=key, priority=priority)


def _record(row: Row, data: bytes) -> Record:
    origin, last = row.origin, row.last
    messages, _, results, parents, cascades, *data_version = row.extra or NOTHING
    parked, parking = _parking(row)
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
        awaits=row.awaits,
        awaited=row.awaited,
        messages=messages,
        has_results=bool(results),
        has_parents=bool(parents),
        cascades=bool(cascades),
        labels=row.labels or {},
        data_version=data_version[0] if data_version else 1,
        parking=parking,
        parked=parked,
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
    )
