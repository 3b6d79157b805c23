"""Published events, by topic, partition and offset."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Integer, Row, Select, bindparam, func, insert, literal_column, select, union_all

from workflow_ray.records import BATCH_DATA, Event, Received, Topic
from workflow_ray_adapters.sql import outbox
from workflow_ray_adapters.sql.dialects import Dialect
from workflow_ray_adapters.sql.rows import RECORD, Values, from_headers, to_event, to_record
from workflow_ray_adapters.sql.tables import events, heads, records


def append(connection: Connection, dialect: Dialect, appended: Sequence[Event]) -> None:
    """Append events, in the order given within each topic and partition."""
    counts = Counter[tuple[str, int]]((event.topic, event.partition) for event in appended)
    query = select(heads.c.topic, heads.c.partition_no, heads.c.next_offset)
    stored = connection.execute(dialect.locked(query.where(heads.c.topic.in_({topic for topic, _ in counts}))))
    offsets = {(topic, partition): offset for topic, partition, offset in stored}
    rows: list[Values] = []
    for event in appended:
        lane = (event.topic, event.partition)
        offset = offsets.get(lane, 0)
        offsets[lane] = offset + 1
        rows.append(
            {
                "topic": event.topic,
                "partition_no": event.partition,
                "stream_offset": offset,
                "run_id": event.run_id,
                "version": event.version,
                "status": event.status,
                "headers": from_headers(event.headers),
            }
        )
    if rows:
        connection.execute(insert(events), rows)
        outbox.advance(connection, dialect, counts)


def read(connection: Connection, topic: Topic, offsets: Mapping[int, int], limit: int) -> list[Received]:
    """Up to `limit` events with their records, one of each partition in the order given and again, until their data fills a batch."""
    if not offsets:
        return []
    starts: Values = {}
    for at, (partition, offset) in enumerate(offsets.items()):
        starts |= {f"partition_{at}": partition, f"offset_{at}": offset}
    share = -(-limit // len(offsets))
    rows = connection.execute(_from(len(offsets)), {"topic": topic, "share": share, "most": limit, **starts})
    return [_received(topic, row) for row in rows]


def lag(connection: Connection, topic: Topic, offsets: Mapping[int, int]) -> int:
    query = select(heads.c.partition_no, heads.c.next_offset).where(heads.c.topic == topic, heads.c.partition_no.in_(offsets))
    return sum(max(0, following - offsets[partition]) for partition, following in connection.execute(query))


@cache
def _from(partitions: int) -> Select[Any]:
    """One statement for that many partitions. The sizes are added up first, so that no data beyond the batch is read."""
    waiting = union_all(*(_waiting(at) for at in range(partitions))).subquery("waiting")
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


def _waiting(at: int) -> Select[Any]:
    """A partition's share; `turn` lets each partition go first once before any goes twice."""
    start = bindparam(f"offset_{at}", type_=Integer)
    share = (
        select(
            events.c.partition_no,
            events.c.stream_offset,
            (events.c.stream_offset - start).label("turn"),
            literal_column(str(at)).label("place"),
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


def _received(topic: Topic, row: Row[*tuple[Any, ...]]) -> Received:
    partition, offset, run_id, version, status, headers, *record = row
    return Received(
        event=to_event(topic, partition, run_id, version, status, headers),
        offset=offset,
        record=None if record[0] is None else to_record(record),
    )
