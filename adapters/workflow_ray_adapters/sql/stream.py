"""Published events, by topic, partition and offset."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import count
from typing import Any

from sqlalchemy import (
    ClauseElement,
    Column,
    ColumnElement,
    bindparam,
    delete,
    func,
    select,
)

from workflow_ray.records import Arrivals, Event, Fence, Topic
from workflow_ray_adapters.sql import outbox, roles
from workflow_ray_adapters.sql.arrivals import Receive, is_complete, read
from workflow_ray_adapters.sql.dialect import Dialect
from workflow_ray_adapters.sql.event_tables import events, heads
from workflow_ray_adapters.sql.rows import Values, event_row
from workflow_ray_adapters.sql.session import Session, Statement


def append(session: Session, appended: Sequence[Event]) -> None:
    """Append events, in the order given within each topic-partition."""
    place(session, [event_row(event) for event in appended])


def place(session: Session, rows: Sequence[Values]) -> None:
    """Append rows that lack only their offsets. They get them in the order given within each
    topic-partition.
    """
    places = [(row["topic"], row["partition_no"]) for row in rows]
    counts = Counter(places)
    topics = {topic for topic, _ in counts}
    outbox.advance(session, counts)
    offsets = {
        place: count(following - counts[place])
        for place, following in _following(session, topics).items()
        if place in counts
    }
    for row, place in zip(rows, places, strict=True):
        row["stream_offset"] = next(offsets[place])
    session.run(_insert_event, rows)
    session.notification.add_events((Topic(topic), partition) for topic, partition in counts)


def _insert_event(dialect: Dialect) -> ClauseElement:
    return dialect.insert(events)


def _following(session: Session, topics: Collection[str]) -> dict[tuple[str, int], int]:
    """Return the offset that the next event gets, for each topic-partition that has had an
    event.
    """
    return {
        (topic, partition): offset
        for topic, partition, offset in session.rows(_heads, topics=topics)
    }


def _heads(dialect: Dialect) -> ClauseElement:
    return select(heads.c.topic, heads.c.partition_no, heads.c.next_offset).where(
        dialect.among(heads.c.topic, "topics")
    )


def ends(session: Session, topic: Topic, partitions: Collection[int]) -> dict[int, int]:
    following = _following(session, [topic])
    return {partition: following.get((topic, partition), 0) for partition in partitions}


def all_ends(session: Session, topics: Collection[Topic]) -> dict[tuple[Topic, int], int]:
    """Return the end of each partition of the topics that has had an event."""
    return (
        {
            (Topic(topic), partition): end
            for (topic, partition), end in _following(session, topics).items()
        }
        if topics
        else {}
    )


def receive(session: Session, receive: Receive, unsure: Collection[int]) -> Arrivals:
    """Do as EventStreamer.receive, without a wait.

    Args:
        session: A transaction.
        receive: What is asked.
        unsure: The partitions whose logs may end elsewhere than the offset says: below it, or above
            it without an event from there on, because they were trimmed.
    """
    found = ends(session, receive.topic, unsure) if unsure else {}
    lost = {partition: end for partition, end in found.items() if end < receive.offsets[partition]}
    there = {
        partition: offset for partition, offset in receive.offsets.items() if partition not in lost
    }
    arrivals = read(session, receive.topic, there, receive.limit)
    passed: dict[int, int] = {}
    if is_complete(receive, arrivals):
        with_events = {item.event.partition for item in arrivals.events}
        passed = {
            partition: found[partition] for partition in found.keys() & there.keys() - with_events
        }
    return Arrivals(events=arrivals.events, read={**arrivals.read, **passed}, lost=lost)


def lag(session: Session, topic: Topic, offsets: Mapping[int, int]) -> int:
    """Return how many events follow the offsets. Events that were trimmed do not count: the log
    begins after them, at an offset that is read for each partition.
    """
    if not offsets:
        return 0
    following, partitions = ends(session, topic, offsets), list(offsets)
    (starts,) = session.rows(
        _starts(len(offsets)),
        topic=topic,
        **{f"partition_{at}": number for at, number in enumerate(partitions)},
    )
    begins = {
        partition: start
        for partition, start in zip(partitions, starts, strict=True)
        if start is not None
    }
    return sum(
        max(0, following[partition] - max(offset, begins.get(partition, following[partition])))
        for partition, offset in offsets.items()
    )


@cache
def _starts(partitions: int) -> Statement:
    def statement(_: Dialect) -> ClauseElement:
        return select(*(_start(at) for at in range(partitions)))

    return statement


def _start(at: int) -> ColumnElement[int]:
    of_partition = (
        events.c.topic == bindparam("topic"),
        events.c.partition_no == bindparam(f"partition_{at}"),
    )
    return (
        select(func.min(events.c.stream_offset))
        .where(*of_partition)
        .scalar_subquery()
        .label(f"start_{at}")
    )


def trim(
    session: Session, fence: Fence, topic: Topic, offsets: Mapping[int, int], limit: int
) -> int:
    """Remove up to `limit` events below the offsets, for the role's holder. Return how many. The
    ends stay, because the heads keep them.
    """
    # the role is unknown here if the store holds the events of other records
    if current := roles.epochs(session, [fence.role]):
        roles.check(fence, current)
    removed = 0
    for partition, offset in sorted(offsets.items()):
        asked = {"topic": topic, "partition": partition, "end": offset}
        below = (
            [at for (at,) in session.rows(_below, **asked, most=limit - removed)]
            if removed < limit
            else []
        )
        if below:
            session.execute(_trim, **asked | {"end": below[-1] + 1})
            removed += len(below)
    return removed


def _below(_: Dialect) -> ClauseElement:
    offset = events.c.stream_offset
    return select(offset).where(*_in_front_of(offset)).order_by(offset).limit(bindparam("most"))


def _trim(_: Dialect) -> ClauseElement:
    return delete(events).where(*_in_front_of(events.c.stream_offset))


def _in_front_of(offset: Column[Any]) -> tuple[ColumnElement[bool], ...]:
    return (
        events.c.topic == bindparam("topic"),
        events.c.partition_no == bindparam("partition"),
        offset < bindparam("end"),
    )
