"""Events committed with their records and not yet published."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache

from sqlalchemy import Connection, Executable, and_, bindparam, delete, func, insert, not_, or_, select

from workflow_ray.records import Fence, OutboxEntry, Topic
from workflow_ray_adapters.sql import roles
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.ledger import AT_ONCE
from workflow_ray_adapters.sql.rows import moment, to_event
from workflow_ray_adapters.sql.tables import events, heads, outbox

_due = (  # found by what they are, never by "id > last seen"
    select(outbox.c.id)
    .where(outbox.c.due_at <= bindparam("now"))
    .order_by(outbox.c.due_at, outbox.c.id)
    .limit(bindparam("most"))
    .subquery("due")
)
DUE = outbox.c.id.in_(select(_due.c.id))
COUNT = select(outbox.c.topic, outbox.c.partition_no, func.count()).where(DUE).group_by(outbox.c.topic, outbox.c.partition_no)
PUBLISH = insert(events).from_select(
    [column.name for column in events.c],
    select(
        outbox.c.topic,
        outbox.c.partition_no,
        func.coalesce(heads.c.next_offset, 0)
        + func.row_number().over(partition_by=(outbox.c.topic, outbox.c.partition_no), order_by=outbox.c.id)
        - 1,
        outbox.c.run_id,
        outbox.c.version,
        outbox.c.status,
        outbox.c.headers,
    )
    .select_from(outbox.outerjoin(heads, and_(heads.c.topic == outbox.c.topic, heads.c.partition_no == outbox.c.partition_no)))
    .where(DUE),
)
REMOVE = delete(outbox).where(DUE)


def move(connection: Connection, dialect: Dialect, now: int, limit: int) -> Mapping[Topic, int]:
    """Publish due entries inside the database, in commit order; how many of each topic.

    Each statement finds the same entries: nobody else writes meanwhile, or the transaction reads from one snapshot.
    """
    batch = {"now": now, "most": limit}
    counts = connection.execute(COUNT, batch).all()
    if not counts:
        return {}
    connection.execute(PUBLISH, batch)
    advance(connection, dialect, {(topic, partition): moved for topic, partition, moved in counts})
    connection.execute(REMOVE, batch)
    by_topic: dict[Topic, int] = {}
    for topic, _, moved in counts:
        by_topic[Topic(topic)] = by_topic.get(Topic(topic), 0) + moved
    return by_topic


def advance(connection: Connection, dialect: Dialect, appended: Mapping[tuple[str, int], int]) -> None:
    """Count the events appended to each topic and partition."""
    rows = [{"topic": topic, "partition_no": partition, "next_offset": count} for (topic, partition), count in appended.items()]
    connection.execute(_advance(dialect), rows)


@cache
def _advance(dialect: Dialect) -> Executable:
    return dialect.upsert(heads, lambda row, new: {"next_offset": row.c.next_offset + new.next_offset})


def look(
    connection: Connection, dialect: Dialect, fence: Fence, now: int, limit: int, without: Collection[tuple[Topic, int]]
) -> tuple[list[OutboxEntry], int | None]:
    """For the role's holder: entries that are due, those of `without` left out; and when the next one gets due."""
    roles.check(fence, roles.epochs(connection, dialect, [fence.role]))
    return _pending(connection, now, limit, without), next_due(connection, now)


def _pending(connection: Connection, now: int, limit: int, without: Collection[tuple[Topic, int]]) -> list[OutboxEntry]:
    query = select(
        outbox.c.id,
        outbox.c.due_at,
        outbox.c.topic,
        outbox.c.partition_no,
        outbox.c.run_id,
        outbox.c.version,
        outbox.c.status,
        outbox.c.headers,
    ).where(outbox.c.due_at <= now)
    if without:
        query = query.where(not_(or_(*(and_(outbox.c.topic == topic, outbox.c.partition_no == number) for topic, number in without))))
    rows = connection.execute(query.order_by(outbox.c.due_at, outbox.c.id).limit(limit))
    entries = [
        OutboxEntry(id=entry_id, event=to_event(*event), due_at=None if due_at == AT_ONCE else moment(due_at))
        for entry_id, due_at, *event in rows
    ]
    return sorted(entries, key=lambda entry: entry.id)


def next_due(connection: Connection, now: int) -> int | None:
    """When the next of the entries that aren't due gets due."""
    due: int | None = connection.scalar(select(func.min(outbox.c.due_at)).where(outbox.c.due_at > now))
    return due


def published(connection: Connection, dialect: Dialect, fence: Fence, ids: Sequence[int]) -> None:
    """Remove what the role's holder has sent."""
    roles.check(fence, roles.epochs(connection, dialect, [fence.role]))
    for part in dialect.slices(ids):
        connection.execute(delete(outbox).where(outbox.c.id.in_(part)))
