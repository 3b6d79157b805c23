"""Events committed with their records and not yet published."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import ClauseElement, and_, bindparam, delete, func, insert, not_, or_, select

from workflow_ray.records import Fence, OutboxEntry, Topic
from workflow_ray_adapters.sql import roles
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.rows import AT_ONCE, moment, to_event
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.statement import Values
from workflow_ray_adapters.sql.tables import events, heads, outbox

LANE = (outbox.c.topic, outbox.c.partition_no)


def add(session: Session, entries: Sequence[Values]) -> None:
    session.run(_insert, entries)
    session.notification.due |= {entry["due_at"] for entry in entries}


def _insert(dialect: Dialect) -> ClauseElement:
    return dialect.insert(outbox, *(column.name for column in outbox.c if column is not outbox.c.id))


def move(session: Session, now: int, limit: int) -> Mapping[Topic, int]:
    """Publish due entries inside the database, in commit order; how many of each topic."""
    due = session.rows(_due, now=now, most=limit)
    if not due:
        return {}
    ids = [entry_id for entry_id, _, _ in due]
    advance(session, Counter((topic, partition) for _, topic, partition in due))
    session.execute(_publish, ids=ids)
    session.execute(_remove, ids=ids)
    session.notification.add_events((topic, partition) for _, topic, partition in due)
    return Counter[Topic](topic for _, topic, _ in due)


def _due(_: Dialect) -> ClauseElement:
    """The entries to publish next, found by what they are and never by "id > last seen"."""
    due = select(outbox.c.id, *LANE).where(outbox.c.due_at <= bindparam("now"))
    return due.order_by(outbox.c.due_at, outbox.c.id).limit(bindparam("most"))


def _publish(dialect: Dialect) -> ClauseElement:
    """The heads were advanced by now, and are locked: of the offsets up to there the last are these entries'."""
    behind = func.row_number().over(partition_by=LANE, order_by=outbox.c.id.desc())
    placed = (
        select(*LANE, heads.c.next_offset - behind, outbox.c.run_id, outbox.c.version, outbox.c.status, outbox.c.headers)
        .select_from(outbox.join(heads, and_(heads.c.topic == outbox.c.topic, heads.c.partition_no == outbox.c.partition_no)))
        .where(dialect.among(outbox.c.id, "ids"))
    )
    return insert(events).from_select([column.name for column in events.c], placed)


def _remove(dialect: Dialect) -> ClauseElement:
    return delete(outbox).where(dialect.among(outbox.c.id, "ids"))


def advance(session: Session, appended: Mapping[tuple[str, int], int]) -> None:
    """Make room for the events to be appended to each topic and partition. Locks the heads, in their order, until the commit:
    so offsets follow commit order.
    """
    lanes = sorted(appended.items())
    session.run(_advance, [{"topic": topic, "partition_no": number, "next_offset": count} for (topic, number), count in lanes])


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
    if ids:
        session.execute(_remove, ids=list(ids))
