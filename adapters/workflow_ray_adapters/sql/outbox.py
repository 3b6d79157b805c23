"""Events that were committed with their records and are not yet published."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, groupby, zip_longest
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    ColumnElement,
    CompoundSelect,
    Select,
    and_,
    bindparam,
    delete,
    false,
    func,
    insert,
    not_,
    or_,
    select,
    union_all,
)

from workflow_ray.records import Fence, OutboxEntry, Timeout, TimeoutKey, Topic
from workflow_ray_adapters.sql import roles
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.event_tables import events, heads, outbox
from workflow_ray_adapters.sql.rows import AT_ONCE, CARRIED, moment, to_event
from workflow_ray_adapters.sql.session import Session
from workflow_ray_adapters.sql.statement import Values

TOPIC_PARTITION = (outbox.c.topic, outbox.c.partition_no)
ENTRY = (*TOPIC_PARTITION, outbox.c.run_id, outbox.c.version, outbox.c.status, outbox.c.headers)
TIMEOUT = (outbox.c.timeout_name, outbox.c.timeout_workflow, outbox.c.timeout_due_at)
TIMEOUTS = outbox.c.due_at == CARRIED
NO_TIMEOUT: Values = dict.fromkeys(column.name for column in TIMEOUT)
IMMEDIATE = outbox.c.due_at == AT_ONCE


def add(session: Session, entries: Sequence[Values]) -> None:
    session.run(_insert, [{**NO_TIMEOUT, **entry} for entry in entries])
    session.notification.due |= {max(entry["due_at"], AT_ONCE) for entry in entries}


def _insert(dialect: Dialect) -> ClauseElement:
    return dialect.insert(
        outbox, *(column.name for column in outbox.c if column is not outbox.c.id)
    )


def move(session: Session, limit: int) -> list[Topic]:
    """Publish due events inside the database, in commit order. Return the topic of each."""
    due = _fair(session.rows(_due, now=session.now(), most=limit), limit)
    if not due:
        return []
    ids = [entry_id for entry_id, _, _, _ in due]
    advance(session, Counter((topic, partition) for _, _, topic, partition in due))
    session.execute(_publish, ids=ids)
    session.execute(_remove, ids=ids)
    session.notification.add_events((topic, partition) for _, _, topic, partition in due)
    return [topic for _, _, topic, _ in due]


_turns = count()


def _fair(due: Sequence[Any], limit: int) -> list[Any]:
    """Return up to `limit` of the rows, in commit order, taking one of each kind in turn. Another
    kind goes first each time, so that even a limit of 1 holds up none of them.
    """
    ordered = sorted(due, key=lambda row: (_kind(row), row[1], row[0]))
    kinds = [list(rows) for _, rows in groupby(ordered, key=_kind)]
    turn = next(_turns) % (len(kinds) or 1)
    mixed = [
        row for rows in zip_longest(*kinds[turn:], *kinds[:turn]) for row in rows if row is not None
    ]
    return sorted(mixed[:limit], key=itemgetter(0))


def _kind(row: Any) -> int:
    """Return the kind of a row that begins with an id and a due time."""
    return min(int(row[1]), AT_ONCE + 1)


def _due(_: Dialect) -> ClauseElement:
    """Find events that are due, by what they are and never by "id > last seen"."""
    query = select(outbox.c.id, outbox.c.due_at, *TOPIC_PARTITION).limit(bindparam("most"))
    return _each(query, IMMEDIATE, _delayed(bindparam("now")))


def _delayed(now: BindParameter[int] | int) -> ColumnElement[bool]:
    return and_(outbox.c.due_at > AT_ONCE, outbox.c.due_at <= now)


def _each(query: Select[*tuple[Any, ...]], *kinds: ColumnElement[bool]) -> CompoundSelect[Any]:
    """Return the query's first rows of each kind of entries, up to its limit."""
    firsts = (query.where(kind).order_by(outbox.c.due_at, outbox.c.id) for kind in kinds)
    # a limit inside a union needs a query of its own
    return union_all(*(select(first.subquery()) for first in firsts))


def _publish(dialect: Dialect) -> ClauseElement:
    """The heads were advanced and locked before this statement: the last offsets below them are
    these entries'.
    """
    behind = func.row_number().over(partition_by=TOPIC_PARTITION, order_by=outbox.c.id.desc())
    placed = (
        select(
            *TOPIC_PARTITION,
            heads.c.next_offset - behind,
            outbox.c.run_id,
            outbox.c.version,
            outbox.c.status,
            outbox.c.headers,
        )
        .select_from(
            outbox.join(
                heads,
                and_(
                    heads.c.topic == outbox.c.topic, heads.c.partition_no == outbox.c.partition_no
                ),
            )
        )
        .where(dialect.among(outbox.c.id, "ids"))
    )
    return insert(events).from_select([column.name for column in events.c], placed)


def _remove(dialect: Dialect) -> ClauseElement:
    return delete(outbox).where(dialect.among(outbox.c.id, "ids"))


def advance(session: Session, appended: Mapping[tuple[str, int], int]) -> None:
    """Make room for the events that are to be appended to each topic-partition. The heads are
    locked in their order until the commit, so that offsets follow commit order.
    """
    counted = sorted(appended.items())
    session.run(
        _advance,
        [
            {"topic": topic, "partition_no": number, "next_offset": count}
            for (topic, number), count in counted
        ],
    )


def _advance(dialect: Dialect) -> ClauseElement:
    return dialect.upsert(
        heads, lambda row, new: {"next_offset": row.next_offset + new.next_offset}
    )


@dataclass(frozen=True)
class Pending:
    """What a publisher asks for."""

    limit: int
    # topic-partitions that are left out, except for timeouts
    without: Collection[tuple[Topic, int]] = ()
    timeouts_only: bool = False


def read_pending(
    session: Session, fence: Fence, pending: Pending
) -> tuple[list[OutboxEntry], int | None]:
    """Return the entries that are due, and when the next one is due, for the role's holder."""
    roles.check(fence, roles.epochs(session, [fence.role]))
    rows = session.connection.execute(_pending(pending, session.now())).all()
    return [_entry(*row) for row in _fair(rows, pending.limit)], next_due(session)


def _pending(pending: Pending, now: int) -> CompoundSelect[Any]:
    query = select(outbox.c.id, outbox.c.due_at, *TIMEOUT, *ENTRY).limit(pending.limit)
    if pending.timeouts_only:
        return _each(query, TIMEOUTS)
    left_out = [
        and_(outbox.c.topic == topic, outbox.c.partition_no == number)
        for topic, number in pending.without
    ]
    sendable = not_(or_(false(), *left_out))
    return _each(query, TIMEOUTS, and_(IMMEDIATE, sendable), and_(_delayed(now), sendable))


def _entry(
    entry_id: int,
    due_at: int,
    name: str | None,
    workflow: str | None,
    timeout_due_at: int | None,
    *event: Any,
) -> OutboxEntry:
    if name is None or workflow is None or timeout_due_at is None:
        return OutboxEntry(
            id=entry_id,
            event=to_event(*event),
            due_at=None if due_at == AT_ONCE else moment(due_at),
        )
    _, partition, run_id, visit, status, _ = event
    key = TimeoutKey(run_id, visit, name)
    timeout = Timeout(
        key=key,
        workflow=workflow,
        status=status,
        partition=partition,
        due_at=moment(timeout_due_at),
    )
    return OutboxEntry(id=entry_id, timeout=timeout)


def next_due(session: Session) -> int | None:
    """Return when the next entry is due that is not due now."""
    ((due,),) = session.rows(_next_due, now=session.now())
    return None if due is None else int(due)


def _next_due(_: Dialect) -> ClauseElement:
    return select(func.min(outbox.c.due_at)).where(outbox.c.due_at > bindparam("now"))


def first_due(session: Session) -> set[int]:
    """Return when the first entry of each kind is due, or was due."""
    return {max(due, AT_ONCE) for (due,) in session.rows(_first_due) if due is not None}


def _first_due(_: Dialect) -> ClauseElement:
    kinds = (TIMEOUTS, IMMEDIATE, outbox.c.due_at > AT_ONCE)
    return union_all(*(select(func.min(outbox.c.due_at)).where(kind) for kind in kinds))


def published(session: Session, fence: Fence, ids: Sequence[int]) -> None:
    """Remove what the role's holder has sent."""
    roles.check(fence, roles.epochs(session, [fence.role]))
    if ids:
        session.execute(_remove, ids=list(ids))
