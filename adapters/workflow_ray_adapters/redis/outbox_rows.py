"""The values of the outbox, as structs."""

import msgspec

from workflow_ray.records import Event, OutboxEntry, Timeout, TimeoutKey
from workflow_ray_adapters.redis.rows import Answer, moment


class NewTimeoutRow(msgspec.Struct, frozen=True):
    """A timeout for another store, beside its due time. Fields are only added, with a default."""

    key: TimeoutKey
    workflow: str
    status: int
    partition: int


class PendingRow(msgspec.Struct, frozen=True, array_like=True):
    id: int
    due: str
    event: Event | None
    timeout: NewTimeoutRow | None
    timeout_due: str


_pending = msgspec.json.Decoder(list[PendingRow])


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
