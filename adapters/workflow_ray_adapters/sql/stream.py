"""Published events, by topic, partition and offset."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ClauseElement,
    ColumnElement,
    Integer,
    Select,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    union_all,
)

from workflow_ray.records import BATCH_DATA, Event, Received, Topic
from workflow_ray_adapters.sql import outbox
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.rows import RECORD, from_headers, to_event, to_record
from workflow_ray_adapters.sql.session import Session, Statement, Values
from workflow_ray_adapters.sql.tables import events, heads, records


def append(session: Session, appended: Sequence[Event]) -> None:
    """Append events, in the order given within each topic and partition."""
    place(session, [_row(event) for event in appended])


def place(session: Session, rows: Sequence[Values]) -> None:
    """Append rows that lack nothing but their offsets, in the order given within each topic and partition."""
    counts = Counter[tuple[str, int]]((row["topic"], row["partition_no"]) for row in rows)
    offsets = {(topic, partition): offset for topic, partition, offset in session.rows(_heads, topics={topic for topic, _ in counts})}
    placed: list[Values] = []
    for row in rows:
        lane = (row["topic"], row["partition_no"])
        offset = offsets.get(lane, 0)
        offsets[lane] = offset + 1
        placed.append({**row, "stream_offset": offset})
    session.run(_insert_event, placed)
    outbox.advance(session, counts)


def _row(event: Event) -> Values:
    return {
        "topic": event.topic,
        "partition_no": event.partition,
        "run_id": event.run_id,
        "version": event.version,
        "status": event.status,
        "headers": from_headers(event.headers),
    }


def _heads(dialect: Dialect) -> ClauseElement:
    query = select(heads.c.topic, heads.c.partition_no, heads.c.next_offset)
    return dialect.locked(query.where(heads.c.topic.in_(dialect.listed("topics"))))


def _insert_event(_: Dialect) -> ClauseElement:
    return insert(events)


def lag(session: Session, topic: Topic, offsets: Mapping[int, int]) -> int:
    following = {partition: offset for _, partition, offset in session.rows(_heads, topics=[topic])}
    return sum(max(0, following.get(partition, 0) - offset) for partition, offset in offsets.items())


def read(session: Session, topic: Topic, offsets: Mapping[int, int], limit: int) -> list[Received]:
    """Up to `limit` events with their records, one of each partition in the order given and again, until their data fills a batch."""
    if not offsets:
        return []
    starts: dict[str, object] = {}
    for at, (partition, offset) in enumerate(offsets.items()):
        starts |= {f"partition_{at}": partition, f"offset_{at}": offset}
    share = -(-limit // len(offsets))
    rows = session.rows(_waiting(len(offsets)), topic=topic, share=share, most=limit, **starts)
    return [_received(topic, *row) for row in rows]


@cache
def _waiting(partitions: int) -> Statement:
    """What waits in that many partitions. The sizes are added up first, so that no data beyond the batch is read."""

    def statement(_: Dialect) -> ClauseElement:
        waiting = union_all(*(_share(at) for at in range(partitions))).subquery("waiting")
        size = func.coalesce(func.length(records.c.data), 0)
        sized = (
            select(waiting, (func.sum(size).over(order_by=(waiting.c.turn, waiting.c.place)) - size).label("before"))
            .select_from(waiting.outerjoin(records, records.c.run_id == waiting.c.run_id))
            .subquery("sized")
        )
        return (
            select(sized.c.partition_no, sized.c.stream_offset, sized.c.run_id, sized.c.version, sized.c.status, sized.c.headers, *RECORD)
            .select_from(sized.outerjoin(records, records.c.run_id == sized.c.run_id))
            .where(sized.c.before < BATCH_DATA)
            .order_by(sized.c.turn, sized.c.place)
            .limit(bindparam("most"))
        )

    return statement


def _share(at: int) -> Select[Any]:
    """A partition's part of the batch; by `turn` each partition goes first once before any goes twice."""
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
        .where(events.c.topic == bindparam("topic"), events.c.partition_no == bindparam(f"partition_{at}"))
        .where(events.c.stream_offset >= start)
        .order_by(events.c.stream_offset)
        .limit(bindparam("share"))
    )
    return select(share.subquery())  # a limit inside of a union needs a query of its own


def _received(
    topic: Topic, partition: int, offset: int, run_id: str, version: int, status: int, headers: str | None, *record: Any
) -> Received:
    event = to_event(topic, partition, run_id, version, status, headers)
    return Received(event=event, offset=offset, record=None if record[0] is None else to_record(record))
