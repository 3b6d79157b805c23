"""Read events with their records."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    ColumnElement,
    Integer,
    Join,
    Select,
    Subquery,
    bindparam,
    case,
    func,
    literal_column,
    null,
    select,
    union_all,
)

from workflow_ray.records import BATCH_DATA, Arrivals, Received, Topic
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.event_tables import events
from workflow_ray_adapters.sql.rows import RECORD, to_event, to_record
from workflow_ray_adapters.sql.session import Session, Statement
from workflow_ray_adapters.sql.tables import records


def ceiling_division(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)


@dataclass(frozen=True, eq=False)
class Receive:
    """Read events from these offsets on."""

    topic: Topic
    offsets: Mapping[int, int]
    limit: int


EVENT = ("turn", "place", "partition_no", "run_id", "version", "status", "headers", "stream_offset")
IS_LEFT_OUT = len(EVENT)  # in the rows that are read: whether there is data that is not in the row
IN_TURN = itemgetter(0, 1)
YES, NO = literal_column("1", Integer), literal_column("0", Integer)


def is_complete(receive: Receive, arrivals: Arrivals) -> bool:
    """Return whether nothing was left out because the answer was full."""
    if len(arrivals.events) >= receive.limit:
        return False
    found = Counter([item.event.partition for item in arrivals.events])
    share = ceiling_division(receive.limit, len(receive.offsets) or 1)
    size = sum([len(item.record.data) for item in arrivals.events if item.record])
    return all(count < share for count in found.values()) and size < BATCH_DATA


def read(session: Session, topic: Topic, offsets: Mapping[int, int], limit: int) -> Arrivals:
    """Return up to `limit` events with their records, one of each partition in turn, in the order
    given, until their data fills a batch.
    """
    if not offsets:
        return Arrivals()
    asked: dict[str, object] = {"topic": topic, "share": ceiling_division(limit, len(offsets))}
    for at, (partition, offset) in enumerate(offsets.items()):
        asked |= {f"partition_{at}": partition, f"offset_{at}": offset}
    rows = session.rows(_with_small_data(len(offsets)), **asked, small=BATCH_DATA // limit)
    if any(row[IS_LEFT_OUT] for row in rows):
        rows = session.rows(_until_full(len(offsets)), **asked)
    rows.sort(key=IN_TURN)  # sorted here, because a database would carry the data through the sort
    received = tuple([_received(topic, row) for row in rows[:limit]])
    return Arrivals(
        events=received,
        read={**offsets, **{item.event.partition: item.offset + 1 for item in received}},
    )


@cache
def _with_small_data(partitions: int) -> Statement:
    """Read what waits in that many partitions, in any order. Data that is larger than an event's
    share of the batch is left out: mostly there is none, and adding up the sizes takes as long as
    the rest.
    """

    def statement(_: Dialect) -> ClauseElement:
        waiting = _waiting(partitions)
        is_large = func.length(records.c.data) > bindparam("small", type_=Integer)
        is_left_out = case((is_large, YES), else_=NO)
        data = case((is_large, null()), else_=records.c.data)
        record = [data if column is records.c.data else column for column in RECORD]
        return select(*_event(waiting), is_left_out, *record).select_from(_with_records(waiting))

    return statement


@cache
def _until_full(partitions: int) -> Statement:
    """As _with_small_data, with the data of the first events. The sizes are added up before any
    data is read.
    """

    def statement(_: Dialect) -> ClauseElement:
        waiting = _waiting(partitions)
        # Not by a join: the data would be carried through the sort
        size = (
            select(func.length(records.c.data))
            .where(records.c.run_id == waiting.c.run_id)
            .scalar_subquery()
        )
        turns = (waiting.c.turn, waiting.c.place)
        # Of the events before it, so that the size of each is looked up once
        before = func.sum(func.coalesce(size, 0)).over(order_by=turns, rows=(None, -1))
        sized = select(waiting, func.coalesce(before, 0).label("before")).subquery("sized")
        query = select(*_event(sized), NO, *RECORD).select_from(_with_records(sized))
        return query.where(sized.c.before < BATCH_DATA)

    return statement


def _waiting(partitions: int) -> Subquery:
    return union_all(*(_share(at) for at in range(partitions))).subquery("waiting")


def _event(waiting: Subquery) -> list[ColumnElement[Any]]:
    return [waiting.c[name] for name in EVENT]


def _with_records(waiting: Subquery) -> Join:
    """Join the records. An event has none if the record of its run is in another store."""
    return waiting.outerjoin(records, records.c.run_id == waiting.c.run_id)


def _share(at: int) -> Select[Any]:
    """Read a partition's part of the batch. Sorted by `turn`, each partition goes first once before
    any goes twice.
    """
    start: BindParameter[int] = bindparam(f"offset_{at}", type_=Integer)
    turn: ColumnElement[int] = events.c.stream_offset - start
    place: ColumnElement[int] = literal_column(str(at))
    share = (
        select(
            events.c.partition_no,
            events.c.stream_offset,
            turn.label("turn"),
            place.label("place"),
            events.c.run_id,
            events.c.version,
            events.c.status,
            events.c.headers,
        )
        .where(
            events.c.topic == bindparam("topic"),
            events.c.partition_no == bindparam(f"partition_{at}"),
        )
        .where(events.c.stream_offset >= start)
        .order_by(events.c.stream_offset)
        .limit(bindparam("share"))
    )
    return select(share.subquery())  # a limit inside a union needs a query of its own


def _received(topic: Topic, row: Sequence[Any]) -> Received:
    _, _, partition, run_id, version, status, headers, offset, _, *record = row
    event = to_event(topic, partition, run_id, version, status, headers)
    return Received(
        event=event, offset=offset, record=None if record[0] is None else to_record(record)
    )
