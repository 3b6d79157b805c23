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
    Event,
    HistoryEntry,
    OutboxEntry,
    Received,
    Record,
    RunId,
    RunState,
    Timeout,
    TimeoutKey,
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
NOTHING = (0, 0, 0, 0, 0)
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


class Row(msgspec.Struct, frozen=True, array_like=True):
    """A record without its data. Times are text.

    `extra`: how many messages wait and how many of these the status accepts; then whether the run
    has results of once, parents, and children that are cancelled with it.
    """

    created_at: str
    origin: Origin
    updated_at: str
    last: Entry
    awaits: Awaits
    awaited: Version
    extra: tuple[int, int, int, int, int] | None


class ReceivedRow(msgspec.Struct, frozen=True, array_like=True):
    partition: int
    id: str  # the offset plus one, because no id is 0
    event: Event
    row: Row | None


class NewTimeoutRow(msgspec.Struct, frozen=True):
    """A timeout for another store, beside its due time. Fields are only added, with a default."""

    key: TimeoutKey
    workflow: str
    status: int
    partition: int


class WaitingRow(msgspec.Struct, frozen=True, array_like=True):
    run_id: RunId
    status: int
    awaited: Version


class PendingRow(msgspec.Struct, frozen=True, array_like=True):
    id: int
    due: str
    event: Event | None
    timeout: NewTimeoutRow | None
    timeout_due: str


class HistoryRow(msgspec.Struct, frozen=True, array_like=True):
    at: str
    entry: Entry
    has_data: bool


_encoder = msgspec.json.Encoder()
_origin = msgspec.json.Decoder(Origin)
_rows = msgspec.json.Decoder(list[Row | None])
_received = msgspec.json.Decoder(list[ReceivedRow])
_pending = msgspec.json.Decoder(list[PendingRow])
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


def to_entries(answer: Answer) -> list[OutboxEntry]:
    return sorted(map(_entry, _pending.decode(answer[0])), key=lambda entry: entry.id)


def _entry(row: PendingRow) -> OutboxEntry:
    return OutboxEntry(
        id=row.id,
        event=row.event,
        timeout=_timeout(row.timeout, row.timeout_due) if row.timeout else None,
        due_at=moment(row.due) if row.due else None,
    )


def _timeout(row: NewTimeoutRow, due: str) -> Timeout:
    return Timeout(
        key=row.key,
        workflow=row.workflow,
        status=row.status,
        partition=row.partition,
        due_at=moment(due),
    )


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
        )


def _record(row: Row, data: bytes) -> Record:
    origin, last = row.origin, row.last
    messages, _, results, parents, cascades = row.extra or NOTHING
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
        created_at=moment(row.created_at),
        updated_at=moment(row.updated_at),
    )
