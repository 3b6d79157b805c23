"""Events committed with their records and not yet published."""

from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ClauseElement, ColumnElement, and_, bindparam, delete, func, insert, not_, or_, select

from workflow_ray.records import Fence, OutboxEntry, Topic
from workflow_ray_adapters.sql import roles
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.ledger import AT_ONCE
from workflow_ray_adapters.sql.rows import moment, to_event
from workflow_ray_adapters.sql.session import Session, Values
from workflow_ray_adapters.sql.tables import events, heads, outbox

LANE = (outbox.c.topic, outbox.c.partition_no)


def add(session: Session, entries: Sequence[Values]) -> None:
    session.run(_insert, entries)


def _insert(_: Dialect) -> ClauseElement:
    return insert(outbox).values({column.name: bindparam(column.name) for column in outbox.c if column is not outbox.c.id}).inline()


def move(session: Session, now: int, limit: int) -> Mapping[Topic, int]:
    """Publish due entries inside the database, in commit order; how many of each topic.

    Each statement finds the same entries: nobody else writes meanwhile, or the transaction reads from one snapshot.
    """
    counts = session.rows(_count, now=now, most=limit)
    if not counts:
        return {}
    session.run(_publish, [{"now": now, "most": limit}])
    advance(session, {(topic, partition): moved for topic, partition, moved in counts})
    session.run(_remove, [{"now": now, "most": limit}])
    by_topic: dict[Topic, int] = {}
    for topic, _, moved in counts:
        by_topic[topic] = by_topic.get(topic, 0) + moved
    return by_topic


def _due() -> ColumnElement[bool]:
    """The entries to publish next, found by what they are and never by "id > last seen"."""
    due = select(outbox.c.id).where(outbox.c.due_at <= bindparam("now")).order_by(outbox.c.due_at, outbox.c.id).limit(bindparam("most"))
    return outbox.c.id.in_(select(due.subquery("due").c.id))


def _count(_: Dialect) -> ClauseElement:
    return select(*LANE, func.count()).where(_due()).group_by(*LANE)


def _publish(_: Dialect) -> ClauseElement:
    place = func.row_number().over(partition_by=LANE, order_by=outbox.c.id) - 1
    placed = (
        select(*LANE, func.coalesce(heads.c.next_offset, 0) + place, outbox.c.run_id, outbox.c.version, outbox.c.status, outbox.c.headers)
        .select_from(outbox.outerjoin(heads, and_(heads.c.topic == outbox.c.topic, heads.c.partition_no == outbox.c.partition_no)))
        .where(_due())
    )
    return insert(events).from_select([column.name for column in events.c], placed)


def _remove(_: Dialect) -> ClauseElement:
    return delete(outbox).where(_due())


def advance(session: Session, appended: Mapping[tuple[str, int], int]) -> None:
    """Count the events appended to each topic and partition."""
    session.run(_advance, [{"topic": topic, "partition_no": number, "next_offset": count} for (topic, number), count in appended.items()])


def _advance(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(heads, lambda row, new: {"next_offset": row.next_offset + new.next_offset})


def look(
    session: Session, fence: Fence, now: int, limit: int, without: Collection[tuple[Topic, int]]
) -> tuple[list[OutboxEntry], int | None]:
    """For the role's holder: entries that are due, those of `without` left out; and when the next one gets due."""
    roles.check(fence, roles.epochs(session, [fence.role]))
    return _pending(session, now, limit, without), next_due(session, now)


def _pending(session: Session, now: int, limit: int, without: Collection[tuple[Topic, int]]) -> list[OutboxEntry]:
    query = select(outbox.c.id, outbox.c.due_at, *LANE, outbox.c.run_id, outbox.c.version, outbox.c.status, outbox.c.headers)
    query = query.where(outbox.c.due_at <= now)
    if without:
        query = query.where(not_(or_(*(and_(outbox.c.topic == topic, outbox.c.partition_no == number) for topic, number in without))))
    rows = session.connection.execute(query.order_by(outbox.c.due_at, outbox.c.id).limit(limit))
    entries = [
        OutboxEntry(id=entry_id, event=to_event(*event), due_at=None if due_at == AT_ONCE else moment(due_at))
        for entry_id, due_at, *event in rows
    ]
    return sorted(entries, key=lambda entry: entry.id)


def next_due(session: Session, now: int) -> int | None:
    """When the next of the entries that aren't due gets due."""
    ((due,),) = session.rows(_next_due, now=now)
    return None if due is None else int(due)


def _next_due(_: Dialect) -> ClauseElement:
    return select(func.min(outbox.c.due_at)).where(outbox.c.due_at > bindparam("now"))


def published(session: Session, fence: Fence, ids: Sequence[int]) -> None:
    """Remove what the role's holder has sent."""
    roles.check(fence, roles.epochs(session, [fence.role]))
    session.run(_remove_one, [{"sent": entry_id} for entry_id in ids])


def _remove_one(_: Dialect) -> ClauseElement:
    return delete(outbox).where(outbox.c.id == bindparam("sent"))
